// Operations on all lanes: random draws, row updates.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "spec.h"

constexpr int P = LANES;
constexpr int ROW_SHIFT = LOW_BITS + UPDATE_FRAC_BITS;  // from an exact row to the stored row

struct alignas(64) Word {
    std::array<int32_t, P> lane;
    int32_t& operator[](int j) { return lane[j]; }
    const int32_t& operator[](int j) const { return lane[j]; }
};

template <int Bits>
inline int32_t saturate(int32_t value) {
    constexpr int32_t top = (int32_t{1} << (Bits - 1)) - 1;
    return std::clamp(value, -top - 1, top);
}

// The same for all lanes; returns whether one of the first ``valid`` lanes, which have neurons, saturated.
template <int Bits>
inline bool saturate_word(const Word& exact, Word& result, int valid) {
    int32_t saturated = 0;
    for (int j = 0; j < P; j++) {
        result[j] = saturate<Bits>(exact[j]);
        saturated |= j < valid ? result[j] ^ exact[j] : 0;
    }
    return saturated;
}

// Prefetch rows: at 800 neurons the weight memory is larger than the inner caches.
inline void prefetch(const int16_t* row) {
    for (int j = 0; j < P; j += 32) __builtin_prefetch(row + j);
}

constexpr size_t AHEAD = 6;  // rows

// The next 16 random bits of each lane.
inline Word draw(Word& lfsrs) {
    Word fresh;
    for (int j = 0; j < P; j++) {
        const uint32_t s = lfsrs[j];
        const uint32_t bits = (s ^ s >> LFSR_TAP_1 ^ s >> LFSR_TAP_2 ^ s >> LFSR_TAP_3) & 0xFFFF;
        fresh[j] = bits;
        lfsrs[j] = s >> DRAW_BITS | bits << DRAW_BITS;
    }
    return fresh;
}

// Decay, stochastic rounding and saturation of one row; returns whether a lane saturated.
inline bool update_row(int16_t* row, const Word& update, int decay_shift, Word& lfsrs) {
    const Word fresh = draw(lfsrs);
    const int32_t half = decay_shift ? 1 << (decay_shift - 1) : 0;
    const int32_t decays = decay_shift ? -1 : 0;
    int32_t saturated = 0;
    for (int j = 0; j < P; j++) {
        const int32_t old = row[j];
        const int32_t exact = (old << UPDATE_FRAC_BITS) + (fresh[j] >> (DRAW_BITS - ROW_SHIFT)) - update[j] -
                              ((old + half >> decay_shift) & decays);
        const int32_t stored = exact >> ROW_SHIFT;
        const int32_t result = saturate<WEIGHT_BITS>(stored);
        saturated |= result ^ stored;
        row[j] = static_cast<int16_t>(result << LOW_BITS);
    }
    return saturated;
}
