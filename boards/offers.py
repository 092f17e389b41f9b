"""What each board offers for a network: chip, cells, clock and speed, before anything is built."""

from dataclasses import asdict, dataclass
from typing import Any

from opzo.boards.area import AREAS
from opzo.boards.board import Board
from opzo.boards.build import Plan
from opzo.boards.fit import closest, shortage
from opzo.boards.speed import training_speed
from opzo.spec.limits import Limits
from opzo.spec.network import Network


@dataclass(frozen=True)
class Offer:
    """A board and a chip on it for a network.

    Attributes
    ----------
    limits : Limits
        The chip that `opzo build` would build; if nothing fits, that which comes closest.
    shortage : str
        Resources that the board is short of; '' if the network fits.
    used : dict or None
        Estimated cells of the chip by name; None for families without a cost model, which only the vendor's tool knows.
    clock_mhz : float
    speed : dict
        Estimated training samples per second (`opzo.boards.speed.training_speed`).
    """

    board: Board
    limits: Limits
    shortage: str
    used: dict[str, int] | None
    clock_mhz: float
    speed: dict[str, Any]

    @property
    def fits(self) -> bool | None:
        """Whether the chip fits; None for families without a cost model, for which only the vendor's tool knows."""
        return None if self.used is None else not self.shortage

    @classmethod
    def of(cls, board: Board, network: Network, weight_bits: int | None = None) -> "Offer":
        """Offer with as many lanes as the link can feed, as `opzo build` chooses them."""
        limits = closest(board, network, None, weight_bits)
        plan = Plan.of(board, limits)
        used = asdict(AREAS[board.family].estimate(limits)) if board.family in AREAS else None
        speed = training_speed(network, limits.lanes, plan.pll.mhz, plan.baud)
        return cls(board, limits, shortage(board, limits), used, plan.pll.mhz, speed)
