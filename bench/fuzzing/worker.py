"""A process that feeds one reader, started by bench/fuzz.py with a `Job`. It may die of an input: `State` keeps that.

Coverage guides it by atheris (libFuzzer), which changes earlier inputs that reached new lines or comparisons of opzo.
"""

import faulthandler
import json
import logging
import mmap
import os
import re
import resource
import struct
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path

import numpy as np

from fuzzing.reader import FindingError, Reader, judge

GIB = 1 << 30
FREE = 2 * GIB
"""Memory that the readers are told is free, of which they may use half."""
INSTRUMENTED = ("opzo", "tomllib", "zipfile", "pickle", "json")
"""Packages whose lines guide the choice of inputs."""
OUTSIDE = ("opzo.sim.golden", "opzo.sim.fast", "opzo.hw", "opzo.reference.methods")
OPTIONS = (
    # Signals and limits belong to this module and to bench/fuzz.py.
    *(f"-handle_{name}=0" for name in ("segv", "abrt", "bus", "fpe", "ill", "int", "term", "xfsz", "usr1", "usr2")),
    # With 0 atheris ends an input during which the clock comes to the next second.
    *("-timeout=1000000", "-rss_limit_mb=0", "-malloc_limit_mb=0", "-len_control=0", "-verbosity=0"),
    # The changes of an input add up to damage that every reader refuses at once.
    "-mutate_depth=1",
)
FRESH, OWN = 0.35, 0.7
"""A draw below FRESH changes a good input, one above it an input that reached something new. Below OWN the change is
the reader's, above it libFuzzer's."""
SAMPLED = 64
"""Inputs between two looks at the memory."""


@dataclass(frozen=True)
class Job:
    """What a worker does.

    Parameters
    ----------
    group, name : str
        Module of the reader, and the reader.
    first, count : int
        Number of the first input, and how many inputs to read.
    seed : int
    plain : bool
        Whether to change good inputs only, without coverage.
    memory : float
        GiB of address space that the reader may use, besides what it has before the first input.
    folder : str
        Folder of this worker: ``files`` for the reader, ``state``, ``findings``, ``corpus``.
    save : str
        Folder of the inputs of findings.
    """

    group: str
    name: str
    first: int
    count: int
    seed: int
    plain: bool
    memory: float
    folder: str
    save: str

    def json(self) -> str:
        """Text for the command line."""
        return json.dumps(asdict(self))


class State:
    """File shared with bench/fuzz.py: counts, and the input that is being read.

    Attributes
    ----------
    done, accepted : int
        Inputs read, and those that the reader accepted.
    started : float
        Monotonic time at which the present input began; 0 before the first.
    peak : int
        Bytes by which the memory has grown since then at most.
    """

    HEAD = struct.Struct("<QQdQQ")
    SIZE_MAX = 1 << 24

    def __init__(self, path: Path) -> None:
        size = self.HEAD.size + self.SIZE_MAX
        with path.open("a+b") as file:
            file.truncate(size)
            self._map = mmap.mmap(file.fileno(), size)
        self.done, self.accepted, self.started, self.peak, self._size = self.HEAD.unpack_from(self._map)

    def begin(self, content: bytes) -> None:
        """Store the input that will be read now."""
        self.started, self._size = time.monotonic(), len(content)
        self._map[self.HEAD.size : self.HEAD.size + len(content)] = content
        self.store()

    def store(self) -> None:
        """Store the counts."""
        # `pack_into` fills with zeros first, which bench/fuzz.py would see.
        self._map[: self.HEAD.size] = self.HEAD.pack(self.done, self.accepted, self.started, self.peak, self._size)

    @property
    def content(self) -> bytes:
        """The input."""
        return self._map[self.HEAD.size : self.HEAD.size + self._size]


