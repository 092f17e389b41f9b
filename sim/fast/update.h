// Row update: the only way in which weights and feedback entries change.
#pragma once

#include <algorithm>
#include <cstdint>

#include "lanes.h"
#include "lfsr.h"

using Clipped = Lanes<int16_t>;  // not 0 where an update was limited

// Number of rows in which a lane saturated. To look at all lanes takes a good part of the time of an update, and rows
// hardly ever saturate, so it looks at several rows at once.
class SaturatedRows {
  public:
    // For the update of the next row.
    Clipped& next() {
        if (held == AT_ONCE) look();
        return rows[held++];
    }

    uint64_t count() {
        look();
        return total;
    }

  private:
    static constexpr int AT_ONCE = 16;
    Clipped rows[AT_ONCE];
    int held = 0;
    uint64_t total = 0;

    void look() {
        Clipped any{};
        for (int n = 0; n < held; n++)
            for (int j = 0; j < P; j++) any[j] |= rows[n][j];
        if (clipped(any))
            for (int n = 0; n < held; n++) total += clipped(rows[n]);
        held = 0;
    }

    static bool clipped(const Clipped& row) {
        int16_t any = 0;
        for (int j = 0; j < P; j++) any |= row[j];
        return any;
    }
};

// Decay, stochastic rounding and saturation of one row.
//
// Most of it fits 16 bits. A change of a row is much smaller than the range of a row, so it is limited to the distance
// from the row's end of that range.
inline void update_row(int16_t* __restrict row, const Word& update, int decay_shift, const Draw& draw,
                       Clipped& __restrict clipped) {
    constexpr int row_shift = LOW_BITS + UPDATE_FRAC_BITS;  // from an exact row to the stored row
    constexpr int16_t top = (1 << (WEIGHT_BITS - 1)) - 1, bottom = -top - 1;
    const int16_t decays = 0x8000 >> decay_shift & 0x7FFF;  // 2**-decay_shift, or 0
    for (int j = 0; j < P; j++) {
        const int16_t old = row[j], stored = old >> LOW_BITS, negative = old >> 15;
        const int16_t fraction = (draw[j] >> (DRAW_BITS - row_shift)) - multiply_round(old, decays);
        const int16_t change = (fraction - update[j]) >> row_shift;
        const int16_t most = top - (stored & ~negative), least = bottom - (stored & negative);
        const int16_t possible = std::max(std::min(change, most), least);
        clipped[j] = possible ^ change;
        row[j] = (stored + possible) << LOW_BITS;
    }
}
