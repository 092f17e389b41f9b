// Convolutions, and dense layers behind one: Integrate and Learn through windows.

#include <algorithm>

#include "engine.h"

#include "gradient.h"
#include "integrate.h"

// Input currents of ``Count`` words of a position from spikes, without saturation; the words share the walk.
//
// At most MAX_INPUTS x 4 spikes, so the sums without the bias stay within 32 bits.
template <int Count>
static void sum_spikes(const Windows& windows, const Geometry& geometry, int p, const int16_t* base, int rows, int bits,
                       Word* sums) {
    Word sum[Count]{};
    for (int s = geometry.first[p]; s < geometry.first[p + 1]; s++) {
        const Span& span = geometry.spans[s];
        const int end = windows.starts[span.end];
        for (int n = windows.starts[span.begin]; n < end; n++) {
            const int16_t* weights = base + (windows.address[n] - span.base) * P;
#pragma GCC unroll 4
            for (int w = 0; w < Count; w++) {
                const auto wide = widened(weights + w * rows * P);
                for (int j = 0; j < P; j++) sum[w][j] += wide[j];
            }
        }
    }
    for (int w = 0; w < Count; w++)
        for (int j = 0; j < P; j++) sums[w][j] = (sum[w][j] >> bits) + base[(w * rows + rows - 1) * P + j];
}

// Sum of one word of a position from neurons with ``factors``; ``bias`` is the factor of the bias.
static ValueSum sum_values(const Windows& windows, const Geometry& geometry, int p, const int16_t* base, int rows,
                           const int* factors, int bias) {
    ValueSum sum;
    Word part;
    int left = SAFE_ROWS - 1;
    for (int j = 0; j < P; j++) part[j] = base[(rows - 1) * P + j] * bias >> PRODUCT_SHIFT;
    for (int s = geometry.first[p]; s < geometry.first[p + 1]; s++) {
        const Span& span = geometry.spans[s];
        const int end = windows.starts[span.end];
        for (int n = windows.starts[span.begin]; n < end; n++) {
            if (left-- == 0) sum.add(part), part = Word{}, left = SAFE_ROWS - 1;
            const int16_t* weights = base + (windows.address[n] - span.base) * P;
            const int32_t factor = factors[n];
            const auto wide = widened(weights);
            for (int j = 0; j < P; j++) part[j] += wide[j] * factor >> PRODUCT_SHIFT;
        }
    }
    sum.add(part);
    return sum;
}

// Input currents of a layer from neurons below, with ``factors``, or as spikes (null); ``bias`` is the factor of the bias.
// There is no pool above inputs, which have factors.
void Engine::integrate_windows(int index, const std::vector<int>& list, const std::vector<int>* factors, int bias) {
    const Layer& to = index < depth ? hidden[index].layer : readout;
    const Geometry& geometry = *to.geometry;
    windows.over(geometry, list.data(), list.size(), stride(index));
    currents.resize(to.words), saturations.resize(to.words);
    const int bits = geometry.shape.pool ? CELL_BITS : 0, rows = to.rows;
    uint64_t rows_seen = 0;
    for (int p = 0; p < geometry.positions(); p++) {
        Word* sums = &currents[p * to.position_words];
        uint8_t* saturated = &saturations[p * to.position_words];
        for (int w = 0; w < to.position_words;) {
            const int16_t* base = row(to.weight_base + w * rows);
            const int left = to.position_words - w;
            int done = 1;
            if (factors) {
                const ValueSum sum = sum_values(windows, geometry, p, base, rows, factors->data(), bias);
                saturated[w] = sum.current(to.valid(w), sums[w]);
            } else if (left >= 4) {
                sum_spikes<4>(windows, geometry, p, base, rows, bits, sums + w), done = 4;
            } else if (left >= 2) {
                sum_spikes<2>(windows, geometry, p, base, rows, bits, sums + w), done = 2;
            } else {
                sum_spikes<1>(windows, geometry, p, base, rows, bits, sums + w);
            }
            w += done;
        }
        for (int w = 0; w < (factors ? 0 : to.position_words); w++) {
            const Word exact = sums[w];
            saturated[w] = saturate_word<MEMBRANE_WIDTH>(exact, sums[w], to.valid(w));
        }
        rows_seen += to.position_words * (windows.count(geometry, p) + 1);
        if (to.kernel) work += to.position_words * geometry.spans_of(p);
    }
    count_work(COUNT_INTEGRATE, rows_seen);
}

