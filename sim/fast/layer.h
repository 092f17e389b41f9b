// Layers of weights as the registers describe them.
#pragma once

#include "geometry.h"
#include "lanes.h"

struct Layer {
    int slot, rows, words, tail, weight_base, feedback_base, word_base, local_shift, leak, reset;
    int position_words, kernel, gradient_base, block_shift;
    int entry_sets;  // local readout, feedback matrix and intermediate one, as far as the layer has them
    const Geometry* geometry;  // where the layer or the one below is a convolution; else null
    Word full, last;

    // Words are those of all positions.
    void begin() {
        for (int j = 0; j < P; j++) full[j] = -1, last[j] = j < tail ? -1 : 0;
    }

    // Lanes of a word that have neurons: all bits set, in others 0.
    const Word& valid(int word) const {
        return tail == P || (position_words > 1 && (word + 1) % position_words) ? full : last;
    }

    // Which of the entry sets is the feedback matrix; the intermediate one follows.
    int first_matrix() const { return local_shift ? 1 : 0; }

    // Log2 of the positions of a block.
    int block_bits() const { return 2 * block_shift; }

    // Words of feedback of a convolution, those of all blocks.
    int block_words() const { return kernel ? geometry->blocks * position_words : 0; }
};
