// Spike histories, presynaptic traces and the list of active rows of the inputs or of one hidden layer.
#pragma once

#include <cstdint>
#include <vector>

#include "lanes.h"

inline int advance(int trace, int history, int steps) {
    return trace >> steps | (history << (HISTORY_STEPS - steps) & ((1 << HISTORY_STEPS) - 1));
}

struct Traces {
    uint8_t *trace, *history;
    std::vector<int> active;  // rows with a nonzero history or trace, in order of activation

    // Advance by the steps of a run; a fresh run clears earlier spikes.
    void begin(int steps, bool fresh, bool graded) {
        size_t kept = 0;
        for (const int i : active) {
            const int after = graded ? (trace[i] >> 1) + ((history[i] + 1) >> 1) : advance(trace[i], history[i], steps);
            trace[i] = fresh ? 0 : after;
            history[i] = 0;
            if (trace[i]) active[kept++] = i;
        }
        active.resize(kept);
    }

    // Add a spike of a row.
    void mark(int row, int step) {
        append(row);
        history[row] |= 1 << step;
    }

    void mark_graded(int row, int value) {
        append(row);
        history[row] = value;
    }

    // Add the spikes of a word of rows; returns how many are the first ones in the run.
    int mark_word(int word, const Spikes& spikes, int step) {
        uint8_t* __restrict of_run = history + word * P;
        const uint8_t* __restrict before = trace + word * P;
        const uint8_t bit = 1 << step;
        Spikes first{}, appended{};
        for (int j = 0; j < P; j++) {
            first[j] = spikes[j] & (of_run[j] == 0);
            appended[j] = first[j] & (before[j] == 0);
            of_run[j] |= spikes[j] ? bit : 0;
        }
        for_each_spike(appended, [&](int lane) { active.push_back(word * P + lane); });
        return for_each_spike(first, [](int) {});
    }

    // Active rows of a number of words, ascending; where many are active this is faster than to sort them.
    void list(int words, std::vector<int>& rows) const {
        rows.clear();
        for (int w = 0; w < words; w++) {
            const uint8_t *of_run = history + w * P, *before = trace + w * P;
            Spikes any{};
            for (int j = 0; j < P; j++) any[j] = (of_run[j] | before[j]) != 0;
            for_each_spike(any, [&](int lane) { rows.push_back(w * P + lane); });
        }
    }

  private:
    void append(int row) {
        if (!history[row] && !trace[row]) active.push_back(row);
    }
};
