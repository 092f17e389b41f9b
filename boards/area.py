"""Estimate the cells that a chip needs before it is synthesised.

``python bench/area.py`` measures the coefficients; a test compares them with a real build.
"""

from dataclasses import dataclass

from opzo.boards.board import Family, Resources
from opzo.hw.lib.row_memory import BANK_ROWS
from opzo.spec.network import Limits


@dataclass(frozen=True)
class Area:
    """Cost model of a device family: coefficients of a chip's cells.

    Parameters
    ----------
    luts, flip_flops, multipliers : tuple
        (fixed, per group of lanes, per lane).
    block_rams : tuple
        (fixed, per 1,024 events of a chunk, per group, per lane), without the row memory; an upper bound, because in a
        small chip some of these memories are mapped to look-up tables.
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
    usable: float = 0.9

    def estimate(self, limits: Limits) -> Resources:
        """Cells of a chip with ``limits``."""
        groups = limits.groups

        def of(coefficients: tuple[int, int, int]) -> int:
            fixed, group, lane = coefficients
            return fixed + group * groups + lane * limits.lanes

        fixed, thousand, group, lane = self.block_rams
        others = fixed + thousand * limits.events / 1024 + group * groups + lane * limits.lanes
        return Resources(
            luts=of(self.luts),
            flip_flops=of(self.flip_flops),
            block_rams=round(others) + self.row_memory(limits),
            multipliers=of(self.multipliers),
        )

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
    ),
    Family.ICE40: Area(
        luts=(6_901, 792, 639),
        flip_flops=(6_229, 956, 565),
        multipliers=(2, 0, 4),
        block_rams=(30, 17, 11, 6),
        block_ram=((2048, 2), (1024, 4), (512, 8), (256, 16)),
    ),
    Family.GOWIN: Area(
        luts=(12_562, 1_320, 927),
        flip_flops=(6_386, 958, 608),
        multipliers=(2, 0, 2),
        block_rams=(19, 2, 6, 3),
        block_ram=((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36)),
    ),
}
"""Cost model of each family that open tools support."""
