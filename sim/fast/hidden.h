// Layers of weights, and the state of a hidden layer during a run.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "lanes.h"

struct Layer {
    int rows, words, tail, weight_base, feedback_base, word_base, local_shift, slot;
    int valid_lanes(int word) const { return word == words - 1 ? tail : P; }
};

// State of one hidden layer during a run; by time step, then word.
struct Hidden {
    Layer layer;
    std::vector<Word> v, current;
    std::vector<Word> sign;   // +-1 of the noise in the last even step, by word
    std::vector<Word> signs;  // in the pair's even step
    std::vector<std::array<uint8_t, P>> spikes, surrogate;
    std::vector<Word> credits;
    std::vector<int> listed[HISTORY_STEPS];  // rows that spiked in a step, ascending
    int32_t local_errors[HISTORY_STEPS][MAX_CLASSES];
    int shift;                               // takes effect after the run; -1: unchanged

    void begin(const Layer& of, int steps) {
        layer = of;
        v.resize(layer.words);
        sign.resize(layer.words);
        signs.resize(steps * layer.words);
        current.resize(layer.words);
        spikes.resize(steps * layer.words);
        surrogate.resize(steps * layer.words);
        credits.assign(steps * layer.words, Word{});
        for (auto& list : listed) list.clear();
        shift = -1;
    }
};
