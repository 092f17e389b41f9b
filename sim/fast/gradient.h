// Gradient accumulators of convolutions.
#pragma once

#include <algorithm>
#include <cstdint>

#include "lanes.h"

// Add an update to a row-word of gradients; returns whether a lane saturated.
inline bool accumulate(int32_t* __restrict gradients, const Word& update) {
    static_assert(GRADIENT_WIDTH == 32);
    int32_t saturated = 0;
    for (int j = 0; j < P; j++) {
        const int32_t old = gradients[j];
        const int32_t sum = static_cast<int32_t>(static_cast<uint32_t>(old) + static_cast<uint32_t>(update[j]));
        const int32_t wrapped = ((old ^ sum) & (update[j] ^ sum)) >> 31;
        gradients[j] = (sum & ~wrapped) | ((old >> 31 ^ GRADIENT_MAX) & wrapped);
        saturated |= wrapped;
    }
    return saturated;
}

// Largest magnitude of gradients.
inline int64_t largest(const int32_t* gradients, int count) {
    int32_t top = 0, bottom = 0;
    for (int n = 0; n < count; n++) top = std::max(top, gradients[n]), bottom = std::min(bottom, gradients[n]);
    return std::max<int64_t>(top, -int64_t{bottom});
}

inline int gradient_shift(uint64_t magnitude, uint64_t count, uint64_t rate) {
    int shift = 0;
    while (magnitude >= count * rate << shift && shift < GRADIENT_SHIFT_MAX) shift++;
    return shift;
}

inline uint64_t magnitude_after(uint64_t before, uint64_t total) {
    const uint64_t after = before - (before >> MAGNITUDE_DECAY_BITS) + (total >> MAGNITUDE_UNIT_BITS);
    return std::min<uint64_t>(after, MAGNITUDE_MAX);
}

// Update of weights by their gradients, rounded half up and saturated.
inline void gradient_step(const int32_t* gradients, int shift, Word& update) {
    const int most = std::max(shift - 1, 0), half = shift ? 1 : 0;
    for (int j = 0; j < P; j++)
        update[j] = saturate<GRADIENT_STEP_WIDTH>(static_cast<int32_t>(
            (static_cast<int64_t>(gradients[j] >> most) + half) >> half));
}
