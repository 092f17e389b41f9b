"""Blocks in which memories travel over the link: shorter ones where the line damages them."""

SMALLEST_BYTES = 64
GROW_AFTER = 4
"""Whole blocks in a row after which the next ones are twice as long."""


class BlockSize:
    """Rows of a block, between ``most`` and what SMALLEST_BYTES hold.

    A long block on a noisy line hardly ever comes through: with a share p of damaged bytes, n bytes do so once in
    (1 - p)^-n tries.

    Parameters
    ----------
    most : int
        Rows of a block on a clean line, 1 or more.
    row_bytes : int
        Bytes of a row.
    """

    def __init__(self, most: int, row_bytes: int) -> None:
        self.most = self.rows = most
        self.least = min(most, max(1, SMALLEST_BYTES // row_bytes))
        self._whole = 0

    def tries(self, left: int) -> list[int]:
        """Rows to ask for of ``left`` ones, and what to halve them to each time that the line damages them."""
        rows = [min(self.rows, left)]
        while rows[-1] > self.least:
            rows.append(max(self.least, rows[-1] // 2))
        return rows

    def took(self, rows: int, of: int) -> None:
        """Learn from a block of which ``rows`` of ``of`` came through."""
        if rows < of:
            self.rows, self._whole = rows, 0
        elif of == self.rows:
            self._whole += 1
            if self._whole == GROW_AFTER:
                self.rows, self._whole = min(self.most, 2 * self.rows), 0
