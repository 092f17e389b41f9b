"""Train the paper's methods and compare them: python bench/reproduction.py --preset mnist-fc --data-root DIR

Runs `opzo reference train` for each method and seed, several in parallel, then `opzo reference table`. Completed runs
are not repeated and interrupted ones are resumed, so the same command continues an interrupted reproduction. Unknown
options are passed to `opzo reference train`.
"""

import argparse
import sys
from itertools import product
from pathlib import Path

from joblib import Parallel, delayed

from opzo.host.cli.main import main as opzo

METHODS = ("opzo", "bp", "dfa", "dkp", "zo")
SEEDS = (2022, 0, 1)
LEARNING = {"ll": "--local", "igl": "--intermediate"}
CHECKPOINT = "checkpoint.pt"


def train(folder: Path, options: list[str]) -> int:
    """Start or resume one run; exit code of the command."""
    how = ["--resume", str(folder)] if (folder / CHECKPOINT).exists() else [*options, "--out", str(folder)]
    return opzo(["reference", "train", "--quiet", "--threads", "1", *how])


def main() -> int:
    """Train all, then write tables and pictures; exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="mnist-fc", help="preset of opzo reference train (default: %(default)s)")
    parser.add_argument(
        "--methods",
        nargs="+",
        default=METHODS,
        metavar="METHOD",
        help="methods; -ll or -igl appended: with local or intermediate global learning (default: all without)",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, metavar="INT", help="seeds (default: 2022 0 1)")
    parser.add_argument("--jobs", type=int, default=2, help="parallel runs, one thread each (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/reproduction"), help="folder (default: %(default)s)")
    args, options = parser.parse_known_args()
    runs = []
    for seed, method in product(args.seeds, args.methods):
        name, *learning = method.split("-")
        given = ["--preset", args.preset, "--method", name, "--seed", str(seed), *(LEARNING[kind] for kind in learning)]
        runs.append((args.out / f"{args.preset}-{method}-{seed}", [*given, *options]))
    codes: list[int] = Parallel(n_jobs=args.jobs)(delayed(train)(folder, given) for folder, given in runs)
    if any(codes):
        return max(codes)
    return opzo(["reference", "table", *(str(folder) for folder, _ in runs), "--out", str(args.out)])


if __name__ == "__main__":
    sys.exit(main())
