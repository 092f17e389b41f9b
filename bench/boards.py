"""Build a chip for every board with open tools: python bench/boards.py

Prints the results, or what does not fit, as the Markdown table of the board figures. The tools are those of `opzo
build`: native ones if they are on PATH, which need two minutes per board, else those of the wheels, which need five to
twenty.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from opzo.boards.board import Board
from opzo.boards.build import Plan, build
from opzo.boards.fit import NAMES, choose
from opzo.boards.registry import BOARDS, find_board
from opzo.spec.errors import OpzoError
from opzo.spec.network import Network


def result(board: Board, network: Network, lanes: int, clock: float | None, out: Path) -> dict[str, Any]:
    """Output of `opzo build --json` for a board, or {"error": message}."""

    def log(stage: str) -> None:
        print(f"{board.name}: {stage}", file=sys.stderr, flush=True)

    try:
        plan = Plan.of(board, choose(board, network, lanes), clock)
        return build(plan, network, out / board.name, log, log)
    except OpzoError as error:
        return {"error": str(error)}


def row(board: Board, found: dict[str, Any]) -> str:
    """Row of the table."""
    if "error" in found:
        return f"| {board.title} (`{board.name}`) | {found['error'].partition(';')[0]} | |"
    cells = ", ".join(
        f"{found['used'][name]:,} ({found['used'][name] / available:.0%}) {NAMES[name]}"
        for name, available in asdict(board.device).items()
        if available
    )
    clock = f"{found['clock_mhz']:.1f} MHz ({found['clock_required_mhz']:g} required)"
    return f"| {board.title} (`{board.name}`) | {cells} | {clock} |"


def main() -> int:
    """Build and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="64-16-10", help="neurons of each layer (default: %(default)s)")
    parser.add_argument("--lanes", type=int, default=4, help="lanes of the chip (default: %(default)s)")
    parser.add_argument("--clock", type=float, metavar="MHZ", help="clock of the core (default: that of the board)")
    parser.add_argument("--board", nargs="+", help="boards to build (default: all with open tools)")
    parser.add_argument("--out", type=Path, default=Path("build"), help="output folder (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()

    boards = [find_board(name) for name in args.board] if args.board else [each for each in BOARDS if each.family.open]
    network = Network.parse(args.net)
    found = {each.name: result(each, network, args.lanes, args.clock, args.out) for each in boards}
    if args.json:
        print(json.dumps(found))
    else:
        print("| board | cells | clock |\n| --- | --- | --- |")
        print("\n".join(row(board, found[board.name]) for board in boards))
    return 0


if __name__ == "__main__":
    sys.exit(main())
