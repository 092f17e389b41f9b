"""From one position of a map to the next, in the order of `opzo.spec.geometry.order`."""

from amaranth import Module, Signal
from amaranth.lib import data

from opzo.hw.lib.record import record


def position_moves(m: Module, x: Signal, y: Signal, width: Signal, cells: Signal) -> data.View:
    """How the position after (``x``, ``y``) is reached: one bit for each direction; combinational.

    ``edge``: the position is in the last column. ``restart``: column 0 is next. Where a pool follows (``cells``), the
    positions of a cell are right, then left and down, right, then right and up to the next cell.
    """
    moves = record(data.StructLayout(dict.fromkeys(("edge", "left", "right", "restart", "up", "down"), 1)), "moves")
    m.d.comb += [
        moves.edge.eq(x == width - 1),
        moves.left.eq(cells & x[0] & ~y[0]),
        moves.restart.eq(moves.edge & ~moves.left),
        moves.right.eq(~moves.edge & ~moves.left),
        moves.up.eq(cells & x[0] & y[0] & ~moves.edge),
        moves.down.eq(moves.left | moves.restart),
    ]
    return moves
