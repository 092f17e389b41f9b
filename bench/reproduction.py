"""Train the paper's methods and compare them: python bench/reproduction.py --preset mnist-fc --data-root DIR

Runs `opzo reference train` for each method and seed, several at a time, then `opzo reference table`. What was trained
already is not trained again, and what was interrupted goes on: the same command finishes a stopped reproduction.
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
    """Begin or go on with one run; exit code of the command."""
    how = ["--resume", str(folder)] if (folder / CHECKPOINT).exists() else [*options, "--out", str(folder)]
    return opzo(["reference", "train", "--quiet", "--threads", "1", *how])


def main() -> int:
    """Train all, then write tables and pictures; exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="mnist-fc", help="(default: %(default)s)")
    parser.add_argument(
        "--methods",
        nargs="+",
        default=METHODS,
        metavar="METHOD",
        help="with -ll, -igl: local, intermediate global learning",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, metavar="INT", help="(default: 2022 0 1)")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/reproduction"), help="(default: %(default)s)")
    args, options = parser.parse_known_args()
    runs = []
    for seed, method in product(args.seeds, args.methods):
        name, *learning = method.split("-")
        given = ["--preset", args.preset, "--method", name, "--seed", str(seed), *(LEARNING[kind] for kind in learning)]
        runs.append((args.out / f"{args.preset}-{method}-{seed}", [*given, *options]))
    codes = Parallel(n_jobs=args.jobs)(delayed(train)(folder, given) for folder, given in runs)
    if any(codes):
        return max(codes)
    return opzo(["reference", "table", *(str(folder) for folder, _ in runs), "--out", str(args.out)])


if __name__ == "__main__":
    sys.exit(main())
