"""Power cuts: the states that a disk may be in after each step of a command are readable, and the command resumes."""

import pickle
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from storms.commands import Job, in_folder
from storms.disk import MODES, TREES, Disk, write_tree
from storms.file_log import Event
from storms.kills import different, each_command, finish

UNCERTAIN = "cache/"
"""Built files that are made again where they are missing."""
SHOWN = 3
"""Problems that an outcome names."""


def run(count: int, seed: int) -> tuple[list[dict[str, Any]], bool]:
    """Resume from ``count`` states in all; a row for each command, and whether all is well."""
    return each_command(cut, count, seed)


def cut(kind: type[Job], folder: Path, count: int, random: Random) -> dict[str, Any]:
    """Cut the power of one command; all states are read, ``count`` of them resumed. Figures."""
    job = kind(folder / "job", in_process=True)
    job.folder.mkdir()
    in_folder(job.folder, job.prepare)
    old: dict[str, Any] = {}
    if not kind.resumes:
        in_folder(job.folder, job.write_old)
        old = job.result()
    disk = Disk(job.folder)
    events = recorded(job, folder / "events")
    new = job.result()
    wrong: list[str] = []
    states: dict[int, tuple[str, TREES]] = {}
    for what, tree, missing in _states(disk, events, random):
        key = hash(tuple(sorted(tree.items(), key=lambda entry: entry[0])))
        if missing:
            wrong.append(f"{what}: {', '.join(sorted(missing))} was synced and is lost")
        if key not in states:
            states[key] = what, tree
            fresh(job, tree)
            wrong += [f"{what}: {text}"] if (text := job.check(old, new)) else []
    fresh(job, disk.state("lost", random))
    if text := different(_readable(job), new):
        wrong.append(f"after the command has ended: {text}")
    resumed = random.sample(list(states.values()), min(count, len(states)))
    for number, (what, tree) in enumerate(resumed):
        fresh(job, tree)
        if text := finish(job) or different(_readable(job), new):
            wrong.append(f"{what}: resumed: {text}")
        if number % 10 == 9:
            print(f"{kind.name}: {number + 1}/{len(resumed)} states resumed", file=sys.stderr)
    outcome = "; ".join(wrong[:SHOWN]) + (f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else "")
    counts = {"operations": len(events), "states": len(states), "resumed": len(resumed)}
    return counts | {"outcome": outcome or "equal", "ok": not wrong}


def recorded(job: Job, file: Path) -> list[Event]:
    """Run the command; what it did to the files in its folder."""
    if wrong := finish(job, file):
        raise RuntimeError(wrong)
    events: list[Event] = pickle.loads(file.read_bytes())
    return events


def fresh(job: Job, tree: TREES) -> None:
    """Let the folder of a job hold a state, and nothing else."""
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir()
    write_tree(tree, job.folder)


def _readable(job: Job) -> dict[str, Any]:
    """Result of a job; the error of a reader is the result where a file is damaged."""
    try:
        return job.result()
    except Exception as error:
        return {repr(error): None}


def _states(disk: Disk, events: list[Event], random: Random) -> Iterator[tuple[str, TREES, set[str]]]:
    """States after each operation: which, what is there, and what is missing although it was synced."""
    for number, event in enumerate(events, 1):
        disk.apply(event)
        for mode in MODES:
            tree = disk.state(mode, random)
            missing = {path for path in disk.promised if path not in tree and not path.startswith(UNCERTAIN)}
            yield f"{mode} after operation {number} ({event[0]} {event[1]})", tree, missing
