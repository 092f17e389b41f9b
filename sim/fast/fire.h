// Fire: one time step of leaky integrate-and-fire neurons.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "lanes.h"

// One word; ``leaked`` gives the potential after the leak, ``reset`` is the number of the reset, ``amplitude`` times
// ``signs`` the noise. Returns whether a potential saturated; only ``valid`` lanes (all bits set, others 0) count and
// spike.
template <typename Leaked>
bool fire_leaked(Leaked leaked, int reset, Word& __restrict v, const Word& current, const Signs& signs, int amplitude,
                 const Word& valid, Spikes& __restrict spikes, Lanes<uint8_t>& __restrict surrogate) {
    const int32_t to_zero = reset == RESET_ZERO ? -1 : 0, threshold = THRESHOLD & ~to_zero;
    const auto sign = widened(signs.lane);
    Wide<uint8_t> fired, codes;
    int32_t saturated = 0;
    for (int j = 0; j < P; j++) {
        const int32_t exact = leaked(v[j]) + current[j];
        const int32_t u = saturate<MEMBRANE_WIDTH>(exact);
        saturated |= (u ^ exact) & valid[j];
        const int32_t distance = u - THRESHOLD;
        const int32_t spike = ~(distance + sign[j] * amplitude) >> 31 & valid[j];
        v[j] = u - (spike & (threshold | (u & to_zero)));
        fired[j] = spike & 1;
        codes[j] = std::min(std::abs(distance) >> SURROGATE_SHIFT, SURROGATE_OFF);
    }
    narrow(fired, spikes);
    narrow(codes, surrogate);
    return saturated;
}

// ``fire_leaked`` with the number of the leak.
template <typename... Others>
bool fire(int leak, Others&&... others) {
    if (leak == LEAK_HALF) return fire_leaked([](int32_t v) { return v >> 1; }, others...);
    if (leak >= LEAK_ONE) return fire_leaked([](int32_t v) { return v; }, others...);
    const int shift = LEAK_SHIFTS[leak];
    return fire_leaked([shift](int32_t v) { return v - (v >> shift); }, others...);
}
