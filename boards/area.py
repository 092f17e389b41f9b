"""Estimate the cells that a chip needs before it is synthesised.

``python bench/area.py`` measures the coefficients; a test compares them with a real build.
"""

from dataclasses import dataclass

from opzo.boards.board import Family, Resources
from opzo.boards.shapes import memories
from opzo.hw.lib.row_memory import BANK_ROWS
from opzo.spec.limits import Limits

OTHER_BLOCK_RAMS = 3
"""Block RAMs of a chip with convolutions whose size does not depend on the network: link, errors."""


@dataclass(frozen=True)
class Area:
    """Cost model of a device family: coefficients of a chip's cells.

    Parameters
    ----------
    luts, flip_flops, multipliers : tuple
        (fixed, per group of lanes, per lane).
    block_rams : tuple
        (fixed, per 1,024 events of a chunk, per group, per lane), without the row memory; an upper bound, because in a
        small chip some of these memories are mapped to look-up tables. For chips without convolutions; the memories of
        others are counted by their shapes.
    convolution : tuple of float
        (look-up tables, flip-flops, multipliers) of a chip with convolutions as multiples of those of a chip without
        them. Measured once, on ECP5: 28,120 look-up tables and 19,333 flip-flops with 8 lanes in a group of 8.
    block_ram : tuple of (rows, bits)
        Shapes that a block RAM can have, deepest first.
    usable : float
        Share of the look-up tables above which place and route takes long or fails.
    """

    luts: tuple[int, int, int]
    flip_flops: tuple[int, int, int]
    multipliers: tuple[int, int, int]
    block_rams: tuple[float, float, float, float]
    block_ram: tuple[tuple[int, int], ...]
    convolution: tuple[float, float, float]
    usable: float = 0.9

    def estimate(self, limits: Limits) -> Resources:
        """Cells of a chip with ``limits``."""
        groups = limits.groups

        def of(coefficients: tuple[int, int, int]) -> int:
            fixed, group, lane = coefficients
            return fixed + group * groups + lane * limits.lanes

        luts, flip_flops, multipliers = self.convolution if limits.gradients else (1, 1, 1)
        return Resources(
            luts=round(luts * of(self.luts)),
            flip_flops=round(flip_flops * of(self.flip_flops)),
            block_rams=self._others(limits) + self.row_memory(limits),
            multipliers=round(multipliers * of(self.multipliers)),
        )

    def _others(self, limits: Limits) -> int:
        """Block RAMs without the row memory."""
        if limits.gradients:
            return OTHER_BLOCK_RAMS + sum(copies * self._block_rams(*shape) for copies, shape in memories(limits))
        fixed, thousand, group, lane = self.block_rams
        return round(fixed + thousand * limits.events / 1024 + group * limits.groups + lane * limits.lanes)

    def row_memory(self, limits: Limits) -> int:
        """Block RAMs of the groups' row memories: banks of BANK_ROWS rows, the last one only as deep as needed."""
        lanes = limits.lanes_per_group
        full, rest = divmod(limits.rows, BANK_ROWS)
        bank = self._block_rams(BANK_ROWS, lanes * limits.weight_bits)
        last = self._block_rams(rest, lanes * limits.weight_bits) if rest else 0
        return limits.lanes // lanes * (full * bank + last)

    def _block_rams(self, rows: int, bits: int) -> int:
        """Smallest number of block RAMs, all of one shape, that form a memory."""
        return min(-(-rows // depth) * -(-bits // width) for depth, width in self.block_ram)


AREAS = {
    Family.ECP5: Area(
        # Designs that use 75 % route; designs that use 83 % do not.
        usable=0.8,
        luts=(8_622, 1_022, 665),
        flip_flops=(5_986, 1_020, 563),
        multipliers=(2, 0, 2),
        block_rams=(5, 5, 2.5, 0),
        block_ram=((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36)),
        convolution=(1.9, 1.7, 2),
    ),
    Family.GOWIN: Area(
        luts=(12_562, 1_320, 927),
        flip_flops=(6_386, 958, 608),
        multipliers=(2, 0, 2),
        block_rams=(19, 2, 6, 3),
        block_ram=((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36)),
        convolution=(1.9, 1.7, 2),
    ),
}
"""Cost model of each family that open tools support."""
