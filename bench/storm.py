"""Storms over opzo: bad lines, killed processes, power cuts, long runs: python bench/storm.py link --count 1000000

link   --count frames over lines that lose, change, double, swap, cut or delay bytes, or die and come back, at rates
       from 1e-4 to 1e-1. All state must be that of an undisturbed run.
kills  --count kills (SIGKILL) of opzo train, sweep, stream --save, data convert and build at random times. What is left
       must be readable, and the command that resumes must end with the undisturbed result.
power  power cuts of the same commands: after each operation on a file, states that the disk may then be in must be
       readable; --count of them are resumed.
day    --count training samples, a tenth as many stream minutes, a thousandth as many devices opened and closed: memory,
       open files and threads must not grow. Needs Linux.

The exit code is 1 where anything is not as it must be. Random numbers come from --seed. Storms of links repeat with
their seed to the byte; when a kill comes depends on the speed of the machine too. Progress is on stderr.
"""

import argparse
import json
import logging
import sys
from collections.abc import Callable
from typing import Any

from storms import day, kills, links, power

from opzo.spec.errors import OpzoError

PARTS: dict[str, tuple[Callable[[int, int], tuple[list[dict[str, Any]], bool]], int]] = {
    "link": (links.run, 1_000_000),
    "kills": (kills.run, 200),
    "power": (power.run, 200),
    "day": (day.run, 1_000_000),
}
"""Each part, and how much it does unless --count says otherwise."""


def main() -> int:
    """Run a part and print its rows; exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS, help="what to run")
    parser.add_argument("--count", type=int, help="how much of it (default: that of docs/reliability.md)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    run, usual = PARTS[args.part]
    try:
        rows, ok = run(usual if args.count is None else args.count, args.seed)
    except OpzoError as error:
        print(f"opzo: error: {error}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps({"part": args.part, "seed": args.seed, "rows": rows, "ok": ok}))
    else:
        print_table(rows)
    return 0 if ok else 1


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print rows as a table for people."""
    names = [name for name in rows[0] if name != "ok"]
    cells = [names, *([_text(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    # Lines that break on purpose need no warnings.
    logging.getLogger("opzo.host.driver").setLevel(logging.ERROR)
    sys.exit(main())
