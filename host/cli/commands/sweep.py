"""``opzo sweep``: train with all combinations of some settings, several runs at a time."""

import argparse
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from opzo.host.cli.jobs import Jobs
from opzo.host.cli.option_types import integer
from opzo.host.cli.options import add_output
from opzo.host.cli.output import log, print_json
from opzo.host.driver.devices import is_simulated
from opzo.host.training.run_folder import folder_name
from opzo.host.training.sweep import MAX_RUNS, PlannedRun, groups, plan, table, write_csv
from opzo.host.training.sweep_table import sweep_table
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable
from opzo.system.atomic import check_output
from opzo.system.folder_lock import locked, remove_leftovers

RESULTS = "results.csv"
MOST_JOBS, MOST_RUNS = 1024, 1_000_000
INTERRUPTED = 130


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "file", type=Path, help="TOML file: a table [settings] of values, and a table [sweep] of lists to go through"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the runs; runs already there are resumed (default: the file's name, in runs/)",
    )
    parser.add_argument(
        "--jobs",
        type=integer(1, MOST_JOBS),
        default=os.cpu_count() or 1,
        metavar="N",
        help="runs at a time (default: one a core)",
    )
    parser.add_argument(
        "--max-runs",
        type=integer(1, MOST_RUNS),
        default=MAX_RUNS,
        metavar="N",
        help=f"most runs that the lists may make (default: {MAX_RUNS})",
    )
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train what is not trained yet, then show the results; exit code."""
    stem: str = arguments.file.stem
    out: Path = arguments.out or Path("runs") / (stem if stem.strip(".") else folder_name(stem))
    check_output(out, folder=True)
    runs = plan(arguments.file, out, arguments.max_runs)
    with locked(out, f"another sweep works in {out}; wait for it, or give another --out"):
        remove_leftovers(out, (RESULTS,))
        check_output(out / RESULTS)
        # Before the training: results of other data or settings must not stay if it is stopped.
        _results(runs, out)
        failed, stopped = train_runs(runs, arguments.jobs, quiet=arguments.quiet)
        rows = _results(runs, out)
    if stopped:
        log(f"opzo: stopped; {len(rows)} of {len(runs)} runs are complete; the same command goes on with the others")
        return INTERRUPTED
    keys = [key for key in runs[0].swept if key != "seed"]
    merged = groups(rows, keys)
    if arguments.json:
        print_json({"runs": rows, "groups": merged, "failed": [str(planned.folder) for planned in failed]})
    elif rows:
        for line in sweep_table(merged, keys, Console().width):
            print(line)
        print(f"results of {len(rows)} runs in {out / RESULTS}")
    for planned in failed:
        log(f"opzo: {planned.folder} was not trained to its end; the same command goes on with it")
    return 1 if failed else 0


def _results(runs: list[PlannedRun], out: Path) -> list[dict[str, Any]]:
    """Rows of the runs that are complete, also written as CSV; without any there is no such file."""
    rows = table((planned, figures) for planned in runs if (figures := planned.figures()) is not None)
    if rows:
        write_csv(out / RESULTS, rows)
    else:
        with contextlib.suppress(OSError):
            (out / RESULTS).unlink()
    return rows


def train_runs(runs: list[PlannedRun], jobs: int, *, quiet: bool) -> tuple[list[PlannedRun], bool]:
    """Train what is not complete, in processes of their own; runs that did not come to their end, and whether the user
    stopped them."""
    console = Console(stderr=True)
    failed: list[PlannedRun] = []
    todo: list[PlannedRun] = []
    with Progress(console=console, disable=quiet or not console.is_terminal) as bar:

        def tell(text: str) -> None:
            # Above the bar, which a line straight to stderr would tear.
            bar.console.print(f"opzo: {printable(text)}", markup=False, highlight=False, soft_wrap=True)

        def report(index: int, line: str) -> None:
            if not runner.stopped:
                tell(f"{todo[index].folder.name}: {line.removeprefix('opzo: ')}")

        for planned in runs:
            if planned.figures() is not None:
                continue
            try:
                if reason := planned.differences():
                    place = planned.set_aside()
                    tell(f"{planned.folder.name} is trained again: {reason}; the earlier run is in {place}")
                todo.append(planned)
            except OpzoError as error:
                tell(f"{planned.folder.name}: error: {error}")
                failed.append(planned)
        if not quiet:
            tell(f"{len(runs)} runs, {len(todo)} of them to train")
        task = bar.add_task("training", total=len(todo))
        ports = [planned.config.device for planned in todo if not is_simulated(planned.config.device)]
        if len(set(ports)) < len(ports):
            # A port serves one run at a time.
            jobs = 1
        runner = Jobs(jobs, report, lambda: tell("stopping and saving; Ctrl-C again quits at once"))
        # Closed whatever happens in the loop, so that no process stays behind.
        with contextlib.closing(runner.run([planned.command() for planned in todo])) as done:
            for index, code in done:
                planned, ended = todo[index], _ended(code)
                if not code and planned.figures() is None:
                    ended = "its data changed while it trained"
                if ended:
                    failed.append(planned)
                if not runner.stopped:
                    bar.advance(task)
                    if ended or not quiet:
                        tell(f"{planned.folder.name}: {ended or 'trained'}")
    return failed, runner.stopped


def _ended(code: int) -> str:
    """An exit code in words; empty for success."""
    if code >= 0:
        return f"ended with code {code}" if code else ""
    return f"ended by signal {-code}{', often for lack of memory' if -code == signal.SIGKILL else ''}"
