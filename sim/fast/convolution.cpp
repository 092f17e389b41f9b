// Layers that see a map, through windows: Integrate and Learn; and the blocks that share a convolution's feedback.

#include <algorithm>

#include "engine.h"

#include "error.h"
#include "feedback.h"
#include "gradient.h"
#include "integrate.h"
#include "update.h"

// Input currents of a layer from neurons below, with ``factors``, or as spikes (null); ``bias`` is the factor of the bias.
// There is no pool above inputs, which have factors.
void Engine::integrate_windows(int index, const std::vector<int>& list, const std::vector<int>* factors, int bias) {
    const Layer& to = index < depth ? hidden[index].layer : readout;
    const Geometry& geometry = *to.geometry;
    windows.over(geometry, list.data(), list.size(), stride(index));
    currents.resize(to.words), saturations.resize(to.words);
    const int bits = geometry.shape.pool ? CELL_BITS : 0;
    for (int p = 0; p < geometry.positions(); p++) {
        for (int w = 0; w < to.position_words; w++) {
            const int word = p * to.position_words + w;
            const int16_t* base = row(to.weight_base + w * to.rows);
            const int16_t* last = base + (to.rows - 1) * P;
            if (factors) {
                ValueSum sum;
                Word part;
                int left = SAFE_ROWS - 1;
                for (int j = 0; j < P; j++) part[j] = last[j] * bias >> PRODUCT_SHIFT;
                windows.each(geometry, p, [&](int n, int r) {
                    if (left-- == 0) sum.add(part), part = Word{}, left = SAFE_ROWS - 1;
                    const int16_t* weights = base + r * P;
                    for (int j = 0; j < P; j++) part[j] += weights[j] * (*factors)[n] >> PRODUCT_SHIFT;
                });
                sum.add(part);
                saturations[word] = sum.current(to.valid(word), currents[word]);
            } else {
                // At most MAX_INPUTS x 4 spikes, so the sum without the bias stays within 32 bits.
                Word sum{};
                windows.each(geometry, p, [&](int, int r) {
                    const int16_t* weights = base + r * P;
                    for (int j = 0; j < P; j++) sum[j] += weights[j];
                });
                for (int j = 0; j < P; j++) sum[j] = (sum[j] >> bits) + last[j];
                saturations[word] = saturate_word<MEMBRANE_WIDTH>(sum, currents[word], to.valid(word));
            }
        }
        count_work(COUNT_INTEGRATE, to.position_words * (windows.count(geometry, p) + 1));
        if (to.kernel) work += to.position_words * geometry.spans_of(p);
    }
}

// Numbers of a position of the neurons below weight layer ``index``.
int Engine::stride(int index) const {
    return index ? hidden[index - 1].layer.position_words * P : hidden[0].layer.geometry->shape.below.channels;
}

