// Error and loss of the readouts of one time step.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "spec.h"

inline int error_step(const int32_t* o, int classes, int label, int mse_shift, int32_t* e) {
    constexpr int exponent_shift = LOG2E_FRAC_BITS + MEMBRANE_FRAC - EXP2_FRAC_BITS;
    constexpr int fraction_mask = (1 << EXP2_FRAC_BITS) - 1;
    constexpr int probability_shift = RECIPROCAL_BITS - ERROR_FRAC;
    constexpr int label_shift = MEMBRANE_FRAC - ERROR_FRAC;
    const int32_t top = *std::max_element(o, o + classes);
    int32_t exponents[MAX_CLASSES], powers[MAX_CLASSES];
    int64_t total = 0;
    for (int k = 0; k < classes; k++) {
        exponents[k] = (int64_t{top} - o[k]) * LOG2E_NUMERATOR >> exponent_shift;
        powers[k] = EXP2[exponents[k] & fraction_mask] >> std::min(exponents[k] >> EXP2_FRAC_BITS, 31);
        total += powers[k];
    }
    const int64_t reciprocal = (int64_t{1} << RECIPROCAL_BITS) / total;
    for (int k = 0; k < classes; k++) {
        const int32_t target = k == label ? ERROR_ONE : 0;
        e[k] = static_cast<int32_t>((powers[k] * reciprocal + (int64_t{1} << (probability_shift - 1))) >>
                                    probability_shift) - target;
        if (mse_shift) e[k] = std::clamp(e[k] + (((o[k] >> label_shift) - target) >> mse_shift), -ERROR_MAX, ERROR_MAX);
    }
    const int whole = std::bit_width(static_cast<uint64_t>(total)) - 1;
    const int fraction = static_cast<int>(total >> (whole - EXP2_FRAC_BITS)) & fraction_mask;
    const int log_total = ((whole - EXP2_ONE_BITS) << LOSS_FRAC_BITS) + LOG2[fraction];
    return std::min((exponents[label] << (LOSS_FRAC_BITS - EXP2_FRAC_BITS)) + log_total, (1 << LOSS_BITS) - 1);
}
