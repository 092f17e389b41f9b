"""Kills at random times: what is left is readable, and the documented command ends with the undisturbed result."""

import os
import pickle
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from storms.commands import JOBS, Job, in_folder
from storms.file_log import FileLog

SHARES = {"train": 9, "sweep": 2, "stream --save": 4, "data convert": 4, "build": 1}
"""Shares of the commands in what a storm does."""
LATEST = 1.15
"""Latest kill, in durations of the undisturbed command."""
PATIENCE = 600.0
"""Seconds within which a command must end."""
SETTLE = 60.0
"""Seconds within which the processes of a killed command must have ended."""


def start(job: Job, log: Path | None = None) -> int:
    """Run the command of a job in a process of its own; its number.

    ``log`` is the file that gets what the process does to the files of the job (`storms.file_log`).
    """
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        messages = os.open(job.folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for descriptor, place in ((0, nowhere), (1, nowhere), (2, messages)):
            os.dup2(place, descriptor)
        os.chdir(job.folder)
        if log is None:
            code = job.run()
        else:
            files = FileLog(job.folder)
            files.begin()
            code = job.run()
            log.write_bytes(pickle.dumps(files.end()))
    finally:
        os._exit(code)


def ended(process: int, seconds: float) -> int | None:
    """Exit code of a process that ends within ``seconds``; else None."""
    end = time.monotonic() + seconds
    while True:
        number, status = os.waitpid(process, os.WNOHANG)
        if number:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= end:
            return None
        time.sleep(0.002)


def finish(job: Job, log: Path | None = None) -> str:
    """Run the command to its end; its error, '' if there was none. ``log`` as for `start`."""
    code = ended(start(job, log), PATIENCE)
    return failure(job, code) if code != 0 else ""


def failure(job: Job, code: int | None) -> str:
    """Exit code of a command, and the end of what it said."""
    return f"exit code {code}: {(job.folder / 'log.txt').read_text()[-300:]}"


def run(count: int, seed: int) -> tuple[list[dict[str, Any]], bool]:
    """Kill commands ``count`` times; a row for each command, and whether all is well."""
    return each_command(kill, count, seed)


def each_command(
    storm: Callable[[type[Job], Path, int, Random], dict[str, Any]], count: int, seed: int
) -> tuple[list[dict[str, Any]], bool]:
    """Let a storm pass over each command, which gets its share of ``count`` and an empty folder; its rows as `run`."""
    rows = []
    for kind in JOBS:
        share = -(-count * SHARES[kind.name] // sum(SHARES.values()))
        with tempfile.TemporaryDirectory() as folder:
            rows.append({"command": kind.name, **storm(kind, Path(folder), share, Random(seed))})
    return rows, all(row["ok"] for row in rows)


def kill(kind: type[Job], folder: Path, count: int, random: Random) -> dict[str, Any]:
    """Kill one command ``count`` times; figures."""
    job = kind(folder)
    in_folder(folder, job.prepare)
    begin = time.monotonic()
    wrong = finish(job)
    duration = LATEST * (time.monotonic() - begin)
    new, old = job.result(), {}
    if not kind.resumes:
        in_folder(folder, job.write_old)
        old = job.result()
        job.output.rename(folder / "old")
    restore(job, random)
    kills = complete = 0
    while kills < count and not wrong:
        process = start(job)
        code = ended(process, random.random() * duration)
        if code is None:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            kills += 1
            settle(job)
            wrong = job.check(old, new)
            # A command that replaces its output is sometimes killed over what a kill has left.
            if wrong or kind.resumes or random.random() < 0.5:
                continue
            wrong = finish(job)
        elif code:
            wrong = failure(job, code)
        complete += 1
        print(f"{kind.name}: {kills}/{count} kills, {complete} commands complete", file=sys.stderr)
        wrong = wrong or different(job.result(), new)
        restore(job, random)
    wrong = wrong or finish(job) or different(job.result(), new)
    outcome = wrong or "equal"
    return {"kills": kills, "complete": complete + 1, "files": len(new), "outcome": outcome, "ok": not wrong}


def restore(job: Job, random: Random) -> None:
    """Remove what a command has written; half of the times the output of an earlier one takes its place."""
    for path in (job.output, job.folder / "cache"):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if (old := job.folder / "old").exists() and random.random() < 0.5:
        shutil.copytree(old, job.output) if old.is_dir() else shutil.copyfile(old, job.output)


def settle(job: Job) -> None:
    """Wait until the processes of a killed command have ended."""
    end = time.monotonic() + SETTLE
    while not job.settled() and time.monotonic() < end:
        time.sleep(0.05)


def different(result: dict[str, Any], expected: dict[str, Any]) -> str:
    """Names of files that are missing, too many or different; '' if none is."""
    names = sorted(result.keys() ^ expected.keys()) or [name for name in result if result[name] != expected[name]]
    return f"different: {', '.join(names)}" if names else ""