void Engine::learn_windows(int index, const std::vector<Word>& credits) {
    const Layer& to = index < depth ? hidden[index].layer : readout;
    const Geometry& geometry = *to.geometry;
    const bool frame = index == 0 && !kind_has(INPUTS_EVENTS), graded = index == 0 && kind_has(INPUTS_GRADED);
    const Traces& below = index ? traces[index - 1] : input_traces;
    if (frame) {
        neurons.assign(input.addresses, input.addresses + input.count);
    } else {
        neurons = below.active;
        std::sort(neurons.begin(), neurons.end());
    }
    windows.over(geometry, neurons.data(), neurons.size(), stride(index));
    const int decay_shift = static_cast<int>(reg(REG_DECAY_SHIFT));
    const bool pool = geometry.shape.pool;
    uint64_t saturated = 0, rows_seen = 0;
    for (int p = 0; p < geometry.positions(); p++) {
        for (int w = 0; w < to.position_words; w++) {
            filtered.filter(&credits[p * to.position_words + w], to.words, steps);
            Word total;
            if (frame)
                frame_credit(filtered, total);
            else
                spike_updates.fill(filtered);
            int16_t* base = row(to.weight_base + w * to.rows);
            int32_t* gradients = core->gradients + (static_cast<size_t>(to.gradient_base) + w * to.rows) * P;
            const auto of_spikes = [&](unsigned spiked, int trace, Word& update) {
                spike_updates.update(spiked, update);
                if (trace) add_scaled(filtered.steps[0], trace, update);
            };
            const auto of_neuron = [&](int n, Word& update) {
                const int i = neurons[n];
                if (frame)
                    update = Word{}, add_scaled(total, input.values[n], update);
                else if (graded)
                    of_spikes(0, below.trace[i] + below.history[i], update);
                else
                    of_spikes(below.history[i], below.trace[i], update);
            };
            Word bias{};
            if (frame)
                add_scaled(total, BIAS_INPUT, bias);
            else
                of_spikes((1u << steps) - 1, bias_trace, bias);
            const int last = to.rows - 1;
            if (to.kernel) {
                windows.each(geometry, p, [&](int n, int r) {
                    Word update;
                    of_neuron(n, update);
                    saturated += accumulate(gradients + r * P, update);
                });
                if (pool)
                    for (int j = 0; j < P; j++) bias[j] <<= CELL_BITS;
                saturated += accumulate(gradients + last * P, bias);
            } else {
                windows.each(geometry, p, [&](int n, int r) {
                    Word update;
                    of_neuron(n, update);
                    if (pool)
                        for (int j = 0; j < P; j++) update[j] = (update[j] + (1 << (CELL_BITS - 1))) >> CELL_BITS;
                    saturated += update_row(base + r * P, update, decay_shift, lfsrs.draw());
                });
                saturated += update_row(base + last * P, bias, decay_shift, lfsrs.draw());
            }
        }
        rows_seen += to.position_words * (windows.count(geometry, p) + 1);
        if (to.kernel) work += to.position_words * geometry.spans_of(p);
    }
    count_work(to.kernel ? COUNT_ACCUMULATE : COUNT_LEARN, rows_seen);
    count(to.kernel ? COUNT_GRADIENT_SATURATIONS : COUNT_WEIGHT_SATURATIONS, saturated);
}

// Change the weights of a convolution by its gradients, and clear these.
void Engine::apply_gradients(const Layer& to) {
    const int words = to.position_words * to.rows, decay_shift = static_cast<int>(reg(REG_DECAY_SHIFT));
    int64_t& magnitude = core->registers[LAYER_REGISTERS + LAYER_STRIDE * to.slot + LAYER_MAGNITUDE];
    const int shift = gradient_shift(magnitude, words, reg(REG_CONVOLUTION_RATE));
    uint64_t total = 0, saturated = 0;
    int32_t* gradients = core->gradients + static_cast<size_t>(to.gradient_base) * P;
    for (int n = 0; n < words; n++, gradients += P) {
        total += gradients[0] < 0 ? -static_cast<int64_t>(gradients[0]) : gradients[0];
        Word update;
        gradient_step(gradients, shift, update);
        saturated += update_row(row(to.weight_base + n), update, decay_shift, lfsrs.draw());
        std::fill(gradients, gradients + P, 0);
    }
    magnitude = magnitude_after(magnitude, total);
    count_work(COUNT_LEARN, words);
    count(COUNT_WEIGHT_SATURATIONS, saturated);
}

// Sum over the positions of each block, by block, then word.
template <typename Values>
void Engine::block_sums(const Layer& layer, const Values* values, std::vector<Word>& sums) const {
    const Geometry& geometry = *layer.geometry;
    sums.assign(geometry.blocks * layer.position_words, Word{});
    for (int p = 0; p < geometry.positions(); p++)
        for (int w = 0; w < layer.position_words; w++) {
            Word& sum = sums[geometry.block[p] * layer.position_words + w];
            const Values& each = values[p * layer.position_words + w];
            for (int j = 0; j < P; j++) sum[j] += each[j];
        }
}

void Engine::local_readout_of_blocks(int index, int step) {
    Hidden& h = hidden[index];
    block_sums(h.layer, &h.spikes[step * h.layer.words], spike_sums);
    int32_t o[MAX_CLASSES];
    for (int k = 0; k < classes; k++) {
        int64_t total = 0;
        for (size_t word = 0; word < spike_sums.size(); word++) {
            const int16_t* entry = row(h.layer.feedback_base + word * 2 * classes + k);
            for (int j = 0; j < P; j++) total += entry[j] * spike_sums[word][j];
        }
        o[k] = static_cast<int32_t>(std::clamp(total >> h.layer.block_bits(), int64_t{-MEMBRANE_MAX - 1}, int64_t{MEMBRANE_MAX}));
    }
    error_step(o, classes, label, mse_shift(), h.local_errors[step]);
    for (int k = 0; k < classes; k++) h.local_errors[step][k] *= rate;
    count_work(COUNT_FEEDBACK, spike_sums.size() * classes);
}

