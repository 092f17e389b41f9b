"""Positions of multipliers and block RAMs on the dies of the ECP5 family, from Project Trellis' database."""

from dataclasses import dataclass

from opzo.boards.board import Resources
from opzo.boards.families.floorplan import Point, Sites
from opzo.boards.registry import ECP5_25, ECP5_45, ECP5_85

_MULTIPLIERS = ((0, "MULT18_0"), (1, "MULT18_1"), (4, "MULT18_4"), (5, "MULT18_5"))
_BLOCK_RAMS = ((0, "EBR0"), (2, "EBR1"), (4, "EBR2"), (6, "EBR3"))
"""Cells of a block: column offset and name."""


@dataclass(frozen=True)
class Die:
    """A die of ``width`` columns.

    Multipliers and block RAMs are arranged in blocks of four, which begin at ``columns`` in certain rows.
    ``group_rows`` lie between a row of multipliers and a row of block RAMs.
    """

    width: int
    columns: tuple[int, ...]
    multiplier_rows: tuple[int, ...]
    block_ram_rows: tuple[int, ...]
    group_rows: tuple[int, ...]

    @property
    def kinds(self) -> tuple[Sites, Sites]:
        """Sites of its multipliers and block RAMs."""
        return (
            Sites("MULT18X18D", self._places(self.multiplier_rows, _MULTIPLIERS)),
            Sites("DP16KD", self._places(self.block_ram_rows, _BLOCK_RAMS)),
        )

    def _places(self, rows: tuple[int, ...], block: tuple[tuple[int, str], ...]) -> dict[str, Point]:
        return {
            f"X{column + offset}/Y{row}/{name}": (column + offset, row)
            for row in rows
            for column in self.columns
            for offset, name in block
        }


DIES: dict[Resources, Die] = {
    ECP5_25: Die(72, (4, 13, 22, 33, 42, 51, 60), (13,), (25, 37), (19,)),
    ECP5_45: Die(90, (4, 13, 22, 31, 42, 51, 60, 69, 78), (22, 46), (10, 34, 58), (28, 52)),
    ECP5_85: Die(
        126, (4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114), (10, 34, 58), (22, 46, 70, 82), (16, 40, 64)
    ),
}
