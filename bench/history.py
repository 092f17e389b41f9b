"""Append the figures of this commit to history.jsonl, here, and draw history.png in docs: python bench/history.py

Counts the clock cycles of a training and of a test sample on the simulated chip, measures the speed of the devices rtl
and fast, and counts the cells of a small ECP5 chip after synthesis. Speeds are samples in the CPU time of a fixed loop,
which is measured in turn with them, so that figures of different days and machines can be compared; medians over the
turns. With --clock the chip is also placed and routed, which takes minutes. A figure that cannot be measured is an
error. With --draw only the picture is drawn.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from history_figure import picture

from opzo.boards.build import Plan, build, synthesise
from opzo.boards.fit import choose
from opzo.boards.registry import find_board
from opzo.host.data.data_sets import encode_frame, load_data
from opzo.host.data.images.frames import Frames
from opzo.host.driver.device import Device, open_device
from opzo.host.driver.link import Link
from opzo.host.driver.sample import Sample
from opzo.host.driver.transport import Connection
from opzo.host.training.config import Hyperparameters
from opzo.host.training.schedule_registers import schedule_registers
from opzo.host.training.trainer import Trainer
from opzo.sim.rtl.transport import RtlTransport
from opzo.spec.errors import OpzoError
from opzo.spec.network import Network
from opzo.spec.registers import Counter

ROOT = Path(__file__).resolve().parents[1]
HISTORY = Path(__file__).with_name("history.jsonl")
PICTURE = ROOT / "docs" / "history.png"
NETWORKS = {"dense": Network.parse("64-32-10"), "convolution": Network.parse("1x8x8-8c3-p2-10")}
CHIP = NETWORKS["convolution"].limits(4)
"""Chip of all cycles and speeds: both networks fit in it."""
BOARD, BUILT = "ulx3s-25f", Network.parse("64-16-10")
"""Board and network of the chip whose cells are counted."""
COUNTED = 16
"""Samples whose cycles are counted; a power of two, so that the mean is exact."""
TIMED = {"rtl": 16, "fast": 512}
"""Samples in a turn of each device."""
TURNS = 7
LOOP = 400
"""Rounds of the fixed loop."""


def fixed_loop() -> int:
    """Work of the host that never changes: integer arrays in NumPy, and Python's own arithmetic."""
    rows = np.arange(64 * 1024, dtype=np.int64).reshape(64, 1024)
    total = 0
    for number in range(LOOP):
        total += int((rows * number >> 3).sum(axis=0).max())
        for value in range(2000):
            total ^= value * number
    return total


def cpu_seconds(work: Callable[[], int]) -> tuple[float, int]:
    """CPU time of ``work``, so that other programs on the machine count little, and its result."""
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result


def in_turns(work: dict[str, Callable[[], int]], turns: int = TURNS) -> dict[str, float]:
    """Samples in the CPU time of the fixed loop, for each work that returns its number of samples; median of turns."""
    ratios: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(turns):
        loop, _ = cpu_seconds(fixed_loop)
        for name, run in work.items():
            seconds, done = cpu_seconds(run)
            if not seconds or not done:
                raise OpzoError(f"{name} ran {done} samples in {seconds} s of CPU time; nothing was measured")
            ratios[name].append(done * loop / seconds)
    return {name: float(f"{median(values):.4g}") for name, values in ratios.items()}


def samples(count: int) -> list[Sample]:
    """The first images of the digits, again and again."""
    train = load_data("digits").train
    assert isinstance(train, Frames)
    places = (number % len(train.y) for number in range(count))
    return [Sample((encode_frame(train.x[place]),), int(train.y[place])) for place in places]


def prepare(device: Device, network: Network) -> None:
    """Load an untrained network with the default settings."""
    hyper = Hyperparameters()
    Trainer(device, network, hyper)
    device.write_registers(schedule_registers(hyper, 0, COUNTED))


def run(device: Device, work: list[Sample], *, train: bool = True) -> int:
    """Run samples; return their number."""
    done = sum(1 for _ in device.run(work, train=train))
    if done != len(work):
        raise OpzoError(f"{device} answered {done} of {len(work)} samples; run the self-test: opzo selftest")
    return done


