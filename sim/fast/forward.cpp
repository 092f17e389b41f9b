// The time steps of a run: Integrate, fire and the readout.

#include "engine.h"

#include "error.h"
#include "fire.h"
#include "integrate.h"

bool Engine::integrate_values(int word, Word& current) const {
    const Layer& to = hidden[0].layer;
    return ::integrate_values(weights(to, word), rows.data(), values.data(), rows.size(), to.valid(word), current);
}

bool Engine::integrate_spikes(const Layer& to, const std::vector<int>& list, int word, Word& current) const {
    const int16_t *base = weights(to, word), *bias = base + (to.rows - 1) * P;
    return ::integrate_spikes(base, list.data(), list.size(), bias, to.valid(word), current);
}

// Input current of all steps; its saturation is not counted.
void Engine::integrate_frame() {
    const Layer& to = hidden[0].layer;
    if (to.geometry) {
        neurons.assign(input.addresses, input.addresses + input.count);
        values.assign(input.values, input.values + input.count);
        integrate_windows(0, neurons, &values, BIAS_INPUT);
        hidden[0].current = currents;
        return;
    }
    rows.assign(input.addresses, input.addresses + input.count);
    values.assign(input.values, input.values + input.count);
    rows.push_back(to.rows - 1);
    values.push_back(BIAS_INPUT);
    for (int w = 0; w < to.words; w++) integrate_values(w, hidden[0].current[w]);
    count_work(COUNT_INTEGRATE, to.words * rows.size());
}

// One time step of layer 1 in a chunk.
void Engine::fire_events(int step) {
    Hidden& h = hidden[0];
    const int begin = step ? input.ends[step - 1] : 0, end = input.ends[step];
    rows.assign(input.addresses + begin, input.addresses + end);
    values.assign(input.values + begin, input.values + end);
    const bool graded = kind_has(INPUTS_GRADED);
    for (size_t n = 0; n < rows.size(); n++) {
        if (graded)
            input_traces.mark_graded(rows[n], values[n]);
        else
            input_traces.mark(rows[n], step);
    }
    const size_t count = rows.size();
    if (h.layer.geometry) {
        integrate_windows(0, rows, graded ? &values : nullptr, SPIKE_INPUT);
        fire_currents(h, step);
        return;
    }
    if (graded) {
        rows.push_back(h.layer.rows - 1);
        values.push_back(SPIKE_INPUT);
    }
    draw_signs(h, step);
    for (int w = 0; w < h.layer.words; w++) {
        Word current;
        const bool saturated = graded ? integrate_values(w, current) : integrate_spikes(h.layer, rows, w, current);
        fire_word(h, step, w, current, saturated);
    }
    count_work(COUNT_INTEGRATE, h.layer.words * (count + 1));
}

// One time step of a hidden layer: the first one from the frame's current, others from the spikes of the layer below.
void Engine::fire(int index, int step) {
    Hidden& h = hidden[index];
    if (index == 0) {
        draw_signs(h, step);
        for (int w = 0; w < h.layer.words; w++) fire_word(h, step, w, h.current[w], false);
        count(COUNT_FIRE, h.layer.words);
        return;
    }
    const auto& list = hidden[index - 1].listed[step];
    if (h.layer.geometry) {
        integrate_windows(index, list, nullptr, SPIKE_INPUT);
        fire_currents(h, step);
        return;
    }
    draw_signs(h, step);
    for (int w = 0; w < h.layer.words; w++) {
        Word current;
        const bool saturated = integrate_spikes(h.layer, list, w, current);
        fire_word(h, step, w, current, saturated);
    }
    count_work(COUNT_INTEGRATE, h.layer.words * (list.size() + 1));
}

// One time step of a layer from the currents of its windows.
void Engine::fire_currents(Hidden& h, int step) {
    draw_signs(h, step);
    for (int w = 0; w < h.layer.words; w++) fire_word(h, step, w, currents[w], saturations[w]);
}

void Engine::draw_signs(Hidden& h, int step) {
    for (int w = 0; w < h.layer.words; w++) {
        if (noise && !odd(step)) {
            const Draw& fresh = lfsrs.draw();
            // 1 where the highest bit is set.
            for (int j = 0; j < P; j++) h.sign[w][j] = (static_cast<int16_t>(~fresh[j]) >> (DRAW_BITS - 1)) | 1;
        }
        h.signs[step * h.layer.words + w] = h.sign[w];
    }
}

void Engine::fire_word(Hidden& h, int step, int word, const Word& current, bool current_saturated) {
    const int amplitude = !noise ? 0 : static_cast<int>(odd(step) ? -reg(REG_ALPHA) : reg(REG_ALPHA));
    const Word& valid = h.layer.valid(word);
    auto& spikes = h.spikes[step * h.layer.words + word];
    auto& surrogate = h.surrogate[step * h.layer.words + word];
    const bool saturated = ::fire(h.layer.leak, h.layer.reset, h.v[word], current, h.sign[word], amplitude, valid,
                                  spikes, surrogate);
    const int index = h.layer.slot;
    const int fired = for_each_spike(spikes, [&](int lane) { h.listed[step].push_back(word * P + lane); });
    const int first = fired ? traces[index].mark_word(word, spikes, step) : 0;
    count(COUNT_SPIKES_1 + index, fired);
    if (train) count(COUNT_ACTIVE_1 + index, first);
    if (saturated || current_saturated) count(COUNT_MEMBRANE_SATURATIONS, 1);
}

void Engine::sum_readouts(int step) {
    const auto& list = hidden[depth - 1].listed[step];
    if (readout.geometry) {
        integrate_windows(depth, list, nullptr, SPIKE_INPUT);
    } else {
        currents.resize(readout.words), saturations.resize(readout.words);
        for (int w = 0; w < readout.words; w++) saturations[w] = integrate_spikes(readout, list, w, currents[w]);
        count_work(COUNT_INTEGRATE, readout.words * (list.size() + 1));
    }
    for (int w = 0; w < readout.words; w++) {
        if (saturations[w]) count(COUNT_MEMBRANE_SATURATIONS, 1);
        for (int j = 0; j < P && w * P + j < classes; j++) outputs[step][w * P + j] = currents[w][j];
    }
    losses[step] = error_step(outputs[step], classes, label, mse_shift(), errors[step]);
    for (int k = 0; k < classes; k++) {
        errors[step][k] *= rate;
        readout_credits[step * readout.words + k / P][k % P] = saturate<CREDIT_WIDTH>(errors[step][k]);
    }
}

void Engine::forward() {
    const bool frame = !kind_has(INPUTS_EVENTS);
    if (frame) integrate_frame();
    count(COUNT_EVENTS, input.count);
    count(COUNT_STEPS, steps);
    for (int macro = 0; macro <= steps + depth; macro++) {
        const auto exists = [&](int step) { return 0 <= step && step < steps; };
        if (exists(macro)) {
            if (frame)
                fire(0, macro);
            else
                fire_events(macro);
        }
        for (int index = 1; index < depth; index++)
            if (exists(macro - index)) fire(index, macro - index);
        if (exists(macro - depth)) sum_readouts(macro - depth);
        for (int index = 0; feeds_back() && index < depth; index++) {
            if (hidden[index].layer.local_shift && exists(macro - index - 1)) local_readout(index, macro - index - 1);
            if (macro > depth) feedback(index, macro - depth - 1);
        }
    }
}
