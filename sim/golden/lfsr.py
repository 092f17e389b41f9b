"""The lanes' linear feedback shift registers, drawn together 16 bits at a time.

Over GF(2) the square of the recurrence is the recurrence at doubled distances, so words of 16 bits obey
``W[n + 32 s] = W[n] ^ W[n + 3 s] ^ W[n + 10 s] ^ W[n + 14 s]`` for every power of two ``s``: three vector operations
yield a block of future words.
"""

import numpy as np

from opzo.spec.formats import DRAW_BITS, LFSR_BITS, LFSR_TAPS

_BOOTSTRAP = 32
_BLOCK = 8192


class LaneLFSRs:
    """All lanes' LFSRs.

    Parameters
    ----------
    states : array of uint32 (lanes,)
        Bit i of a state is b[n + i]; a state of 0 stays 0.
    """

    def __init__(self, states: np.ndarray) -> None:
        state = np.asarray(states, dtype=np.uint32)
        # Words n - 2 and n - 1 are the state itself, low half first.
        self._words = np.stack([state & 0xFFFF, state >> DRAW_BITS]).astype(np.uint16)
        self._next = 2

    @property
    def states(self) -> np.ndarray:
        """Present states, uint32 (lanes,)."""
        low, high = self._words[self._next - 2 : self._next].astype(np.uint32)
        states: np.ndarray = low | (high << np.uint32(DRAW_BITS))
        return states

    def draw(self, count: int) -> np.ndarray:
        """Next ``count`` draws: uint16 (count, lanes)."""
        if self._next + count > len(self._words):
            self._extend(count)
        start = self._next
        self._next += count
        return self._words[start : self._next]

    def _extend(self, count: int) -> None:
        past = self._words[max(0, self._next - 1024) :]
        self._next -= len(self._words) - len(past)
        words = np.empty((len(past) + count + _BLOCK, past.shape[1]), dtype=np.uint16)
        words[: len(past)] = past
        end = len(past)
        while end < _BOOTSTRAP:
            words[end] = _fresh(words[end - 2], words[end - 1])
            end += 1
        while end < len(words):
            scale = 1
            while 2 * scale * _BOOTSTRAP <= end:
                scale *= 2
            size = min((LFSR_BITS - LFSR_TAPS[-1]) * scale, len(words) - end)
            block = words[end : end + size]
            first = end - _BOOTSTRAP * scale
            np.bitwise_xor(words[first : first + size], words[first + LFSR_TAPS[1] * scale :][:size], out=block)
            for tap in LFSR_TAPS[2:]:
                np.bitwise_xor(block, words[first + tap * scale :][:size], out=block)
            end += size
        self._words = words


def _fresh(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The 16 bits that follow a state given by its halves."""
    state = low.astype(np.uint32) | (high.astype(np.uint32) << np.uint32(DRAW_BITS))
    bits = state.copy()
    for tap in LFSR_TAPS[1:]:
        bits ^= state >> np.uint32(tap)
    return (bits & 0xFFFF).astype(np.uint16)
