"""Statistics counters."""

from opzo.spec.registers import COUNTER_BITS, Counter


class Counters:
    """Counts by Counter, each modulo 2**COUNTER_BITS."""

    def __init__(self) -> None:
        self._counts = [0] * len(Counter)

    def __len__(self) -> int:
        return len(self._counts)

    def __getitem__(self, counter: int) -> int:
        return self._counts[counter]

    def add(self, counter: int, amount: int) -> None:
        """Add ``amount``."""
        self._counts[counter] = (self._counts[counter] + int(amount)) % (1 << COUNTER_BITS)

    def clear(self) -> None:
        """Set all to 0."""
        self._counts = [0] * len(Counter)

    def word(self, counter: int, high: int) -> int:
        """Low 32 bits (``high`` 0) or the rest (``high`` 1) of a counter."""
        return (self[counter] >> 32) if high else self[counter] & 0xFFFFFFFF
