"""A day of operation in small: memory, open files and threads of a process must not grow with its work."""

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import termios
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from opzo.host.data.events.event_files import save_events
from opzo.host.data.events.event_samples import Events
from opzo.host.driver.device import Device, open_device
from opzo.host.driver.devices import simulated
from opzo.host.driver.link import Link
from opzo.host.driver.pty import PtyDevice
from opzo.host.driver.sample import Sample
from opzo.host.driver.transport import Connection
from opzo.host.stream.live_source import RECORD, RecordKind
from opzo.host.training.checkpoint import Checkpoint
from opzo.spec.events import encode_events
from opzo.spec.limits import Limits
from opzo.spec.network import Network
from opzo.spec.rules import Rule

OPZO = [sys.executable, "-m", "opzo"]
EPOCHS = 20
MOST_GROWTH = 4.0
"""MiB by which the memory of a process may grow between the first and the last figure."""
WARM = 0.1
"""Share of the work before the first figure: caches fill, libraries load."""
MINUTE = 60_000_000
"""Time step of the stream in us."""
EVENTS, LABEL_EVERY = 3, 10
"""Events of a time step, and minutes between labels."""
BLOCK = 1000
"""Minutes sent at once."""
DEVICE_NETWORK = Network("12-8-4")
CHIP = Limits(lanes=4, rows=1024, inputs=256, words=8, classes=16)
"""The small chip of the tests, whose simulation they share."""
SHARES = {"fast": 0.5, "golden": 0.4, "serial": 0.097, "rtl": 0.003}
"""Shares of the devices; ``serial`` is ``fast`` behind a pseudo-terminal."""


@dataclass(frozen=True)
class Usage:
    """What a process uses: resident memory in MiB, open files, threads."""

    memory: float
    files: int
    threads: int

    @classmethod
    def of(cls, process: int | str = "self") -> "Usage":
        """Usage of a process."""
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        files, threads = (len(os.listdir(f"/proc/{process}/{kind}")) for kind in ("fd", "task"))
        return cls(round(pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20), 1), files, threads)

    @classmethod
    def least(cls, usages: Sequence["Usage"]) -> "Usage":
        """The least of some, without what is open or allocated only for a moment."""
        return cls(
            min(usage.memory for usage in usages),
            min(usage.files for usage in usages),
            min(usage.threads for usage in usages),
        )

    def growth(self, later: "Usage") -> str:
        """What has grown since, '' if nothing has grown too much."""
        grown = [f"{later.memory - self.memory:.1f} MiB more"] if later.memory > self.memory + MOST_GROWTH else []
        for name in ("files", "threads"):
            if getattr(later, name) > getattr(self, name):
                grown.append(f"{getattr(later, name)} {name}, were {getattr(self, name)}")
        return ", ".join(grown)


