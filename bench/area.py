"""Measure the cells of a chip on a device family: python bench/area.py --board ulx3s-85f

Synthesizes small chips and prints the coefficients of ``opzo.boards.area``. Takes ten minutes per family.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from opzo.boards.area import AREAS
from opzo.boards.board import Board
from opzo.boards.build import Plan, synthesise
from opzo.boards.registry import find_board
from opzo.spec.limits import Limits

SMALL = Limits(lanes=8, rows=512, inputs=64, words=8, classes=10, lanes_per_group=8)
EVENTS = 1024


def measure(board: Board, limits: Limits) -> dict[str, int]:
    """Cells of a chip by name, without the row memory, whose block RAMs are calculated."""
    with tempfile.TemporaryDirectory() as folder:
        cells = asdict(synthesise(Plan.of(board, limits), Path(folder)))
    cells["block_rams"] -= AREAS[board.family].row_memory(limits)
    print(limits, cells, file=sys.stderr, flush=True)
    return cells


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", default="ulx3s-85f", help="any board of the family (default: %(default)s)")
    args = parser.parse_args()

    board = find_board(args.board)
    small = measure(board, SMALL)
    lanes = measure(board, replace(SMALL, lanes=2 * SMALL.lanes))
    groups = measure(board, replace(SMALL, lanes=2 * SMALL.lanes, lanes_per_group=SMALL.lanes_per_group // 2))
    events = measure(board, replace(SMALL, inputs=EVENTS))
    coefficients: dict[str, list[float]] = {}
    for name in ("luts", "flip_flops", "multipliers", "block_rams"):
        # Two groups more, then one group and its lanes more.
        group = (groups[name] - lanes[name]) / 2
        lane = (lanes[name] - small[name] - group) / SMALL.lanes
        coefficients[name] = [small[name] - group - SMALL.lanes * lane, group, lane]
    thousand = (events["block_rams"] - small["block_rams"]) / (1 - SMALL.events / EVENTS)
    coefficients["block_rams"][0] -= thousand * SMALL.events / EVENTS
    coefficients["block_rams"].insert(1, thousand)
    print(json.dumps({name: [round(each, 1) for each in row] for name, row in coefficients.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
