// Fire: one time step of leaky integrate-and-fire neurons with soft reset.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "lanes.h"

// One word; ``amplitude`` times ``sign`` is the noise. Returns whether a potential saturated; only ``valid`` lanes (all
// bits set, others 0) count and spike.
inline bool fire(Word& __restrict v, const Word& current, const Word& sign, int amplitude, const Word& valid,
                 Spikes& __restrict spikes, Lanes<uint8_t>& __restrict surrogate) {
    int32_t saturated = 0;
    for (int j = 0; j < P; j++) {
        const int32_t exact = (v[j] >> 1) + current[j];
        const int32_t u = saturate<MEMBRANE_WIDTH>(exact);
        saturated |= (u ^ exact) & valid[j];
        const int32_t distance = u - THRESHOLD;
        const int32_t spike = ~(distance + sign[j] * amplitude) >> 31 & valid[j];
        v[j] = u - (spike & THRESHOLD);
        spikes[j] = spike & 1;
        surrogate[j] = std::min(std::abs(distance) >> SURROGATE_SHIFT, SURROGATE_OFF);
    }
    return saturated;
}
