// Layers of weights as the registers describe them.
#pragma once

#include "lanes.h"

struct Layer {
    int slot, rows, words, tail, weight_base, feedback_base, word_base, local_shift;
    Word full, last;

    Layer() = default;
    Layer(int slot, int rows, int words, int tail, int weight_base, int feedback_base, int word_base, int local_shift)
        : slot(slot), rows(rows), words(words), tail(tail), weight_base(weight_base), feedback_base(feedback_base),
          word_base(word_base), local_shift(local_shift) {
        for (int j = 0; j < P; j++) full[j] = -1, last[j] = j < tail ? -1 : 0;
    }

    // Lanes of a word that have neurons: all bits set, in others 0.
    const Word& valid(int word) const { return word == words - 1 ? last : full; }
};
