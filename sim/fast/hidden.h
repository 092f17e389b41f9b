// State of a hidden layer during a run.
#pragma once

#include <cstdint>
#include <vector>

#include "lanes.h"
#include "layer.h"

// By time step, then word.
struct Hidden {
    Layer layer;
    std::vector<Word> v, current;
    std::vector<Signs> sign;   // of the noise in the last even step, by word
    std::vector<Signs> signs;  // in the pair's even step
    std::vector<Spikes> spikes;
    std::vector<Lanes<uint8_t>> surrogate;
    std::vector<Word> credits;
    std::vector<Word> spike_sums;  // over the positions of each block, by step, block, then word
    std::vector<int> listed[HISTORY_STEPS];  // rows that spiked in a step, ascending
    int32_t local_errors[HISTORY_STEPS][MAX_CLASSES];
    int shift;  // takes effect after the run; -1: unchanged

    void begin(const Layer& of, int steps) {
        layer = of;
        v.resize(layer.words);
        sign.resize(layer.words);
        signs.resize(steps * layer.words);
        current.resize(layer.words);
        spikes.resize(steps * layer.words);
        surrogate.resize(steps * layer.words);
        credits.resize(steps * layer.words);
        spike_sums.resize(steps * layer.block_words());
        for (auto& list : listed) list.clear();
        shift = -1;
    }
};
