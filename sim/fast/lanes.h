// Operations on all lanes. Loops over lanes have fixed trip counts, so that the compiler vectorizes them.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "spec.h"

constexpr int P = LANES;

constexpr int STORED = std::max(P, 8);  // lanes, so that eight spikes can be read as a 64-bit integer

// One value a lane.
template <typename T>
struct alignas(std::min<size_t>(64, STORED * sizeof(T))) Lanes {
    T lane[STORED];
    T& operator[](int j) { return lane[j]; }
    const T& operator[](int j) const { return lane[j]; }
};

using Word = Lanes<int32_t>;
using Spikes = Lanes<uint8_t>;  // 0 or 1
using Signs = Lanes<int8_t>;    // -1 or 1

// Lanes of another width that a loop over words reads or writes. GCC works on only four lanes at a time in a loop of mixed
// widths over 16 lanes or fewer; 16 assignments in a row it converts at once. More lanes it converts in the loop.
constexpr bool CONVERTED = P <= 16;

template <typename T>
using Wide = std::conditional_t<CONVERTED, Word, Lanes<T>>;

template <typename From, typename To, size_t... J>
inline void convert(const From* from, To* to, std::index_sequence<J...>) {
    ((to[J] = static_cast<To>(from[J])), ...);
}

template <typename T>
inline auto widened(const T* from) {
    if constexpr (CONVERTED) {
        Word word;
        convert(from, word.lane, std::make_index_sequence<P>());
        return word;
    } else {
        return from;
    }
}

template <typename T>
inline void narrow(const Wide<T>& from, Lanes<T>& to) {
    if constexpr (CONVERTED)
        convert(from.lane, to.lane, std::make_index_sequence<P>());
    else
        to = from;
}

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
