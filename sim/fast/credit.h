// Credit filter, and what the rows below contribute to an update.
#pragma once

#include <cstdint>

#include "lanes.h"

// E of one word by step; ``credits`` are those of the first step, followed by those of the other words and steps.
struct Filtered {
    Word steps[HISTORY_STEPS];
    int count;

    void filter(const Word* credits, int words, int steps_of_run) {
        count = steps_of_run;
        steps[count - 1] = credits[(count - 1) * words];
        for (int k = count - 2; k >= 0; k--)
            for (int j = 0; j < P; j++) steps[k][j] = credits[k * words][j] + steps[k + 1][j] / 2;
    }
};

// Add a credit times a value or trace, rounded half up.
inline void add_scaled(const Word& credit, int factor, Word& update) {
    for (int j = 0; j < P; j++) update[j] += (credit[j] * factor + (1 << (INPUT_BITS - 1))) >> INPUT_BITS;
}

// Updates of rows by their spikes: tables of the sums of E over a half of a history, as in the gateware.
class SpikeUpdates {
  public:
    void fill(const Filtered& filtered) {
        low[0] = high[0] = Word{};
        for (int k = 0; k < filtered.count; k++) {
            Word* half = k < HALF ? low : high;
            const int first = 1 << k % HALF;
            for (int n = 0; n < first; n++)
                for (int j = 0; j < P; j++) half[first + n][j] = half[n][j] + filtered.steps[k][j];
        }
    }

    void update(unsigned history, Word& update) const {
        const Word &a = low[history % (1 << HALF)], &b = high[history >> HALF];
        for (int j = 0; j < P; j++) update[j] = a[j] + b[j];
    }

  private:
    static constexpr int HALF = HISTORY_STEPS / 2;
    Word low[1 << HALF], high[1 << HALF];
};

// Sum of E over the sample.
inline void frame_credit(const Filtered& filtered, Word& total) {
    total = Word{};
    for (int k = 0; k < filtered.count; k++)
        for (int j = 0; j < P; j++) total[j] += filtered.steps[k][j];
    for (int j = 0; j < P; j++) total[j] = saturate<FRAME_CREDIT_WIDTH>(total[j]);
}
