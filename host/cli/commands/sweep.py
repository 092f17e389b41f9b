"""``opzo sweep``: train with all combinations of lists of settings, several runs at a time."""

import argparse
import contextlib
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from opzo.host.cli.cluster import Cluster
from opzo.host.cli.exit_codes import DONE, FAILED, INTERRUPTED
from opzo.host.cli.jobs import Jobs
from opzo.host.cli.option_types import integer
from opzo.host.cli.options import add_output
from opzo.host.cli.output import log, print_json
from opzo.host.driver.devices import is_simulated, simulated_devices
from opzo.host.training.run_folder import folder_name
from opzo.host.training.sweep import MAX_RUNS, PlannedRun, groups, plan, table, write_csv
from opzo.host.training.sweep_table import sweep_table
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable
from opzo.system.atomic import check_output
from opzo.system.folder_lock import locked, remove_leftovers

RESULTS = "results.csv"
MOST_JOBS, MOST_RUNS = 1024, 1_000_000


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "file", type=Path, help="TOML file with a table [settings] of values and a table [sweep] of lists to combine"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the runs; runs already there are resumed (default: runs/ and the name of the file)",
    )
    parser.add_argument(
        "--jobs",
        type=integer(1, MOST_JOBS),
        default=os.cpu_count() or 1,
        metavar="N",
        help="runs at a time (default: number of cores)",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="train on the workers of a Dask cluster; address of its scheduler, such as tcp://10.0.0.5:8786 "
        "(default: in processes of this machine)",
    )
    parser.add_argument(
        "--max-runs",
        type=integer(1, MOST_RUNS),
        default=MAX_RUNS,
        metavar="N",
        help=f"maximum number of runs (default: {MAX_RUNS})",
    )
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train the runs that are not complete, then print all results; exit code."""
    stem: str = arguments.file.stem
    out: Path = arguments.out or Path("runs") / (stem if stem.strip(".") else folder_name(stem))
    check_output(out, folder=True)
    runs = plan(arguments.file, out, arguments.max_runs)
    if arguments.cluster is not None:
        _check_simulated(runs)
    with locked(out, f"another sweep is running in {out}; wait for it, or give another --out"):
        remove_leftovers(out, (RESULTS,))
        check_output(out / RESULTS)
        # Written before training, so that no results of other data or settings remain if it is stopped.
        _results(runs, out)
        failed, stopped = train_runs(runs, arguments.jobs, arguments.cluster, quiet=arguments.quiet)
        rows = _results(runs, out)
    if stopped:
        log(f"opzo: stopped; {len(rows)} of {len(runs)} runs are complete; the same command resumes the others")
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
        log(f"opzo: {planned.folder} is not complete; the same command resumes it")
    return FAILED if failed else DONE


def _check_simulated(runs: list[PlannedRun]) -> None:
    """Raise OpzoError where a run needs a board, which the workers of a cluster do not have."""
    for planned in runs:
        if not is_simulated(planned.config.device):
            raise OpzoError(
                f"{planned.config.device} is a board of this machine; --cluster trains on simulated devices: "
                f"{', '.join(simulated_devices())}"
            )


def _results(runs: list[PlannedRun], out: Path) -> list[dict[str, Any]]:
    """Rows of the complete runs, which are also written as CSV; the file is removed where there are none."""
    rows = table((planned, figures) for planned in runs if (figures := planned.figures()) is not None)
    if rows:
        write_csv(out / RESULTS, rows)
    else:
        with contextlib.suppress(OSError):
            (out / RESULTS).unlink()
    return rows


def train_runs(
    runs: list[PlannedRun], jobs: int, cluster: str | None = None, *, quiet: bool
) -> tuple[list[PlannedRun], bool]:
    """Train the runs that are not complete, each in a process of its own, here or on the workers of a cluster.

    Returns the runs that failed, and whether the user stopped the training.
    """
    console = Console(stderr=True)
    failed: list[PlannedRun] = []
    todo: list[PlannedRun] = []
    with Progress(console=console, disable=quiet or not console.is_terminal) as bar:

        def log_line(text: str) -> None:
            # Through the console, so that the line goes above the bar.
            bar.console.print(f"opzo: {printable(text)}", markup=False, highlight=False, soft_wrap=True)

        def log_output(index: int, line: str) -> None:
            if not runner.stopped:
                log_line(f"{todo[index].folder.name}: {line.removeprefix('opzo: ')}")

        for planned in runs:
            if planned.figures() is not None:
                continue
            try:
                if reason := planned.differences():
                    place = planned.set_aside()
                    log_line(f"{planned.folder.name} is trained again: {reason}; the earlier run is now in {place}")
                todo.append(planned)
            except OpzoError as error:
                log_line(f"{planned.folder.name}: error: {error}")
                failed.append(planned)
        if not quiet:
            log_line(f"{len(runs)} runs, {len(todo)} of them to train")
        task = bar.add_task("training", total=len(todo))
        ports = [planned.config.device for planned in todo if not is_simulated(planned.config.device)]
        if len(set(ports)) < len(ports):
            # A serial port serves one run at a time.
            jobs = 1
        stopping = partial(log_line, "stopping and saving; press Ctrl-C again to quit now")
        runner: Jobs | Cluster
        if cluster is None or not todo:
            runner = Jobs(jobs, log_output, stopping)
            running = runner.run([planned.command() for planned in todo])
        else:
            runner = Cluster(cluster, log_output, stopping)
            running = runner.run(todo)
        # Closed in any case, so that no process is left running.
        with contextlib.closing(running) as done:
            for index, code in done:
                planned, ended = todo[index], _ended(code)
                if not code and planned.figures() is None:
                    ended = "its data changed during training"
                if ended:
                    failed.append(planned)
                if not runner.stopped:
                    bar.advance(task)
                    if ended or not quiet:
                        log_line(f"{planned.folder.name}: {ended or 'trained'}")
    return failed, runner.stopped


def _ended(code: int) -> str:
    """Text for an exit code of a process; empty for success."""
    if code >= 0:
        return f"ended with code {code}" if code else ""
    return f"ended by signal {-code}{', often due to lack of memory' if -code == signal.SIGKILL else ''}"