// Numbers of a position of the neurons below weight layer ``index``.
int Engine::stride(int index) const {
    return index ? hidden[index - 1].layer.position_words * P : hidden[0].layer.geometry->shape.below.channels;
}

// Neurons below whose rows a window may change, and how much of the credits each row gets.
void Engine::list_neurons(int index) {
    const bool frame = index == 0 && !kind_has(INPUTS_EVENTS), graded = index == 0 && kind_has(INPUTS_GRADED);
    const Traces& below = index ? traces[index - 1] : input_traces;
    if (frame) {
        neurons.assign(input.addresses, input.addresses + input.count);
        spiked.assign(input.count, 0);
        factors.assign(input.values, input.values + input.count);
        return;
    }
    below.list(index ? hidden[index - 1].layer.words : (static_cast<int>(reg(REG_INPUTS)) + P - 1) / P, neurons);
    spiked.resize(neurons.size()), factors.resize(neurons.size());
    for (size_t n = 0; n < neurons.size(); n++) {
        const int i = neurons[n];
        spiked[n] = graded ? 0 : below.history[i];
        factors[n] = below.trace[i] + (graded ? below.history[i] : 0);
    }
}

// Prepare the updates by a word's credits; the update of the bias. ``credit`` is what factors multiply. False if all
// updates are 0.
bool Engine::prepare_updates(const Word* credits, int words, bool frame, Word& credit, Word& bias) {
    int32_t any = 0;
    filtered.filter(credits, words, steps);
    for (int k = 0; k < steps; k++)
        for (int j = 0; j < P; j++) any |= filtered.steps[k][j];
    bias = Word{};
    if (frame) {
        frame_credit(filtered, credit);
        add_scaled(credit, BIAS_INPUT, bias);
    } else {
        credit = filtered.steps[0];
        spike_updates.fill(filtered);
        spike_updates.update((1u << steps) - 1, bias);
        if (bias_trace) add_scaled(credit, bias_trace, bias);
    }
    return any;
}

// Update of the row of neuron ``n`` of the list.
inline void Engine::update_of(int n, bool frame, const Word& credit, Word& update) const {
    if (frame)
        update = Word{};
    else
        spike_updates.update(spiked[n], update);
    if (factors[n]) add_scaled(credit, factors[n], update);
}

// Add the updates of the window of a position to the gradients of one word; returns how often a row saturated.
template <bool Frame, bool Saturates>
uint64_t Engine::accumulate_window(const Geometry& geometry, int p, const Word& credit, int32_t* gradients) const {
    uint64_t saturated = 0;
    for (int s = geometry.first[p]; s < geometry.first[p + 1]; s++) {
        const Span& span = geometry.spans[s];
        const int end = windows.starts[span.end];
        for (int n = windows.starts[span.begin]; n < end; n++) {
            int32_t* __restrict of_row = gradients + (windows.address[n] - span.base) * P;
            Word update;
            update_of(n, Frame, credit, update);
            if (Saturates)
                saturated += accumulate(of_row, update);
            else
                for (int j = 0; j < P; j++) of_row[j] += update[j];
        }
    }
    return saturated;
}

// Whether a run could bring gradients of a layer, now up to ``most``, out of their range.
bool Engine::may_saturate(const Geometry& geometry, int64_t most) const {
    // Largest update of a row by one neuron: E of all steps and a trace or value.
    const int64_t update = (steps + 2) * (int64_t{FILTERED_MAX} + 1);
    const int64_t neurons_of_row = static_cast<int64_t>(geometry.positions()) << (geometry.shape.pool ? CELL_BITS : 0);
    return most + update * neurons_of_row > GRADIENT_MAX;
}

