"""Link test: with faults injected into the byte stream, all commands and runs give the same results as without."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.driver.statistics import counter_array
from opzo.host.selftest.device_under_test import DeviceUnderTest, prepare
from opzo.host.selftest.digits_experiment import digit_samples, largest_network
from opzo.host.selftest.lossy_transport import DIRECTIONS, KINDS
from opzo.host.selftest.mismatch import MismatchError, entry_of, require_equal
from opzo.spec.memories import Space
from opzo.spec.registers import COUNTER, TIMING_COUNTERS
from opzo.spec.rules import Input, Rule

RATE = 0.12
"""Fraction of writes and reads with a fault."""
SAMPLES = 60
BLOCK_ROWS = 4
BLOCKS = 40
"""Rows per write, and number of writes."""
AXES = {
    "memory": ("block", "row", "lane"),
    "predictions and losses": ("sample", "value"),
    "readouts": ("sample", "class"),
    "weights": ("row", "lane"),
    "LFSR states": ("lane",),
    "registers": ("address",),
    "counters": ("number",),
}
"""Results of the work, and their axes."""
SMALL_ROWS, SMALL_INPUTS, SMALL_WORDS = 512, 64, 2
"""Part of a device that this test uses."""


def link_step(dut: DeviceUnderTest) -> str:
    """Do the same work with and without faults on the link, and compare the results."""
    transport, device = dut.transport, dut.device
    before = device.repeats
    device.expect_damage()
    transport.rate = RATE
    try:
        damaged = _work(dut)
    finally:
        transport.rate = 0.0
    repeats = device.repeats - before
    for name, expected in _work(dut).items():
        require_equal(damaged[name], expected, entry_of(f"{name} with link faults", *AXES[name]), digits=8)
    faults = {way: {kind: transport.faults[way, kind] for kind in KINDS} for way in DIRECTIONS}
    count = sum(transport.faults.values())
    if not repeats:
        raise MismatchError(f"{count} link faults", "repeated frames", "none")
    dut.details |= {"faults": faults, "frames_sent_again": repeats, "samples": SAMPLES}
    return f"{count} link faults, {repeats} frames repeated; {SAMPLES} samples and all other results as without faults"


def _work(dut: DeviceUnderTest) -> dict[str, NDArray[Any]]:
    """Run commands of every kind, and training; all results by name."""
    device, random, limits = dut.device, dut.random(2), dut.limits
    answers: dict[str, NDArray[Any]] = {}
    rows = random.integers(0, 1 << 16, (BLOCKS, min(BLOCK_ROWS, limits.rows), limits.lanes), np.uint16)
    starts = random.integers(0, limits.rows - rows.shape[1] + 1, BLOCKS).tolist()
    for start, block in zip(starts, rows, strict=True):
        device.write_memory(Space.WEIGHTS, start, block)
    answers["memory"] = np.stack([device.read_memory(Space.WEIGHTS, start, rows.shape[1]) for start in starts])
    # Only a part of a large device, so that the duration does not depend on its size.
    part = replace(
        limits,
        rows=min(SMALL_ROWS, limits.rows),
        inputs=min(SMALL_INPUTS, limits.inputs),
        words=min(SMALL_WORDS, limits.words),
    )
    network = largest_network(part, 2, Input.FRAME)
    prepare(device, network, Rule.OPZO, dut.seed)
    device.reset()
    results = list(device.run(digit_samples(network, SAMPLES, random), train=True, outputs=True))
    answers["predictions and losses"] = np.array([(result.prediction, result.loss) for result in results])
    answers["readouts"] = np.stack([result.outputs for result in results]).view(np.uint32)
    answers["weights"] = device.read_memory(Space.WEIGHTS, 0, part.rows)
    answers["LFSR states"] = device.read_lfsr()
    answers["registers"] = np.array(device.read_registers(0, COUNTER))
    answers["counters"] = np.delete(counter_array(device.counters()), TIMING_COUNTERS)
    return answers
