// Feedback: the error of the readout, projected to a hidden layer by its feedback matrix.
#pragma once

#include <cstdint>

#include "lanes.h"

// Shift of a layer's feedback matrix; ``size`` is the sum of the magnitudes of ``count`` entries.
inline int feedback_shift(int64_t size, int64_t count) {
    int shift = 0;
    while (size >> shift >= FEEDBACK_MEAN_MAX * count && shift < FEEDBACK_SHIFT_MAX) shift++;
    return shift;
}

// Add one entry's term of a feedback sum.
inline void add_feedback(Word& __restrict total, const int16_t* entry, int shift, int32_t error) {
    const auto wide = widened(entry);
    for (int j = 0; j < P; j++) total[j] += saturate<FEEDBACK_FACTOR_BITS>(wide[j] >> shift) * error;
}

// Three-factor credit of a word plus the activity cost; returns whether it saturated for a ``valid`` lane.
inline bool credit(const Word& total, const Lanes<uint8_t>& surrogate, const Spikes& spikes, int activity, const Word& valid,
                   Word& __restrict result) {
    const auto codes = widened(surrogate.lane);
    const auto fired = widened(spikes.lane);
    int32_t saturated = 0;
    for (int j = 0; j < P; j++) {
        const int32_t rounded = ((total[j] >> (DELTA_SHIFT - 1 + (codes[j] & 7))) + 1) >> 1;
        const int32_t exact = codes[j] == SURROGATE_OFF ? 0 : rounded;
        const int32_t scaled = saturate<CREDIT_WIDTH>(exact);
        const int32_t costly = scaled + (-fired[j] & activity);
        const int32_t kept = saturate<CREDIT_WIDTH>(costly);
        result[j] = kept & valid[j];
        saturated |= ((scaled ^ exact) | (kept ^ costly)) & valid[j];
    }
    return saturated;
}
