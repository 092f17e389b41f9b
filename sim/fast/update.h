// Row update: the only way in which weights and feedback entries change.
#pragma once

#include <algorithm>
#include <cstdint>

#include "lanes.h"
#include "lfsr.h"

// Decay, stochastic rounding and saturation of one row; returns whether a lane saturated.
//
// Most of it fits 16 bits. A change of a row is much smaller than the range of a row, so it is limited to the distance
// from the row's end of that range.
inline bool update_row(int16_t* __restrict row, const Word& update, int decay_shift, const Draw& draw) {
    constexpr int row_shift = LOW_BITS + UPDATE_FRAC_BITS;  // from an exact row to the stored row
    constexpr int16_t top = (1 << (WEIGHT_BITS - 1)) - 1, bottom = -top - 1;
    const int16_t decays = 0x8000 >> decay_shift & 0x7FFF;  // 2**-decay_shift, or 0
    int16_t saturated = 0;
    for (int j = 0; j < P; j++) {
        const int16_t old = row[j], stored = old >> LOW_BITS, negative = old >> 15;
        const int16_t fraction = (draw[j] >> (DRAW_BITS - row_shift)) - multiply_round(old, decays);
        const int16_t change = (fraction - update[j]) >> row_shift;
        const int16_t most = top - (stored & ~negative), least = bottom - (stored & negative);
        const int16_t possible = std::max(std::min(change, most), least);
        saturated |= possible ^ change;
        row[j] = (stored + possible) << LOW_BITS;
    }
    return saturated;
}
