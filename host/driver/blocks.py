"""Size of the blocks in which memories are sent over the link: shorter on a line that damages them."""

SMALLEST_BYTES = 64
GROW_AFTER = 4
"""Intact blocks in a row after which the block size doubles."""


class BlockSize:
    """Number of rows per block, from SMALLEST_BYTES up to ``most`` rows.

    Long blocks rarely arrive intact on a noisy line: if a share p of the bytes is damaged, n bytes need (1 - p)^-n
    tries on average.

    Parameters
    ----------
    most : int
        Rows per block on a clean line, 1 or more.
    row_bytes : int
        Bytes per row.
    """

    def __init__(self, most: int, row_bytes: int) -> None:
        self.most = self.rows = most
        self.least = min(most, max(1, SMALLEST_BYTES // row_bytes))
        self._intact = 0

    def tries(self, left: int) -> list[int]:
        """Rows of the next block out of ``left``, followed by the sizes to try each time that the line damages it."""
        rows = [min(self.rows, left)]
        while rows[-1] > self.least:
            rows.append(max(self.least, rows[-1] // 2))
        return rows

    def record(self, rows: int, tried: int) -> None:
        """Adapt to a block of which ``rows`` arrived out of the ``tried`` of the first try."""
        if rows < tried:
            self.rows, self._intact = rows, 0
        elif tried == self.rows:
            self._intact += 1
            if self._intact == GROW_AFTER:
                self.rows, self._intact = min(self.most, 2 * self.rows), 0
