"""Golden and compiled model of one device, compared in all state after every run."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.stimuli import draw_chunk, draw_flags
from opzo.sim.fast.core import FastCore
from opzo.sim.golden.core import GoldenCore
from opzo.spec.lfsr import lane_states
from opzo.spec.memories import Space
from opzo.spec.network import Network
from opzo.spec.registers import COUNTER, Counter, Reg, network_registers
from opzo.spec.rules import Rule

RATES = (Reg.ALPHA, Reg.RATE, Reg.ACTIVITY, Reg.DECAY_SHIFT, Reg.LEAK_SHIFT, Reg.MSE_SHIFT)
ARRAYS = (
    *("memory", "gradients", "membrane", "negative", "trace", "history", "input_trace", "input_history"),
    *("last_outputs", "output_sums", "last_intermediate"),
)


@dataclass(frozen=True)
class Case:
    """A network on a device with random memories.

    Attributes
    ----------
    registers : dict
        Values of registers, besides those that describe the network.
    firing : bool
        Whether no entry is negative, so that nearly every neuron fires in every step.
    """

    network: Network
    lanes: int
    weight_bits: int
    rule: Rule
    registers: Mapping[int, int]
    seed: int
    firing: bool = False
    scales: tuple[int, ...] = field(default=(300, 3000, 32767), repr=False)

    def __str__(self) -> str:
        registers = ", ".join(f"{address:#04x}: {value}" for address, value in self.registers.items())
        return (
            f"{self.network!r}, {self.lanes} lanes, {self.weight_bits} bits, {self.rule.name.lower()}, "
            f"{{{registers}}}{', firing' * self.firing}"
        )


def twins(case: Case) -> tuple[GoldenCore, FastCore, np.random.Generator]:
    """Both models with the same network and random memories, filled through the same calls."""
    rng = np.random.default_rng(case.seed)
    limits = case.network.limits(case.lanes, case.weight_bits)
    scale = int(rng.choice(case.scales))
    layers = case.network.layout(limits)
    used = layers[-1].weight_base + layers[-1].words * layers[-1].rows
    rows = rng.integers(0 if case.firing else -scale, scale + 1, (used, case.lanes)).astype(np.uint16)
    gradients = rng.integers(0, 1 << 16, (2 * limits.gradients, case.lanes), np.uint16)
    # Small enough that a batch does not consist of them alone.
    gradients[1::2] = np.where(gradients[1::2] & 1, 0xFFFF, 0)
    states = lane_states(case.seed, case.lanes)
    golden, fast = GoldenCore(limits), FastCore(limits)
    for core in (golden, fast):
        for address, value in (network_registers(case.network, limits, case.rule) | dict(case.registers)).items():
            core.write_register(address, value)
        for space, data in ((Space.WEIGHTS, rows), (Space.GRADIENTS, gradients)):
            for row, values in enumerate(data):
                core.write_row(space, row, values)
        for half in range(2):
            core.write_row(Space.LFSR, half, (states >> np.uint32(16 * half)).astype(np.uint16))
    return golden, fast, rng


def assert_equal_states(golden: GoldenCore, fast: FastCore, what: str, seed: int) -> None:
    """AssertionError that names the first array that differs, seed, address, lane and ``what``."""
    for name in ARRAYS:
        assert_equal(getattr(fast, name), getattr(golden, name), what=f"{name} {what}", seed=seed)
    assert_equal(fast.lfsrs.states, golden.lfsrs.states, what=f"LFSRs {what}", seed=seed)
    registers = {
        hex(address): (value, golden.registers[address])
        for address, value in fast.registers.items()
        if value != golden.registers[address]
    }
    assert not registers, f"registers {what}, seed {seed}: {registers}"
    counts = [
        [core.read_register(address) for address in range(COUNTER, COUNTER + 2 * len(Counter))]
        for core in (fast, golden)
    ]
    assert_equal(*counts, what=f"halves of counters {what}", seed=seed)


def run_case(case: Case, samples: int) -> tuple[GoldenCore, FastCore]:
    """Compare the models after each of some random runs."""
    golden, fast, rng = twins(case)
    for number in range(samples):
        chunk, label = draw_chunk(rng, case.network), int(rng.integers(case.network.classes))
        flags = draw_flags(rng)
        what = f"after run {number} of {case}"
        assert fast.run(chunk, label, flags) == golden.run(chunk, label, flags), f"answer {what}, seed {case.seed}"
        assert_equal_states(golden, fast, what, case.seed)
    return golden, fast