def cycles(device: Device, network: Network) -> dict[str, float]:
    """Cycles of a training and of a test sample."""
    prepare(device, network)
    figures = {}
    for kind, counter in (("test", Counter.TEST_CYCLES), ("train", Counter.TRAIN_CYCLES)):
        device.clear_counters()
        run(device, samples(COUNTED), train=kind == "train")
        figures[kind] = device.counters()[counter] / COUNTED
    return figures


def simulated() -> dict[str, Any]:
    """Cycles of both networks, and speeds of the devices with the dense one."""
    chip = Device("rtl", Link(Connection.over(RtlTransport(CHIP), "rtl", patience=600.0)))
    with chip, open_device("fast", NETWORKS["dense"], CHIP.lanes) as fast:
        counted = {name: cycles(chip, network) for name, network in NETWORKS.items()}
        devices = {"rtl": chip, "fast": fast}
        for device in devices.values():
            prepare(device, NETWORKS["dense"])
        work = {name: samples(count) for name, count in TIMED.items()}
        speed = in_turns({name: partial(run, devices[name], work[name]) for name in TIMED})
    return {"cycles": counted, "samples_per_loop": speed}


def cells() -> dict[str, int]:
    """Cells of the small chip after synthesis."""
    board = find_board(BOARD)
    # YoWASP's tools cannot read /tmp.
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".history-") as folder:
        found = synthesise(Plan.of(board, choose(board, BUILT, CHIP.lanes)), Path(folder))
    return {
        "LUT": found.luts,
        "FF": found.flip_flops,
        "DP16KD": found.block_rams,
        "MULT18X18D": found.multipliers,
    }


def clock() -> float:
    """Clock in MHz of the small chip after place and route."""
    board = find_board(BOARD)
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".history-") as folder:
        plan = Plan.of(board, choose(board, BUILT, CHIP.lanes))
        return float(build(plan, BUILT, Path(folder), _tell, _tell)["clock_mhz"])


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def git(*arguments: str) -> str:
    """Output of git in this repository; OpzoError if it fails."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
        raise OpzoError(f"git {arguments[0]} failed in {ROOT} ({reason}); run this in a clone with git") from error
    return done.stdout.strip()


def commit(*, dirty: bool) -> dict[str, Any]:
    """Hash and date of the current commit; OpzoError if files differ from it, unless ``dirty`` says to mark that."""
    changed = [line.split()[-1] for line in git("status", "--porcelain").splitlines()]
    # What this script itself writes.
    changed = [name for name in changed if Path(name).name not in (HISTORY.name, PICTURE.name)]
    if changed and not dirty:
        raise OpzoError(f"{len(changed)} files differ from the commit, such as {changed[0]}; commit, or give --dirty")
    name, date = git("log", "-1", "--format=%H %cI").split()
    return {"commit": name, "date": date, **({"dirty": True} if changed else {})}


def processor() -> str:
    """Model of the processor, as far as the system says."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def read(path: Path) -> list[dict[str, Any]]:
    """Lines of the history; OpzoError if one of them is not an object."""
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise OpzoError(f"{path}, line {number}: not a JSON object; restore the file: git checkout {path}")
        rows.append(row)
    return rows


def main() -> int:
    """Measure, append and draw; exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clock", action="store_true", help="also place and route, which takes minutes")
    parser.add_argument("--dirty", action="store_true", help="measure files that differ from the commit, and mark it")
    parser.add_argument("--draw", action="store_true", help="draw the picture, measure nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    try:
        rows = read(HISTORY)
        if not args.draw:
            row = {
                **commit(dirty=args.dirty),
                "python": platform.python_version(),
                "cpu": processor(),
                **simulated(),
                "cells": cells(),
                **({"clock_mhz": clock()} if args.clock else {}),
            }
            rows.append(row)
            with HISTORY.open("a") as file:
                file.write(json.dumps(row) + "\n")
        if not rows:
            raise OpzoError(f"{HISTORY} has no line to draw; measure first: python bench/history.py")
        PICTURE.write_bytes(picture(rows))
    except OpzoError as error:
        print(f"opzo: error: {error}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps(rows[-1]))
    else:
        for name, value in rows[-1].items():
            print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