class Worker:
    """Reads inputs of one reader and ends the process after the last one."""

    def __init__(self, job: Job, reader: Reader) -> None:
        self._job, self._reader = job, reader
        folder = Path(job.folder)
        (folder / "files").mkdir(exist_ok=True)
        self._state = State(folder / "state")
        self._findings = (folder / "findings").open("a", buffering=1)
        self._seen: set[str] = set()
        self.good, self._read = reader.prepare(folder / "files")
        self.size_max = min(State.SIZE_MAX, 4096 + 2 * max(map(len, self.good)))
        for content in self.good:
            if (error := judge(self._read, content)) is not None:
                raise ValueError(f"{reader.name} refuses a good input: {error}")
        self._base = self._memory("VmRSS")
        # The peak counts from here on.
        Path("/proc/self/clear_refs").write_text("5")
        limit = self._memory("VmSize") + int(job.memory * GIB)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def changed(self, content: bytes, rng: np.random.Generator) -> bytes:
        """A new input."""
        return self._reader.change(content, rng)[: self.size_max]

    def one(self, content: bytes) -> None:
        """Read one input; report a finding."""
        state = self._state
        if state.done >= self._job.count:
            self._end()
        state.begin(content)
        try:
            state.accepted += judge(self._read, content) is None
        except FindingError as finding:
            self._report(finding, content)
        state.done += 1
        state.started = time.monotonic()
        if state.done % SAMPLED == 0:
            state.peak = max(state.peak, self._memory("VmHWM") - self._base)
        state.store()

    def _end(self) -> None:
        self._state.peak = max(self._state.peak, self._memory("VmHWM") - self._base)
        self._state.store()
        # libFuzzer has no other way to end without a file that tells of a crash.
        os._exit(0)

    def _report(self, finding: FindingError, content: bytes) -> None:
        if finding.place not in self._seen:
            self._seen.add(finding.place)
            saved(Path(self._job.save), self._reader.name, content)
        line = {"place": finding.place, "text": str(finding), "input": input_name(self._reader.name, content)}
        self._findings.write(json.dumps(line) + "\n")

    def _memory(self, field: str) -> int:
        text = Path("/proc/self/status").read_text()
        return 1024 * int(re.findall(rf"^{field}:\s*(\d+) kB$", text, re.MULTILINE)[0])


def input_name(reader: str, content: bytes) -> str:
    """Name of the file of an input."""
    return f"{reader}-{sha256(content).hexdigest()[:12]}"


def saved(folder: Path, reader: str, content: bytes) -> Path:
    """File that an input has been written to."""
    path = folder / input_name(reader, content)
    path.write_bytes(content)
    return path


def plainly(worker: Worker, job: Job) -> None:
    """Change good inputs; input number n depends on the seed and n alone."""
    # One more, at which the worker ends.
    for number in range(job.first, job.first + job.count + 1):
        rng = np.random.default_rng([job.seed, number])
        worker.one(worker.changed(worker.good[int(rng.integers(len(worker.good)))], rng))


def guided(worker: Worker, job: Job) -> None:
    """Change inputs that reached something new; does not return."""
    import atheris

    def mutate(data: bytes, size_max: int, seed: int) -> bytes:
        rng = np.random.default_rng(seed)
        share = rng.random()
        if share < FRESH:
            data = worker.good[int(rng.integers(len(worker.good)))]
        return worker.changed(data, rng)[:size_max] if share < OWN else bytes(atheris.Mutate(data, size_max))

    corpus = Path(job.folder) / "corpus"
    corpus.mkdir(exist_ok=True)
    for content in worker.good:
        saved(corpus, "good", content)
    # libFuzzer takes 0 as a request for a random seed.
    options = [f"-seed={1 + job.seed}", f"-max_len={worker.size_max}", *OPTIONS]
    atheris.Setup(["fuzz", *options, str(corpus)], worker.one, custom_mutator=mutate)
    atheris.Fuzz()


def find(group: str, name: str, *, instrument: bool) -> Reader:
    """A reader; with ``instrument``, the lines and comparisons that it executes are counted from here on."""
    with ExitStack() as stack:
        if instrument:
            import atheris

            stack.enter_context(atheris.instrument_imports(include=[group, *INSTRUMENTED], exclude=list(OUTSIDE)))
        readers: Sequence[Reader] = import_module(group).READERS
    return next(reader for reader in readers if reader.name == name)


def main() -> None:
    """Do the job of the command line."""
    job = Job(**json.loads(sys.argv[1]))
    faulthandler.enable()
    logging.disable(logging.CRITICAL)
    reader = find(job.group, job.name, instrument=not job.plain)
    from opzo.system import bounds, probe

    bounds.free_memory = lambda: FREE
    probe.SECONDS = 2
    worker = Worker(job, reader)
    warnings.simplefilter("ignore")
    # An overflow or a cast without sense: the reader would return a wrong result.
    warnings.simplefilter("error", RuntimeWarning)
    if job.plain or not reader.guided:
        plainly(worker, job)
    guided(worker, job)


if __name__ == "__main__":
    main()
