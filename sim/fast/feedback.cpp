// Feedback: the credits of the hidden neurons, and the updates of feedback matrices and local readouts.

#include "engine.h"

#include <algorithm>

#include "error.h"
#include "feedback.h"

// Error of a layer's local readout.
void Engine::local_readout(int index, int step) {
    Hidden& h = hidden[index];
    if (h.layer.kernel) return local_readout_of_blocks(index, step);
    int32_t o[MAX_CLASSES];
    for (int k = 0; k < classes; k++) {
        int64_t total = 0;
        for (const int i : h.listed[step]) total += row(h.layer.feedback_base + (i / P * h.layer.entry_sets) * classes + k)[i % P];
        o[k] = static_cast<int32_t>(std::clamp(total, int64_t{-MEMBRANE_MAX - 1}, int64_t{MEMBRANE_MAX}));
    }
    local_errors(index, step, o);
    count_work(COUNT_FEEDBACK, h.layer.words * classes);
}

void Engine::local_errors(int index, int step, const int32_t* o) {
    Hidden& h = hidden[index];
    error_step(o, classes, label, mse_shift(), h.local_errors[step]);
    for (int k = 0; k < classes; k++) h.local_errors[step][k] *= rate;
    if (index + 1 == reg(REG_INTERMEDIATE)) std::copy(o, o + classes, intermediate_outputs[step]);
}

// Feedback matrices of a layer that the rule uses, at most two, with what they need in a step; returns how many.
int Engine::find_matrices(const Layer& from, int step, Matrix* found) const {
    const int count = rule_has(RULES_FEEDBACK) ? from.entry_sets - from.first_matrix() : 0;
    for (int n = 0; n < count; n++) {
        found[n].set = from.first_matrix() + n;
        found[n].errors = n ? hidden[reg(REG_INTERMEDIATE) - 1].local_errors[step] : errors[step];
        const auto* o = n ? intermediate_outputs : outputs;
        const int64_t* last = n ? core->last_intermediate : core->last_outputs;
        for (int k = 0; k < classes; k++) {
            const int32_t before = step ? o[step - 1][k] : static_cast<int32_t>(last[k]);
            found[n].differences[k] = (before - o[step][k]) * (1 << DIFFERENCE_SHIFT);
        }
    }
    return count;
}

// Contribution of the local readout to the feedback sum of one word; also updates its entries.
Word Engine::local_feedback(Hidden& h, int step, int word, SaturatedRows& saturated) {
    Word total{};
    const auto spikes = widened(h.spikes[step * h.layer.words + word].lane);
    int16_t* entry = row(h.layer.feedback_base + word * h.layer.entry_sets * classes);
    for (int k = 0; k < classes; k++, entry += P) {
        const int32_t error = h.local_errors[step][k];
        Word update;
        add_feedback(total, entry, h.layer.local_shift, error);
        for (int j = 0; j < P; j++) update[j] = -spikes[j] & error;
        update_row(entry, update, 0, lfsrs.draw(), saturated.next());
    }
    count_work(COUNT_FEEDBACK, classes);
    return total;
}

void Engine::feedback(int index, int step) {
    Hidden& h = hidden[index];
    if (h.layer.kernel) return feedback_of_blocks(index, step);
    const int shift = static_cast<int>(reg(LAYER_REGISTERS + LAYER_STRIDE * index + LAYER_FEEDBACK_SHIFT));
    const int turn = odd(step) ? -1 : 1;
    const int activity = static_cast<int>(reg(REG_ACTIVITY));
    const bool momentum = rule_has(RULES_MOMENTUM) && odd(step), from_loss = rule_has(RULES_FROM_LOSS);
    Matrix used[2];
    const int matrices = find_matrices(h.layer, step, used);
    int64_t size = 0;
    SaturatedRows saturated;
    for (int w = 0; w < h.layer.words; w++) {
        const Word& valid = h.layer.valid(w);
        const auto sign = widened(h.signs[step * h.layer.words + w].lane);
        const bool local = h.layer.local_shift;
        Word total = local ? local_feedback(h, step, w, saturated) : Word{};
        if (from_loss) {
            const int32_t loss = std::min(losses[step] >> ZO_LOSS_SHIFT, ERROR_MAX) * rate;
            for (int j = 0; j < P; j++) total[j] += turn * sign[j] * ZO_FACTOR * loss;
        } else {
            Word direction;
            for (int j = 0; j < P; j++) direction[j] = -sign[j] & valid[j];
            for (int n = 0; n < matrices; n++) {
                const Matrix& m = used[n];
                int16_t* entry = row(h.layer.feedback_base + (w * h.layer.entry_sets + m.set) * classes);
                for (int k = 0; k < classes; k++, entry += P) {
                    add_feedback(total, entry, shift, m.errors[k]);
                    if (refresh && step == 0) size += entry[0] < 0 ? -entry[0] : entry[0];
                    if (!momentum) continue;
                    // M += z (o[t-1] - o[t]) (paper eq. 7), z of the even step.
                    Word update;
                    for (int j = 0; j < P; j++) update[j] = direction[j] * m.differences[k];
                    update_row(entry, update, static_cast<int>(reg(REG_LEAK_SHIFT)), lfsrs.draw(), saturated.next());
                }
            }
        }
        const auto& spikes = h.spikes[step * h.layer.words + w];
        const auto& surrogate = h.surrogate[step * h.layer.words + w];
        const bool limited = credit(total, surrogate, spikes, activity, valid, h.credits[step * h.layer.words + w]);
        if (limited) count(COUNT_CREDIT_SATURATIONS, 1);
    }
    count(COUNT_FEEDBACK_SATURATIONS, saturated.count());
    const int entries = h.layer.words * (from_loss ? 1 : matrices * classes);
    count_work(COUNT_FEEDBACK, entries);
    if (!from_loss && refresh && step == 0) h.shift = feedback_shift(size, entries);
}
