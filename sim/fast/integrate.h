// Integrate: weighted sum of the active rows.
#pragma once

#include <algorithm>
#include <cstdint>

#include "lanes.h"
#include "layer.h"

// Rows with values whose sum stays within 32 bits.
constexpr int SAFE_ROWS = 1 << (31 - (WEIGHT_WIDTH - 1) - INPUT_BITS + PRODUCT_SHIFT);

// Sum of weight x value of any number of rows, from parts of at most SAFE_ROWS.
struct ValueSum {
    Lanes<int64_t> total{};

    void add(const Word& part) {
        for (int j = 0; j < P; j++) total[j] += part[j];
    }

    // Input current; returns whether it saturated for any neuron.
    bool current(const Word& valid, Word& result) const {
        Word sum;
        for (int j = 0; j < P; j++)
            sum[j] = static_cast<int32_t>(total[j] >> (ACCUMULATOR_FRAC - MEMBRANE_FRAC));
        return saturate_word<MEMBRANE_WIDTH>(sum, result, valid);
    }
};

// Input current of one word from rows with values, of which ``base`` is row 0; returns whether it saturated for any
// neuron.
inline bool integrate_values(const int16_t* base, const int* rows, const int* values, size_t count, const Word& valid,
                             Word& current) {
    ValueSum sum;
    for (size_t begin = 0; begin < count; begin += SAFE_ROWS) {
        Word part{};
        for (size_t n = begin; n < std::min(count, begin + SAFE_ROWS); n++) {
            const int16_t* w = base + rows[n] * P;
            if (n + AHEAD < count) prefetch(base + rows[n + AHEAD] * P);
            const int32_t x = values[n];
            const auto wide = widened(w);
            for (int j = 0; j < P; j++) part[j] += wide[j] * x >> PRODUCT_SHIFT;
        }
        sum.add(part);
    }
    return sum.current(valid, current);
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
        const auto wide = widened(w);
        for (int j = 0; j < P; j++) sum[j] += wide[j];
    }
    return saturate_word<MEMBRANE_WIDTH>(sum, current, valid);
}
