// The lanes' linear feedback shift registers, drawn together 16 bits at a time.
//
// Words of 16 bits obey W[n + 32] = W[n] ^ W[n + 3] ^ W[n + 10] ^ W[n + 14] (sim/golden/lfsr.py), so the draws are made
// from a ring of 32 words, 30 of them ahead, without shifts.
#pragma once

#include <cstdint>

#include "lanes.h"

using Draw = Lanes<uint16_t>;

class LaneLFSRs {
  public:
    void begin(const uint32_t* states) {
        for (int j = 0; j < P; j++) words[0][j] = states[j], words[1][j] = states[j] >> DRAW_BITS;
        for (int n = 2; n < RING; n++)
            for (int j = 0; j < P; j++) {
                const uint32_t s = words[n - 2][j] | static_cast<uint32_t>(words[n - 1][j]) << DRAW_BITS;
                words[n][j] = s ^ s >> LFSR_TAP_1 ^ s >> LFSR_TAP_2 ^ s >> LFSR_TAP_3;
            }
        next = 2;
    }

    void end(uint32_t* states) const {
        for (int j = 0; j < P; j++)
            states[j] = word(next - 2)[j] | static_cast<uint32_t>(word(next - 1)[j]) << DRAW_BITS;
    }

    // The next 16 random bits of each lane; valid until the next draw but one.
    const Draw& draw() {
        Draw& oldest = words[(next - 2) % RING];
        const Draw &a = word(next - 2 + LFSR_TAP_1), &b = word(next - 2 + LFSR_TAP_2), &c = word(next - 2 + LFSR_TAP_3);
        for (int j = 0; j < P; j++) oldest[j] ^= a[j] ^ b[j] ^ c[j];
        return words[next++ % RING];
    }

  private:
    static constexpr unsigned RING = LFSR_BITS;
    Draw words[RING];
    unsigned next;  // word to be drawn next

    const Draw& word(unsigned n) const { return words[n % RING]; }
};
