"""What a chip costs in cells on a device family: python bench/area.py --board ulx3s-85f

Synthesises small chips and prints the coefficients of ``opzo.boards.area``. Takes ten minutes a family.
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
from opzo.spec.network import Limits

SMALL = Limits(lanes=4, rows=512, inputs=64, words=8, classes=10)
EVENTS = 1024


def measure(board: Board, limits: Limits) -> dict[str, int]:
    """Cells of a chip, by name."""
    with tempfile.TemporaryDirectory() as folder:
        cells = asdict(synthesise(Plan.of(board, limits), Path(folder)))
    print(limits, cells, file=sys.stderr, flush=True)
    return cells


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", default="ulx3s-85f", help="a board of the family (default: %(default)s)")
    args = parser.parse_args()

    board = find_board(args.board)
    four = measure(board, replace(SMALL, lanes=4, group=4))
    groups = measure(board, replace(SMALL, lanes=8, group=4))
    lanes = measure(board, replace(SMALL, lanes=8, group=8))
    events = measure(board, replace(SMALL, lanes=4, group=4, inputs=EVENTS))
    coefficients: dict[str, list[float]] = {}
    for name in ("luts", "flip_flops", "multipliers"):
        lane = (lanes[name] - four[name]) / 4
        group = groups[name] - lanes[name]
        coefficients[name] = [round(four[name] - group - 4 * lane), round(group), round(lane)]
    # Of the largest: the fixed part is an upper bound.
    largest = replace(SMALL, lanes=8, group=4)
    others = groups["block_rams"] - AREAS[board.family].row_memory(largest)
    a_thousand = (events["block_rams"] - four["block_rams"]) / (1 - SMALL.events / EVENTS)
    coefficients["block_rams"] = [round(others - a_thousand * SMALL.events / EVENTS), round(a_thousand)]
    print(json.dumps(coefficients))
    return 0


if __name__ == "__main__":
    sys.exit(main())
