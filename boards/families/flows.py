"""Tool flow of each board."""

from opzo.boards.board import Board, Family
from opzo.boards.families.ecp5 import ECP5
from opzo.boards.families.flow import Flow
from opzo.boards.families.gowin import Gowin
from opzo.boards.families.vendor import Intel, Xilinx


def flow_of(board: Board) -> Flow:
    """Flow that builds bitstreams, or projects for the vendor's tool, for a board."""
    match board.family:
        case Family.ECP5:
            return ECP5()
        case Family.GOWIN:
            return Gowin("gw2a", (500, 1250)) if board.device.luts > 10_000 else Gowin("gw1n", (400, 1200))
        case Family.XILINX:
            return Xilinx()
        case Family.INTEL:
            return Intel()