void Engine::feedback_of_blocks(int index, int step) {
    Hidden& h = hidden[index];
    const Layer& layer = h.layer;
    const Geometry& geometry = *layer.geometry;
    const int shift = static_cast<int>(reg(LAYER_REGISTERS + LAYER_STRIDE * index + LAYER_FEEDBACK_SHIFT));
    const bool momentum = rule_has(RULES_MOMENTUM) && odd(step), from_loss = rule_has(RULES_FROM_LOSS);
    const bool matrix = rule_has(RULES_FEEDBACK), local = layer.local_shift;
    const int words = geometry.blocks * layer.position_words, entries = classes * (1 + local);
    int64_t size = 0;
    if (local) block_sums(layer, &h.spikes[step * layer.words], spike_sums);
    if (momentum) {
        // Lanes without a neuron have no noise.
        masked.resize(layer.words);
        for (int word = 0; word < layer.words; word++)
            for (int j = 0; j < P; j++) masked[word][j] = h.signs[step * layer.words + word][j] & layer.valid(word)[j];
        block_sums(layer, masked.data(), sign_sums);
    }
    shared.assign(words, Word{});
    for (int word = 0; word < words; word++) {
        Word& total = shared[word];
        int16_t* entry = row(layer.feedback_base + word * entries);
        for (int k = 0; k < (local ? classes : 0); k++, entry += P) {
            const int32_t error = h.local_errors[step][k];
            add_feedback(total, entry, layer.local_shift, error);
            Word update;
            for (int j = 0; j < P; j++) update[j] = spike_sums[word][j] * error >> layer.block_bits();
            if (update_row(entry, update, 0, lfsrs.draw())) count(COUNT_FEEDBACK_SATURATIONS, 1);
        }
        for (int k = 0; k < (matrix ? classes : 0); k++, entry += P) {
            add_feedback(total, entry, shift, errors[step][k]);
            if (refresh && step == 0) size += entry[0] < 0 ? -entry[0] : entry[0];
            if (!momentum) continue;
            const int32_t before = step ? outputs[step - 1][k] : static_cast<int32_t>(core->last_outputs[k]);
            const int64_t difference = static_cast<int64_t>(before - outputs[step][k]) << DIFFERENCE_SHIFT;
            Word update;
            for (int j = 0; j < P; j++)
                update[j] = static_cast<int32_t>(-sign_sums[word][j] * difference >> layer.block_bits() / 2);
            if (update_row(entry, update, static_cast<int>(reg(REG_LEAK_SHIFT)), lfsrs.draw()))
                count(COUNT_FEEDBACK_SATURATIONS, 1);
        }
        for (int j = 0; j < P; j++) total[j] = saturate<BLOCK_SUM_WIDTH>(total[j] >> BLOCK_SUM_SHIFT) << BLOCK_SUM_SHIFT;
    }
    count_work(COUNT_FEEDBACK, words * classes * (matrix + local) + (from_loss ? layer.words : 0));
    const int activity = static_cast<int>(reg(REG_ACTIVITY));
    const int32_t loss = std::min(losses[step] >> ZO_LOSS_SHIFT, ERROR_MAX) * rate * ZO_FACTOR * (odd(step) ? -1 : 1);
    for (int p = 0; p < geometry.positions(); p++)
        for (int w = 0; w < layer.position_words; w++) {
            const int word = p * layer.position_words + w, n = step * layer.words + word;
            Word total = shared[geometry.block[p] * layer.position_words + w];
            if (from_loss)
                for (int j = 0; j < P; j++) total[j] += h.signs[n][j] * loss;
            if (credit(total, h.surrogate[n], h.spikes[n], activity, layer.valid(word), h.credits[n]))
                count(COUNT_CREDIT_SATURATIONS, 1);
        }
    if (matrix && refresh && step == 0) h.shift = feedback_shift(size, static_cast<int64_t>(words) * classes);
}
