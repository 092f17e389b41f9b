"""``opzo sweep``: train with all combinations of some settings, several runs at a time."""

import argparse
import contextlib
import io
import logging
import os
import signal
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from opzo.host.atomic import write_atomically
from opzo.host.options import add_output, print_json, say
from opzo.host.run_folder import CHECKPOINT, CONFIG
from opzo.host.sweep import PlannedRun, groups, plan, table, write_csv

logger = logging.getLogger(__name__)

RESULTS = "results.csv"
SHOWN = ("test_accuracy", "test_accuracy_min", "test_accuracy_max", "cycles_per_train_sample")
"""Figures of a group on screen, beside the firing rates."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "file", type=Path, help="TOML file: a table [settings] of values, and a table [sweep] of lists to go through"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the runs; what it holds already is gone on with (default: the file's name, in runs/)",
    )
    parser.add_argument(
        "--jobs", type=_jobs, default=os.cpu_count(), metavar="N", help="runs at a time (default: one a core)"
    )
    add_output(parser)


def _jobs(text: str) -> int:
    jobs = int(text)
    if jobs < 1:
        raise ValueError
    return jobs


def run(arguments: argparse.Namespace) -> int:
    """Train what is not trained yet, then show the results; exit code."""
    out: Path = arguments.out or Path("runs") / arguments.file.stem
    runs = plan(arguments.file, out)
    todo = [planned for planned in runs if planned.figures() is None]
    logger.info("%d runs, %d of them to train", len(runs), len(todo))
    # Stopped by a signal or by Ctrl-C alike, it stops the processes that train.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    failed = train_runs(todo, arguments.jobs, quiet=arguments.quiet)
    results = [(planned, figures) for planned in runs if (figures := planned.figures()) is not None]
    rows = table(results)
    if rows:
        write_csv(out / RESULTS, rows)
    keys = [key for key in runs[0].swept if key != "seed"]
    merged = groups(rows, keys)
    if arguments.json:
        print_json({"runs": rows, "groups": merged, "failed": [str(planned.folder) for planned in failed]})
    elif rows:
        _show(merged, keys)
        print(f"results of {len(rows)} runs in {out / RESULTS}")
    for planned in failed:
        say(f"opzo: {planned.folder} was not trained to its end; the same command goes on with it")
    return 1 if failed else 0


def train_runs(runs: list[PlannedRun], jobs: int, *, quiet: bool) -> list[PlannedRun]:
    """Train runs in processes of their own; those that did not come to their end."""
    console = Console(stderr=True)
    done = Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(_train_one)(planned) for planned in runs)
    failed = []
    with Progress(console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("training", total=len(runs))
        for planned, code in done:
            bar.advance(task)
            logger.info("%s: %s", planned.folder.name, "trained" if code == 0 else f"ended with code {code}")
            if code:
                failed.append(planned)
    return failed


def _train_one(planned: PlannedRun) -> tuple[PlannedRun, int]:
    """Train one run, or go on with it; its exit code. Runs in a process of its own."""
    from opzo.host.cli import main

    if (planned.folder / CHECKPOINT).exists():
        arguments = ["--resume", str(planned.folder)]
    else:
        planned.folder.mkdir(parents=True, exist_ok=True)
        config = planned.folder / CONFIG
        write_atomically(config, planned.config.toml().encode(errors="surrogateescape"))
        arguments = ["--config", str(config), "--out", str(planned.folder)]
    with contextlib.redirect_stdout(io.StringIO()):
        return planned, main(["train", *arguments, "--quiet"])


def _show(merged: list[dict[str, Any]], keys: list[str]) -> None:
    """Groups as a table on stdout."""
    rates = [key for key in merged[0] if key.startswith("firing_rate_")]
    screen = Table()
    for column in (*keys, "runs", *SHOWN, *rates):
        screen.add_column(column.replace("_", " "), justify="right")
    for row in merged:
        cells = [str(row[key]) for key in (*keys, "runs")]
        cells += [f"{row[key]:.2%}" if "accuracy" in key else f"{row[key]:,.0f}" for key in SHOWN]
        screen.add_row(*cells, *(f"{row[key]:.3f}" for key in rates))
    Console().print(screen)
