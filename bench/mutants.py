"""Plant small random faults in the sources, and see which tests fail: python bench/mutants.py --out mutants.jsonl

Each mutant is one change to hw, sim/golden, sim/fast or host/driver: an operator, a constant, a width, a condition, a
statement removed, swapped arms. The tests that belong to its file run on a copy of the repository until one fails: a
quick step for all mutants, then all steps for survivors that are not equivalent by verdict. Results are added to a
file, a line each; a campaign that was killed is resumed from it. The table is of all results in the file; --count 0
only prints it. Verdicts on survivors are in mutation/verdicts.toml.
"""

import argparse
import json
import logging
import signal
import sys
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from mutation.belongs import FOLDERS
from mutation.campaign import Campaign, append, of_row, read, survivors
from mutation.draw import mutants, present
from mutation.mutant import Mutant
from mutation.report import EQUIVALENT, figures, read_verdicts, table
from mutation.tree import Tree

from opzo.spec.errors import OpzoError
from opzo.system.cache import cache_root
from opzo.system.folder_lock import locked

ROOT = Path(__file__).resolve().parents[1]


def parser() -> argparse.ArgumentParser:
    """Options of the command line."""
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--out", type=Path, required=True, help="file of results, JSON lines; resumed if it exists")
    result.add_argument("--only", choices=FOLDERS, action="append", help="only this folder; can be repeated")
    result.add_argument("--count", type=int, default=75, help="mutants of each folder (default: %(default)s)")
    result.add_argument("--seed", type=int, default=1, help="seed of the draw (default: %(default)s)")
    result.add_argument("--quick", action="store_true", help="leave survivors of the quick step to a later call")
    result.add_argument("--retry", action="store_true", help="test survivors again that are not equivalent by verdict")
    result.add_argument("--work", type=Path, help="folder for copy and builds (default: mutants in opzo's cache)")
    result.add_argument("--json", action="store_true", help="print figures as JSON")
    return result


def main(argv: list[str] | None = None) -> int:
    """Run; exit code 2 if the tests fail without a mutant."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(format="%(message)s")
    # The tests that run must end with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        run(arguments)
    except OpzoError as error:
        print(f"mutants.py: error: {error}", file=sys.stderr)
        return 2
    found = {"seed": arguments.seed, **figures(read(arguments.out), read_verdicts())}
    print(json.dumps(found) if arguments.json else table(found))
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Test the mutants that have no result yet, then survivors by all steps."""
    if not arguments.count and not arguments.retry:
        return
    work = arguments.work or cache_root() / "mutants"
    folders = arguments.only or FOLDERS
    taken = f"{work} is in use by another campaign; choose another folder with --work"
    with locked(work, taken), Tree(ROOT, work) as tree:
        campaign = Campaign(tree)
        done = read(arguments.out)
        drawn = [islice(mutants(ROOT, folder, arguments.seed), arguments.count) for folder in folders]
        test(campaign, [mutant for mutant in chain(*drawn) if mutant.key not in done], arguments, all_steps=False)
        if arguments.quick:
            return
        verdicts = read_verdicts()
        left = [row for row in survivors(read(arguments.out)) if row["folder"] in folders]
        left = [row for row in left if verdicts.get(row["key"], {}).get("verdict") != EQUIVALENT]
        again = [of_row(row) for row in left if arguments.retry or not row["all_steps"]]
        test(campaign, list(now(again)), arguments, all_steps=True)


def now(found: list[Mutant]) -> Iterator[Mutant]:
    """Mutants of earlier sources as they are in those of today, without those whose line is gone."""
    for mutant in found:
        moved = present(ROOT, mutant)
        if moved is None:
            print(f"not tested again, its line has changed: {mutant}", file=sys.stderr, flush=True)
        else:
            yield moved


def test(campaign: Campaign, todo: list[Mutant], arguments: argparse.Namespace, *, all_steps: bool) -> None:
    """Test mutants and add the results to the file."""
    for number, mutant in enumerate(todo, 1):
        row = campaign.row(mutant, all_steps=all_steps)
        append(arguments.out, {"seed": arguments.seed, **row})
        print(f"{number}/{len(todo)} {row['status']} in {row['seconds']} s: {mutant}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
