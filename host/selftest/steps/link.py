"""Link test: with bytes damaged on purpose, all commands and runs come to what they come to without."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.driver.statistics import counter_array
from opzo.host.selftest.check import Bench, MismatchError, entry_of, prepare, require_equal
from opzo.host.selftest.line import DIRECTIONS, KINDS
from opzo.host.selftest.trial import digit_samples, largest_network
from opzo.spec.memories import Space
from opzo.spec.network import Limits
from opzo.spec.registers import COUNTER, TIMING_COUNTERS
from opzo.spec.rules import Input, Rule

RATE = 0.12
"""Share of writes and reads that are damaged."""
SAMPLES = 60
BLOCK_ROWS = 4
BLOCKS = 40
"""Rows written at once, and how often."""
AXES = {
    "memory": ("block", "row", "lane"),
    "predictions and losses": ("sample", "value"),
    "read-outs": ("sample", "class"),
    "weights": ("row", "lane"),
    "LFSR states": ("lane",),
    "registers": ("address",),
    "counters": ("number",),
}
"""What the work answers, and the axes of it."""
SMALL_ROWS, SMALL_INPUTS, SMALL_WORDS = 512, 64, 2
"""Of a device, all that this test uses."""


def link_step(bench: Bench) -> str:
    """Do the same work over a bad line and over a good one, and compare what came back."""
    line, device = bench.line, bench.device
    before = device.repeats
    device.expect_damage()
    line.rate = RATE
    try:
        damaged = _work(bench)
    finally:
        line.rate = 0.0
    repeats = device.repeats - before
    for name, expected in _work(bench).items():
        require_equal(damaged[name], expected, entry_of(f"{name} over a bad line", *AXES[name]), digits=8)
    faults = {way: {kind: line.faults[way, kind] for kind in KINDS} for way in DIRECTIONS}
    count = sum(line.faults.values())
    if not repeats:
        raise MismatchError(f"{count} faults on the line", "frames sent again", "none")
    bench.details |= {"faults": faults, "frames_sent_again": repeats, "samples": SAMPLES}
    return f"{count} faults on the line, {repeats} frames sent again; {SAMPLES} samples and all else as without"


def _work(bench: Bench) -> dict[str, NDArray[Any]]:
    """Commands of every kind, and training; all that they answer, by name."""
    device, random, limits = bench.device, bench.random(2), bench.limits
    answers: dict[str, NDArray[Any]] = {}
    rows = random.integers(0, 1 << 16, (BLOCKS, min(BLOCK_ROWS, limits.rows), limits.lanes), np.uint16)
    starts = random.integers(0, limits.rows - rows.shape[1] + 1, BLOCKS).tolist()
    for start, block in zip(starts, rows, strict=True):
        device.write_memory(Space.WEIGHTS, start, block)
    answers["memory"] = np.stack([device.read_memory(Space.WEIGHTS, start, rows.shape[1]) for start in starts])
    # Of a larger device only a part, so that the test takes no longer there.
    part = Limits(
        **{"lanes": limits.lanes, "rows": min(SMALL_ROWS, limits.rows), "inputs": min(SMALL_INPUTS, limits.inputs)},
        **{"words": min(SMALL_WORDS, limits.words), "classes": limits.classes, "steps": limits.steps},
    )
    network = largest_network(part, 2, Input.FRAME)
    prepare(device, network, Rule.OPZO, bench.seed)
    device.reset()
    results = list(device.run(digit_samples(network, SAMPLES, random), train=True, outputs=True))
    answers["predictions and losses"] = np.array([(result.prediction, result.loss) for result in results])
    answers["read-outs"] = np.stack([result.outputs for result in results]).view(np.uint32)
    answers["weights"] = device.read_memory(Space.WEIGHTS, 0, part.rows)
    answers["LFSR states"] = device.read_lfsr()
    answers["registers"] = np.array(device.read_registers(0, COUNTER))
    answers["counters"] = np.delete(counter_array(device.counters()), TIMING_COUNTERS)
    return answers