def run(count: int, seed: int) -> tuple[list[dict[str, Any]], bool]:
    """``count`` training samples, a tenth as many stream minutes, a thousandth as many devices; a row for each."""
    rows = []
    for name, work, share in (
        ("training samples", train, 1),
        ("stream minutes", stream, 10),
        ("devices", devices, 1000),
    ):
        print(f"{name}: {count // share:,}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            begin, end, done, wrong = work(Path(folder), max(1, count // share), seed)
        wrong = wrong or begin.growth(end)
        figures = {
            f"{part}_{what}": getattr(usage, what)
            for what in ("memory", "files", "threads")
            for part, usage in (("first", begin), ("last", end))
        }
        rows.append({"work": name, "done": done, **figures, "outcome": wrong or "flat", "ok": not wrong})
    return rows, all(row["ok"] for row in rows)


Outcome = tuple[Usage, Usage, int, str]
"""First and last usage, how much was done, and what was wrong."""


def train(folder: Path, count: int, seed: int) -> Outcome:
    """One ``opzo train`` over ``count`` training samples, watched from outside at the ends of its epochs."""
    random, samples = np.random.default_rng(seed), max(64, count // EPOCHS)
    x, y = random.integers(0, 256, (samples + 100, 9)), random.integers(0, 3, samples + 100)
    np.savez(folder / "images.npz", x_train=x[100:], y_train=y[100:], x_test=x[:100], y_test=y[:100])
    options = ["--device", "fast", "--net", "9-8-3", "--lanes", "4", "--epochs", str(EPOCHS), "--seed", str(seed)]
    command = [*OPZO, "train", "--data", "images.npz", "--out", "run", "--quiet", "--json", *options]
    metrics = folder / "run" / "metrics.jsonl"
    usages: list[Usage] = []
    with _opened(command, folder) as process:
        while process.poll() is None:
            time.sleep(0.05)
            epochs = len(metrics.read_text().splitlines()) if metrics.exists() else 0
            # The last epoch is left out: the picture loads a library.
            if WARM * EPOCHS <= epochs < EPOCHS - 1 and process.poll() is None:
                usages.append(Usage.of(process.pid))
        said = process.stdout.read() if process.stdout else b""
    if process.returncode:
        return Usage.of(), Usage.of(), 0, f"exit code {process.returncode}: {said.decode()[-300:]}"
    trained = Checkpoint.load(folder / "run" / "checkpoint.npz").state.samples
    wrong = "" if trained == samples * EPOCHS else f"{trained} samples instead of {samples * EPOCHS}"
    part = len(usages) // 3
    if not part:
        return Usage.of(), Usage.of(), trained, "too few samples to watch the process"
    return Usage.least(usages[:part]), Usage.least(usages[-part:]), trained, wrong


def stream(folder: Path, minutes: int, seed: int) -> Outcome:
    """One ``opzo stream`` that learns from records on its standard input, in time steps of a minute."""
    random = np.random.default_rng(seed)
    events = Events.from_frames(random.integers(0, 2, (8, 4, 9)).astype(np.uint8), np.arange(8) % 3)
    save_events(folder / "events.npz", events, events, "a day")
    options = ["--data", "events.npz", "--device", "fast", "--net", "9-8-3", "--lanes", "4", "--epochs", "1"]
    subprocess.run([*OPZO, "train", *options, "--out", "run", "--quiet"], cwd=folder, check=True, stdout=sys.stderr)
    command = [*OPZO, "stream", "run", "-", "--learn", "--bin-us", str(MINUTE), "--save", "after.npz", "--json"]
    first = last = None
    with _opened(command, folder, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for begin in range(0, minutes, BLOCK):
            if process.poll() is not None:
                break
            process.stdin.write(records(begin, min(minutes, begin + BLOCK), random).tobytes())
            process.stdin.flush()
            _wait_until_read(process)
            last = Usage.of(process.pid)
            if first is None and begin >= WARM * minutes:
                first = last
        time_us = ((minutes - 1) * MINUTE + MINUTE // 2) % (1 << 32)
        process.stdin.write(np.array([(time_us, 0, 0, RecordKind.END)], RECORD).tobytes())
        process.stdin.close()
        said = process.stdout.read()
    if process.returncode or first is None or last is None:
        return Usage.of(), Usage.of(), 0, f"exit code {process.returncode}"
    figures = json.loads(said)
    counts = {name: figures[name] for name in ("steps", "events", "dropped", "late", "malformed", "gaps")}
    expected = {"steps": minutes, "events": minutes * EVENTS, "dropped": 0, "late": 0, "malformed": 0, "gaps": 0}
    return first, last, figures["steps"], "" if counts == expected else f"{counts} instead of {expected}"


def _wait_until_read(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has read all that is in the pipe of its standard input, or has ended."""
    assert process.stdin is not None
    waiting = array("i", [1])
    while waiting[0] and process.poll() is None:
        time.sleep(0.01)
        fcntl.ioctl(process.stdin.fileno(), termios.FIONREAD, waiting)


def records(begin: int, end: int, random: np.random.Generator) -> Any:
    """Records of minutes ``begin`` to ``end``: RECORD (count,), in order of time."""
    rows = []
    for minute in range(begin, end):
        time_us = minute * MINUTE
        if minute % LABEL_EVERY == 0:
            rows.append((time_us % (1 << 32), int(random.integers(3)), 0, RecordKind.LABEL))
        addresses = sorted(random.choice(9, EVENTS, replace=False).tolist())
        rows += [((time_us + 10 + at) % (1 << 32), at, 1, RecordKind.EVENT) for at in addresses]
    return np.array(rows, RECORD)


def devices(folder: Path, count: int, seed: int) -> Outcome:
    """Open and close ``count`` devices in this process, each of which trains a sample."""
    kinds = [kind for kind, share in SHARES.items() for _ in range(round(share * count))]
    random = np.random.default_rng(seed)
    random.shuffle(kinds)
    # Each kind once, so that the first figure has what they load.
    for kind in SHARES:
        use(kind, random)
    first = None
    for number, kind in enumerate(kinds):
        use(kind, random)
        if first is None and number >= WARM * count:
            first = Usage.of()
        if number % 100 == 99:
            print(f"devices: {number + 1}/{len(kinds)}", file=sys.stderr)
    last = Usage.of()
    return first or last, last, len(kinds) + len(SHARES), ""


def use(kind: str, random: np.random.Generator) -> None:
    """Open a device, train a sample on it and close it."""
    if kind == "serial":
        with (
            PtyDevice(simulated("fast", DEVICE_NETWORK.limits(4))) as served,
            open_device(f"serial:{served.path}") as device,
        ):
            train_one(device, random)
    elif kind == "rtl":
        with Device("rtl", Link(Connection.over(simulated("rtl", CHIP), "rtl"))) as device:
            train_one(device, random)
    else:
        with open_device(kind, DEVICE_NETWORK, 4) as device:
            train_one(device, random)


def train_one(device: Device, random: np.random.Generator) -> None:
    """Train a random sample; AssertionError if the device did not count it."""
    device.configure(DEVICE_NETWORK, Rule.READOUT)
    device.write_lfsr(np.arange(1, 5, dtype=np.uint32))
    pairs = encode_events([(at, int(random.integers(1, 256))) for at in range(12)])
    assert len(list(device.run([Sample((pairs,), 1)], train=True))) == 1
    assert device.read_samples() == 1


@contextmanager
def _opened(command: list[str], folder: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is killed if it still runs at the end."""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, **options) as process:
        try:
            yield process
        finally:
            if sys.exc_info()[0] is not None:
                process.kill()
