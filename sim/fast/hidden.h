// Layers of weights, and what a hidden layer remembers during a sample.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "lanes.h"

struct Layer {
    int rows, words, tail, weight_base, feedback_base, word_base, local_shift, slot;
    int valid_lanes(int word) const { return word == words - 1 ? tail : P; }
};

// What one hidden layer remembers during a sample; by time step, then word.
struct Hidden {
    Layer layer;
    std::vector<Word> v, current;
    std::vector<Word> noise;  // +-1 of the even steps, turned at the odd ones; 0 without noise
    std::vector<std::array<uint8_t, P>> seen;
    std::vector<std::array<uint8_t, P>> spikes, surrogate;
    std::vector<Word> credits;
    std::vector<int> listed[HISTORY_STEPS];  // rows that spiked in a step, ascending
    std::vector<int> active;                 // rows that spiked, in order of their first spike
    int32_t local_errors[HISTORY_STEPS][MAX_CLASSES];
    int shift;                               // that comes into force after the sample; -1: the old one

    void begin(const Layer& of, int steps) {
        layer = of;
        v.assign(layer.words, Word{});
        noise.assign((steps + 1) / 2 * layer.words, Word{});
        current.resize(layer.words);
        seen.assign(layer.words, {});
        spikes.resize(steps * layer.words);
        surrogate.resize(steps * layer.words);
        credits.assign(steps * layer.words, Word{});
        for (auto& list : listed) list.clear();
        active.clear();
        shift = -1;
    }
};
