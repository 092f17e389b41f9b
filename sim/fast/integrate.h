// Integrate: weighted sum of the active rows.
#pragma once

#include <cstdint>

#include "lanes.h"
#include "layer.h"

// Input current of one word from rows with values, of which ``base`` is row 0; returns whether it saturated for any
// neuron.
inline bool integrate_values(const int16_t* base, const int* rows, const int* values, size_t count, const Word& valid,
                             Word& current) {
    Word sum{};
    for (size_t n = 0; n < count; n++) {
        const int16_t* w = base + rows[n] * P;
        if (n + AHEAD < count) prefetch(base + rows[n + AHEAD] * P);
        const int32_t x = values[n];
        for (int j = 0; j < P; j++) sum[j] += w[j] * x >> PRODUCT_SHIFT;
    }
    for (int j = 0; j < P; j++) sum[j] >>= ACCUMULATOR_FRAC - MEMBRANE_FRAC;
    return saturate_word<MEMBRANE_WIDTH>(sum, current, valid);
}

// Input current from rows that spiked and a bias row; returns whether it saturated for any neuron.
inline bool integrate_spikes(const int16_t* base, const int* rows, size_t count, const int16_t* bias, const Word& valid,
                             Word& current) {
    static_assert(SPIKE_INPUT >> PRODUCT_SHIFT == 1 << (ACCUMULATOR_FRAC - MEMBRANE_FRAC),
                  "a spike adds exactly the weight");
    Word sum;
    for (int j = 0; j < P; j++) sum[j] = bias[j];
    for (size_t n = 0; n < count; n++) {
        const int16_t* w = base + rows[n] * P;
        if (n + AHEAD < count) prefetch(base + rows[n + AHEAD] * P);
        for (int j = 0; j < P; j++) sum[j] += w[j];
    }
    return saturate_word<MEMBRANE_WIDTH>(sum, current, valid);
}