void Engine::accumulate_windows(int index, const std::vector<Word>& credits) {
    const Layer& to = hidden[index].layer;
    const Geometry& geometry = *to.geometry;
    const bool frame = index == 0 && !kind_has(INPUTS_EVENTS);
    const int last = to.rows - 1, bits = geometry.shape.pool ? CELL_BITS : 0;
    list_neurons(index);
    windows.over(geometry, neurons.data(), neurons.size(), stride(index));
    uint64_t saturated = 0, rows_seen = 0;
    // Word by word, so that the gradients of one word stay in the cache.
    for (int w = 0; w < to.position_words; w++) {
        int32_t* gradients = core->gradients + (static_cast<size_t>(to.gradient_base) + w * to.rows) * P;
        const bool saturates = may_saturate(geometry, largest(gradients, to.rows * P));
        const auto accumulate_position = frame ? saturates ? &Engine::accumulate_window<true, true>
                                                           : &Engine::accumulate_window<true, false>
                                         : saturates ? &Engine::accumulate_window<false, true>
                                                     : &Engine::accumulate_window<false, false>;
        for (int p = 0; p < geometry.positions(); p++) {
            Word credit, bias;
            // Without credits there is nothing to add.
            if (!prepare_updates(&credits[p * to.position_words + w], to.words, frame, credit, bias)) continue;
            saturated += (this->*accumulate_position)(geometry, p, credit, gradients);
            for (int j = 0; j < P; j++) bias[j] <<= bits;
            saturated += accumulate(gradients + last * P, bias);
        }
    }
    for (int p = 0; p < geometry.positions(); p++) {
        rows_seen += to.position_words * (windows.count(geometry, p) + 1);
        work += to.position_words * geometry.spans_of(p);
    }
    count_work(COUNT_ACCUMULATE, rows_seen);
    count(COUNT_GRADIENT_SATURATIONS, saturated);
}

// Update the weights of a dense layer behind a convolution.
void Engine::learn_map(int index, const std::vector<Word>& credits) {
    const Layer& to = index < depth ? hidden[index].layer : readout;
    const Geometry& geometry = *to.geometry;
    const int decay_shift = static_cast<int>(reg(REG_DECAY_SHIFT));
    const bool pool = geometry.shape.pool;
    list_neurons(index);
    windows.over(geometry, neurons.data(), neurons.size(), stride(index));
    // Behind a pool part by part of the cells, so that the neurons that share a row are far apart.
    const int parts = pool ? 1 << CELL_BITS : 1;
    order.clear();
    for (int part = 0; part < parts; part++)
        for (int p = part; p < geometry.shape.below.positions(); p += parts)
            for (int n = windows.starts[p]; n < windows.starts[p + 1]; n++) order.push_back(n);
    SaturatedRows saturated;
    for (int w = 0; w < to.words; w++) {
        Word credit, bias;
        prepare_updates(&credits[w], to.words, false, credit, bias);
        int16_t* base = row(to.weight_base + w * to.rows);
        for (const int n : order) {
            Word update;
            update_of(n, false, credit, update);
            if (pool)
                for (int j = 0; j < P; j++) update[j] = (update[j] + (1 << (CELL_BITS - 1))) >> CELL_BITS;
            update_row(base + windows.address[n] * P, update, decay_shift, lfsrs.draw(), saturated.next());
        }
        update_row(base + (to.rows - 1) * P, bias, decay_shift, lfsrs.draw(), saturated.next());
    }
    count_work(COUNT_LEARN, to.words * (neurons.size() + 1));
    count(COUNT_WEIGHT_SATURATIONS, saturated.count());
}

// Change the weights of a convolution by its gradients, and clear these.
void Engine::apply_gradients(const Layer& to) {
    const int words = to.position_words * to.rows, decay_shift = static_cast<int>(reg(REG_DECAY_SHIFT));
    int64_t& magnitude = core->registers[LAYER_REGISTERS + LAYER_STRIDE * to.slot + LAYER_MAGNITUDE];
    const int shift = gradient_shift(magnitude, words, reg(REG_CONVOLUTION_RATE));
    uint64_t total = 0;
    SaturatedRows saturated;
    int32_t* gradients = core->gradients + static_cast<size_t>(to.gradient_base) * P;
    for (int n = 0; n < words; n++, gradients += P) {
        total += gradients[0] < 0 ? -static_cast<int64_t>(gradients[0]) : gradients[0];
        Word update;
        gradient_step(gradients, shift, update);
        update_row(row(to.weight_base + n), update, decay_shift, lfsrs.draw(), saturated.next());
        std::fill(gradients, gradients + P, 0);
    }
    magnitude = magnitude_after(magnitude, total);
    count_work(COUNT_LEARN, words);
    count(COUNT_WEIGHT_SATURATIONS, saturated.count());
}
