// Operations on all lanes. Loops over lanes have fixed trip counts, so that the compiler vectorizes them.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "spec.h"

constexpr int P = LANES;

// One value a lane; at least eight, so that spikes can be read as 64-bit integers.
template <typename T>
struct alignas(64) Lanes {
    T lane[P < 8 ? 8 : P];
    T& operator[](int j) { return lane[j]; }
    const T& operator[](int j) const { return lane[j]; }
};

using Word = Lanes<int32_t>;
using Spikes = Lanes<uint8_t>;  // 0 or 1

// Product of two fractions of 15 bits, rounded half up; one instruction on most processors.
inline int16_t multiply_round(int16_t a, int16_t b) { return ((a * b >> 14) + 1) >> 1; }

template <int Bits>
inline int32_t saturate(int32_t value) {
    constexpr int32_t top = (int32_t{1} << (Bits - 1)) - 1;
    return std::clamp(value, -top - 1, top);
}

// The same for all lanes; returns whether a ``valid`` lane, one that has a neuron, saturated.
template <int Bits>
inline bool saturate_word(const Word& exact, Word& result, const Word& valid) {
    int32_t saturated = 0;
    for (int j = 0; j < P; j++) {
        result[j] = saturate<Bits>(exact[j]);
        saturated |= (result[j] ^ exact[j]) & valid[j];
    }
    return saturated;
}

// Call ``use(lane)`` for each lane that spiked, in ascending order; returns their number.
template <typename Use>
inline int for_each_spike(const Spikes& spikes, Use use) {
    constexpr uint64_t gather = 0x0102040810204080;  // moves the lowest bits of eight bytes to the highest byte
    int count = 0;
    for (int block = 0; block < P; block += 64) {
        uint64_t mask = 0;
        for (int j = block; j < std::min(P, block + 64); j += 8) {
            uint64_t eight;
            std::memcpy(&eight, &spikes.lane[j], sizeof eight);
            mask |= (eight * gather >> 56) << (j - block);
        }
        count += std::popcount(mask);
        for (; mask; mask &= mask - 1) use(block + std::countr_zero(mask));
    }
    return count;
}

// Prefetch rows: at 800 neurons the weight memory is larger than the inner caches.
inline void prefetch(const int16_t* row) {
    for (int j = 0; j < P; j += 32) __builtin_prefetch(row + j);
}

constexpr size_t AHEAD = 6;  // rows
