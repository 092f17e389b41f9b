// What Python and the compiled code exchange.
#pragma once

#include <cstdint>

#include "spec.h"

// State kept between runs; Python owns the arrays.
struct State {
    int16_t* memory;         // (rows, P)
    uint32_t* lfsrs;         // (P)
    int32_t* membrane;       // (words, P)
    uint8_t* negative;       // (words, P)
    uint8_t* trace;          // (words, P)
    uint8_t* history;        // (words, P)
    uint8_t* input_trace;    // (inputs)
    uint8_t* input_history;  // (inputs)
    int64_t* last_outputs;   // (classes)
    int64_t* output_sums;    // (classes)
    int64_t* last_intermediate;  // (classes)
    int64_t* registers;      // by address
    uint64_t* counters;      // by Counter
    int32_t* gradients;      // (gradients, P)
};

// Input of a run.
struct Events {
    const uint16_t* addresses;
    const uint8_t* values;
    const int32_t* ends;  // number of events up to the end of each time step, for event input
    int32_t count, steps;
};

struct Answer {
    int32_t prediction;
    int32_t loss;
    int32_t outputs[MAX_CLASSES];
};
