"""Feed damaged, changed and made-up inputs to every reader of opzo: python bench/fuzz.py

A reader must accept an input or raise an OpzoError that can be printed, in time and in bounded memory. Everything else
is a finding: another exception, a death of the process, a hang, memory beyond the limit. Each reader runs in a process
of its own, which is started again after one that dies. Exit code 1 with findings.

Coverage guides the inputs of readers in Python (with atheris; --plain does without). The inputs of a plain reader
depend on the seed alone. Those of a guided one are not the same again: what it compares includes names of folders.
"""

import argparse
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fuzzing.reader import Reader
from fuzzing.worker import Job, State, saved

from opzo.spec.errors import OpzoError

HERE = Path(__file__).parent
GROUPS = ("link", "texts", "data_sets", "recordings", "networks")
"""Modules of bench/fuzzing with readers."""
DEATHS_MAX = 20
"""Deaths and hangs after which a reader is given up."""
START_SECONDS = 120
"""Seconds for a worker to import its reader and to read the good inputs."""
POLL = 0.1
MEMORY_FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Folder of the files that are read; it is in memory where the system has one."""
SHOWN = 2_000
_FRAME = re.compile(r'File "([^"]*)", line (\d+) in (\w+)')


@dataclass
class Result:
    """What a reader did with its inputs.

    Attributes
    ----------
    findings : dict
        For each place: text, name of an input that was saved, and how many inputs did it.
    peak : int
        Largest growth of a worker's memory in bytes, with that of libFuzzer where coverage guides it.
    """

    reader: str
    guided: bool
    inputs: int = 0
    accepted: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    peak: int = 0
    findings: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, place: str, text: str, input: str) -> None:
        """Count a finding."""
        known = self.findings.setdefault(place, {"text": text, "input": input, "count": 0})
        known["count"] += 1

    def figures(self) -> dict[str, Any]:
        """All figures for JSON."""
        inside = sum(found["count"] for found in self.findings.values())
        return {
            "reader": self.reader,
            "guided": self.guided,
            "inputs": self.inputs,
            "accepted": self.accepted,
            "refused": self.inputs - self.accepted - inside,
            "cpu_seconds": round(self.cpu, 1),
            "seconds": round(self.wall, 1),
            "peak_mib": round(self.peak / (1 << 20), 1),
            "findings": [{"place": place, **found} for place, found in self.findings.items()],
        }


def fuzz(group: str, reader: Reader, arguments: argparse.Namespace, save: Path) -> Result:
    """Feed a reader, with as many workers after each other as it takes."""
    plain = arguments.plain or not reader.guided
    result, count = Result(reader.name, not plain), reader.count if arguments.count is None else arguments.count
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    deaths = 0
    while result.inputs < count and deaths < DEATHS_MAX:
        with tempfile.TemporaryDirectory(dir=MEMORY_FOLDER) as folder:
            job = Job(
                group,
                reader.name,
                first=result.inputs,
                count=count - result.inputs,
                # A guided worker with the same seed would come to the same input again.
                seed=arguments.seed if plain else arguments.seed + deaths,
                plain=plain,
                memory=arguments.memory,
                folder=folder,
                save=str(save),
            )
            ended = work(job, arguments.seconds)
            state = State(Path(folder) / "state")
            result.inputs += state.done
            result.accepted += state.accepted
            result.peak = max(result.peak, state.peak)
            for line in (Path(folder) / "findings").read_text().splitlines():
                result.add(**json.loads(line))
            if ended is not None:
                deaths += 1
                result.inputs += 1
                result.add(*ended, saved(save, reader.name, state.content).name)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    result.wall = time.monotonic() - begin
    result.cpu = sum(getattr(after, name) - getattr(before, name) for name in ("ru_utime", "ru_stime"))
    return result


def work(job: Job, seconds: float) -> tuple[str, str] | None:
    """Run a worker; place and text of the finding by which it ended, None if it did its work."""
    path = os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TMPDIR": job.folder}
    log = Path(job.folder) / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "fuzzing.worker", job.json()],
            env=environment,
            cwd=job.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
        )
    try:
        hung = _watch(process, Path(job.folder) / "state", seconds)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    said = log.read_text(errors="replace")
    if process.returncode > 0 or hung == "start":
        raise OpzoError(f"the worker of {job.name} does not start or fails: {said[-SHOWN:]}")
    if not hung and not process.returncode:
        return None
    what = f"no end after {seconds:g} s" if hung else f"ends in {signal.Signals(-process.returncode).name}"
    frames = _FRAME.findall(said)
    own = [f"{file}:{line} {name}" for file, line, name in frames if "/opzo/" in file]
    return f"{what.split(' after')[0]} at {next(iter(own), 'an unknown place')}", f"{what}: {said[-SHOWN:]}"


def _watch(process: subprocess.Popen[bytes], path: Path, seconds: float) -> str:
    """Wait for a worker; "start" or "input" if it does not come to an end of that, and is ended."""
    begin, late = time.monotonic(), 0
    while True:
        try:
            process.wait(POLL)
            return ""
        except subprocess.TimeoutExpired:
            started = State(path).started if path.exists() else 0.0
        # The worker may be writing its state at this moment, but not twice in a row.
        late = late + 1 if time.monotonic() > (started + seconds if started else begin + START_SECONDS) else 0
        if late > 1:
            # faulthandler tells of the place.
            process.send_signal(signal.SIGABRT)
            try:
                process.wait(START_SECONDS / 10)
            except subprocess.TimeoutExpired:
                process.kill()
            return "input" if started else "start"


def chosen(names: Sequence[str]) -> Iterator[tuple[str, Reader]]:
    """Readers of these names with their modules, or all; OpzoError for a name that is none."""
    left, known = set(names), []
    for group in GROUPS:
        # Those behind take seconds to import.
        if names and not left:
            return
        for reader in import_module(f"fuzzing.{group}").READERS:
            known.append(reader.name)
            if not names or reader.name in left:
                left.discard(reader.name)
                yield f"fuzzing.{group}", reader
    if left:
        raise OpzoError(f"there is no reader {', '.join(left)}; the readers are {', '.join(known)}")


def show(result: Result) -> None:
    """A line for people, and one for each finding."""
    f = result.figures()
    kind = "guided" if f["guided"] else "plain"
    print(
        f"{f['reader']:16} {kind:7} {f['inputs']:>9,} {f['accepted']:>9,} {f['refused']:>9,} {f['cpu_seconds']:>7.1f} "
        f"{f['peak_mib']:>7.1f} {len(f['findings']):>4}",
        file=sys.stderr,
        flush=True,
    )
    for found in f["findings"]:
        print(
            f"    {found['count']:,} x {found['place']} ({found['input']})\n    {found['text'][-600:]}", file=sys.stderr
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", nargs="+", default=[], metavar="NAME", help="only these readers")
    parser.add_argument("--count", type=int, metavar="N", help="inputs for each reader (default: its own, 10^6 in all)")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--seconds", type=float, default=20, metavar="S", help="longest time of one input (default: 20)"
    )
    parser.add_argument(
        "--memory",
        type=float,
        default=4,
        metavar="GIB",
        help="address space of a reader; it is told 2 are free (default: 4)",
    )
    parser.add_argument("--plain", action="store_true", help="no guidance by coverage, which needs the library atheris")
    parser.add_argument("--save", type=Path, metavar="DIR", help="folder for the inputs of findings")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    try:
        if not arguments.plain and find_spec("atheris") is None:
            raise OpzoError("guidance by coverage needs atheris; pip install atheris, or give --plain")
        with tempfile.TemporaryDirectory() as scratch:
            save = arguments.save or Path(scratch)
            save.mkdir(parents=True, exist_ok=True)
            head = f"{'reader':24} {'inputs':>9} {'accepted':>9} {'refused':>9} {'CPU s':>7} {'MiB':>7} findings"
            print(head, file=sys.stderr, flush=True)
            results = []
            for group, reader in chosen(arguments.reader):
                results.append(fuzz(group, reader, arguments, save))
                show(results[-1])
    except OpzoError as error:
        print(f"fuzz: error: {error}", file=sys.stderr)
        return 2
    figures = [result.figures() for result in results]
    total = {
        "seed": arguments.seed,
        "inputs": sum(f["inputs"] for f in figures),
        "accepted": sum(f["accepted"] for f in figures),
        "refused": sum(f["refused"] for f in figures),
        "findings": sum(len(f["findings"]) for f in figures),
        "cpu_seconds": round(sum(f["cpu_seconds"] for f in figures), 1),
        "peak_mib": max(f["peak_mib"] for f in figures),
        "readers": figures,
    }
    if arguments.json:
        print(json.dumps(total))
    else:
        print(
            f"{total['inputs']:,} inputs, {total['accepted']:,} accepted, {total['refused']:,} refused, "
            f"{total['findings']} findings, {total['cpu_seconds']:,.0f} s of CPU time, seed {arguments.seed}"
        )
    return 1 if total["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
