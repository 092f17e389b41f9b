// Updates of the weights at the end of a run.

#include "engine.h"

// Update the weights of the active rows below; the bias row spiked in every step.
void Engine::learn_spikes(const Layer& to, const Traces& below, bool graded, const std::vector<Word>& credits) {
    const int decay_shift = static_cast<int>(reg(REG_DECAY_SHIFT));
    SaturatedRows saturated;
    for (int w = 0; w < to.words; w++) {
        filtered.filter(&credits[w], to.words, steps);
        spike_updates.fill(filtered);
        int16_t* base = row(to.weight_base + w * to.rows);
        auto learn = [&](int i, unsigned spiked, int trace) {
            Word update;
            spike_updates.update(spiked, update);
            if (trace) add_scaled(filtered.steps[0], trace, update);
            update_row(base + i * P, update, decay_shift, lfsrs.draw(), saturated.next());
        };
        for (size_t n = 0; n < below.active.size(); n++) {
            const int i = below.active[n];
            if (n + AHEAD < below.active.size()) prefetch(base + below.active[n + AHEAD] * P);
            if (graded)
                learn(i, 0, below.trace[i] + below.history[i]);
            else
                learn(i, below.history[i], below.trace[i]);
        }
        learn(to.rows - 1, (1u << steps) - 1, bias_trace);
    }
    count_work(COUNT_LEARN, to.words * (below.active.size() + 1));
    count(COUNT_WEIGHT_SATURATIONS, saturated.count());
}

void Engine::learn_frame(const Hidden& h) {
    const Layer& to = h.layer;
    const int decay_shift = static_cast<int>(reg(REG_DECAY_SHIFT));
    SaturatedRows saturated;
    for (int w = 0; w < to.words; w++) {
        filtered.filter(&h.credits[w], to.words, steps);
        Word total;
        frame_credit(filtered, total);
        int16_t* base = row(to.weight_base + w * to.rows);
        for (size_t n = 0; n < rows.size(); n++) {
            if (n + AHEAD < rows.size()) prefetch(base + rows[n + AHEAD] * P);
            Word update{};
            add_scaled(total, values[n], update);
            update_row(base + rows[n] * P, update, decay_shift, lfsrs.draw(), saturated.next());
        }
    }
    count_work(COUNT_LEARN, to.words * rows.size());
    count(COUNT_WEIGHT_SATURATIONS, saturated.count());
}

void Engine::learn() {
    const bool convolves = hidden[0].layer.kernel;
    const int64_t pending = reg(REG_PENDING) + 1;
    const bool full = pending >= reg(REG_BATCH);
    if (convolves) core->registers[REG_PENDING] = full ? 0 : pending;
    if (readout.geometry)
        learn_map(depth, readout_credits);
    else
        learn_spikes(readout, traces[depth - 1], false, readout_credits);
    for (int index = rule_has(RULES_LEARNS_HIDDEN) ? depth - 1 : -1; index >= 0; index--) {
        const Hidden& h = hidden[index];
        if (h.layer.kernel) {
            accumulate_windows(index, h.credits);
            if (full) apply_gradients(h.layer);
        } else if (h.layer.geometry)
            learn_map(index, h.credits);
        else if (index)
            learn_spikes(h.layer, traces[index - 1], false, h.credits);
        else if (!kind_has(INPUTS_EVENTS))
            learn_frame(h);
        else
            learn_spikes(h.layer, input_traces, kind_has(INPUTS_GRADED), h.credits);
        if (h.shift >= 0) core->registers[LAYER_REGISTERS + LAYER_STRIDE * index + LAYER_FEEDBACK_SHIFT] = h.shift;
    }
    core->registers[REG_SAMPLES] = (reg(REG_SAMPLES) + 1) & 0xFFFFFFFF;
}
