// Spike histories, presynaptic traces and the list of active rows of the inputs or of one hidden layer.
#pragma once

#include <cstdint>
#include <vector>

#include "spec.h"

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

    // Add a spike of a row; returns whether it is the first one in the run.
    bool mark(int row, int step) {
        const bool first = !history[row];
        append(row);
        history[row] |= 1 << step;
        return first;
    }

    void mark_graded(int row, int value) {
        append(row);
        history[row] = value;
    }

  private:
    void append(int row) {
        if (!history[row] && !trace[row]) active.push_back(row);
    }
};
