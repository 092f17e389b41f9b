// Feedback of convolutions, whose positions share the entries of a block.

#include <algorithm>

#include "engine.h"

#include "error.h"
#include "feedback.h"

// Sum over the positions of each block, by block, then word.
template <typename Values>
void Engine::block_sums(const Layer& layer, const Values* values, Word* sums) const {
    std::fill(sums, sums + layer.block_words(), Word{});
    for (const int block : layer.geometry->block)
        for (int w = 0; w < layer.position_words; w++) {
            Word& sum = sums[block * layer.position_words + w];
            const auto each = widened((values++)->lane);
            for (int j = 0; j < P; j++) sum[j] += each[j];
        }
}

// Sums of the entries of the neurons that spiked in a step, by class.
void Engine::readout_of_blocks(const Layer& layer, const Word* spike_sums, int64_t* totals) const {
    const int words = layer.block_words(), fits = 1 << (15 - layer.block_bits());  // words whose sum fits 32 bits
    std::fill(totals, totals + classes, 0);
    for (int begin = 0; begin < words; begin += fits) {
        Word sums[MAX_CLASSES];
        std::fill(sums, sums + classes, Word{});
        for (int word = begin; word < std::min(words, begin + fits); word++) {
            const int16_t* entry = row(layer.feedback_base + word * layer.entry_sets * classes);
            const Word spikes = spike_sums[word];
            for (int k = 0; k < classes; k++, entry += P) {
                const auto wide = widened(entry);
                for (int j = 0; j < P; j++) sums[k][j] += wide[j] * spikes[j];
            }
        }
        for (int k = 0; k < classes; k++)
            for (int j = 0; j < P; j++) totals[k] += sums[k][j];
    }
}

void Engine::local_readout_of_blocks(int index, int step) {
    Hidden& h = hidden[index];
    Word* spike_sums = &h.spike_sums[step * h.layer.block_words()];
    block_sums(h.layer, &h.spikes[step * h.layer.words], spike_sums);
    int64_t totals[MAX_CLASSES];
    readout_of_blocks(h.layer, spike_sums, totals);
    int32_t o[MAX_CLASSES];
    for (int k = 0; k < classes; k++)
        o[k] = static_cast<int32_t>(
            std::clamp(totals[k] >> h.layer.block_bits(), int64_t{-MEMBRANE_MAX - 1}, int64_t{MEMBRANE_MAX}));
    local_errors(index, step, o);
    count_work(COUNT_FEEDBACK, h.layer.block_words() * classes);
}

// Contribution of the local readout to the feedback sum of one word of a block; also updates its entries.
void Engine::local_feedback_of_block(const Hidden& h, int step, int word, Word& total, SaturatedRows& saturated) {
    int16_t* entry = row(h.layer.feedback_base + word * h.layer.entry_sets * classes);
    const Word& spikes = h.spike_sums[step * h.layer.block_words() + word];
    const int bits = h.layer.block_bits(), shift = h.layer.local_shift;
    for (int k = 0; k < classes; k++, entry += P) {
        const int32_t error = h.local_errors[step][k];
        add_feedback(total, entry, shift, error);
        Word update;
        for (int j = 0; j < P; j++) update[j] = spikes[j] * error >> bits;
        update_row(entry, update, 0, lfsrs.draw(), saturated.next());
    }
}

// Move the entries of one word of a block along the noise: M += z (o[t-1] - o[t]) (paper eq. 7), z of the even step.
void Engine::move_entries(int16_t* entry, const Layer& layer, const Word& signs, const int32_t* differences,
                          SaturatedRows& saturated) {
    static_assert(MEMBRANE_WIDTH + DIFFERENCE_SHIFT + 2 * BLOCK_SHIFT_MAX < 31, "the product fits 32 bits");
    const int bits = layer.block_bits() / 2, leak_shift = static_cast<int>(reg(REG_LEAK_SHIFT));
    for (int k = 0; k < classes; k++, entry += P) {
        Word update;
        for (int j = 0; j < P; j++) update[j] = -signs[j] * differences[k] >> bits;
        update_row(entry, update, leak_shift, lfsrs.draw(), saturated.next());
    }
}

// Feedback sums that the positions of a block share, by block, then word, into ``shared``.
void Engine::share_feedback(int index, int step) {
    Hidden& h = hidden[index];
    const Layer& layer = h.layer;
    const int shift = static_cast<int>(reg(LAYER_REGISTERS + LAYER_STRIDE * index + LAYER_FEEDBACK_SHIFT));
    const bool momentum = rule_has(RULES_MOMENTUM) && odd(step);
    Matrix used[2];
    const int matrices = find_matrices(layer, step, used);
    const bool local = layer.local_shift, measured = refresh && step == 0;
    const int words = layer.block_words();
    if (momentum) {
        sign_sums.resize(words);
        block_sums(layer, &h.signs[step * layer.words], sign_sums.data());
    }
    int64_t size = 0;
    SaturatedRows saturated;
    shared.assign(words, Word{});
    for (int word = 0; word < words; word++) {
        Word& total = shared[word];
        if (local) local_feedback_of_block(h, step, word, total, saturated);
        // Lanes without a neuron have no noise.
        Word signs;
        if (momentum)
            for (int j = 0; j < P; j++) signs[j] = sign_sums[word][j] & layer.valid(word)[j];
        for (int n = 0; n < matrices; n++) {
            const Matrix& m = used[n];
            int16_t* entries = row(layer.feedback_base + (word * layer.entry_sets + m.set) * classes);
            for (int k = 0; k < classes; k++) {
                const int16_t* entry = entries + k * P;
                add_feedback(total, entry, shift, m.errors[k]);
                if (measured) size += entry[0] < 0 ? -entry[0] : entry[0];
            }
            if (momentum) move_entries(entries, layer, signs, m.differences, saturated);
        }
        for (int j = 0; j < P; j++) total[j] = saturate<BLOCK_SUM_WIDTH>(total[j] >> BLOCK_SUM_SHIFT) << BLOCK_SUM_SHIFT;
    }
    count(COUNT_FEEDBACK_SATURATIONS, saturated.count());
    count_work(COUNT_FEEDBACK, words * classes * (matrices + local));
    if (matrices && measured) h.shift = feedback_shift(size, static_cast<int64_t>(words) * matrices * classes);
}

void Engine::feedback_of_blocks(int index, int step) {
    share_feedback(index, step);
    Hidden& h = hidden[index];
    const Layer& layer = h.layer;
    const bool from_loss = rule_has(RULES_FROM_LOSS);
    const int activity = static_cast<int>(reg(REG_ACTIVITY));
    const int32_t loss = std::min(losses[step] >> ZO_LOSS_SHIFT, ERROR_MAX) * rate * ZO_FACTOR * (odd(step) ? -1 : 1);
    uint64_t saturated = 0;
    int n = step * layer.words;
    for (const int block : layer.geometry->block)
        for (int w = 0; w < layer.position_words; w++, n++) {
            Word total = shared[block * layer.position_words + w];
            if (from_loss) {
                const auto sign = widened(h.signs[n].lane);
                for (int j = 0; j < P; j++) total[j] += sign[j] * loss;
            }
            saturated += credit(total, h.surrogate[n], h.spikes[n], activity, layer.valid(w), h.credits[n]);
        }
    count(COUNT_CREDIT_SATURATIONS, saturated);
    // Credits are made while Learn reads them.
    if (from_loss) count_work(COUNT_FEEDBACK, layer.block_words());
}
