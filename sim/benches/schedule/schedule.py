"""Testbench of the schedule: its passes against loops written from ``docs/machine.md``."""

from itertools import product
from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from opzo.hw.registers import CONFIG, layers_layout
from opzo.hw.schedule.passes import Kind, pass_layout
from opzo.hw.schedule.schedule import slots
from opzo.sim.benches import bench
from opzo.sim.benches.streams import StreamSink, pack, unpack
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.limits import Limits
from opzo.spec.rules import Input, Rule

TIMED = (Kind.FIRE, Kind.SPIKES, Kind.FEEDBACK, Kind.LOCAL)
"""Kinds of passes that belong to a time step; where inputs are events, INPUT does too."""
LISTED = (Kind.SPIKES, Kind.LEARN_SPIKES)
"""Kinds whose rows come from the layer below."""
INPUTS = (*map(int, Input), 3)
"""Values of register INPUT; 3 acts like SPIKES."""


def bench_limits() -> Limits:
    """Limits of the unit."""
    return Limits(**bench.parameters()["limits"])


def cases() -> tuple[tuple[int, int, Rule, int, int], ...]:
    """Hidden layers, time steps, rule, train, input."""
    return tuple(product(range(1, bench_limits().layers + 1), range(1, HISTORY_STEPS + 1), Rule, (0, 1), INPUTS))


def expected_passes(
    depth: int, steps: int, rule: Rule, train: int, local: tuple[int, ...] = (), *, events: bool = False
) -> list[tuple[Kind, int, int]]:
    """Kind, layer (``depth`` is the read-out), time step (0 where there is none) of all passes of a run.

    ``local`` are the layers with a local read-out; ``events`` tells that the input is not a frame.
    """
    feedback = train and rule.learns_hidden
    passes = [] if events else [(Kind.INPUT, 0, 0)]
    for macro in range(steps + depth + (1 if feedback else 0)):
        candidates = [(Kind.INPUT if events else Kind.FIRE, 0, macro)]
        if feedback and 0 in local:
            candidates.append((Kind.LOCAL, 0, macro - 1))
        candidates += [(Kind.SPIKES, layer, macro - layer) for layer in range(1, depth + 1)]
        for layer in range(depth if feedback else 0):
            if layer and layer in local:
                candidates.append((Kind.LOCAL, layer, macro - layer - 1))
            candidates.append((Kind.FEEDBACK, layer, macro - depth - 1))
        passes += [candidate for candidate in candidates if 0 <= candidate[2] < steps]
    if train:
        passes.append((Kind.LEARN_SPIKES, depth, 0))
        if rule.learns_hidden:
            passes += [(Kind.LEARN_SPIKES, layer, 0) for layer in range(depth - 1, 0, -1)]
            passes.append((Kind.LEARN_INPUT, 0, 0))
    return passes


class Run:
    """Settings of a run, and its passes."""

    def __init__(self, dut: Any, rng: Random, case: tuple[int, int, Rule, int, int]) -> None:
        self.depth, self.steps, self.rule, self.train, self.input = case
        self._dut, self._rng = dut, rng
        self._limits = bench_limits()
        layout = layers_layout(self._limits)
        self.layers = unpack(layout, rng.getrandbits(layout.size))
        local = tuple(layer for layer in range(self._limits.layers) if rng.random() < 0.5)
        for number, layer in enumerate(self.layers):
            layer["local_shift"] = rng.randrange(1, 16) if number in local else 0
        self.config = unpack(CONFIG, rng.getrandbits(CONFIG.size))
        self.config |= {"hidden_layers": self.depth, "steps": self.steps, "rule": int(self.rule), "input": self.input}
        self.events = self.input != Input.FRAME
        self.expected = expected_passes(self.depth, self.steps, self.rule, self.train, local, events=self.events)

    async def start(self) -> None:
        """Set everything and strobe start."""
        dut = self._dut
        dut.config.value = pack(CONFIG, self.config)
        dut.layers.value = pack(layers_layout(self._limits), self.layers)
        dut.train.value, dut.start.value = self.train, 1
        await FallingEdge(dut.clk)
        # Taken with start.
        dut.train.value, dut.start.value = self._rng.getrandbits(1), 0

    def check(self, number: int, got: dict[str, Any]) -> None:
        """Compare all fields of a pass that mean something."""
        kind, layer, step = self.expected[number]
        readout = layer == self.depth
        slot = self._limits.layers if readout else layer
        want: dict[str, Any] = {"kind": kind.value, "readout": readout, "layer": slot}
        want |= {"settings": self.layers[slot], "last": number == len(self.expected) - 1}
        if kind in TIMED or (kind is Kind.INPUT and self.events):
            want["step"] = step
        if kind in LISTED:
            want |= {"below": layer - 1, "below_base": self.layers[layer - 1]["word_base"]}
        if kind is Kind.FEEDBACK:
            want["intermediate"] = layer + 1 < self.config["intermediate"]
        part = {name: got[name] for name in want}
        assert part == want, (
            f"seed {bench.seed()}: pass {number} with {self.depth} hidden layers, T = {self.steps}, {self.rule.name}, "
            f"train {self.train}, input {self.input}"
        )


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def matches_the_loops(dut: Any) -> None:
    rng, limits = Random(bench.seed()), bench_limits()
    sink = StreamSink(dut, dut.clk, "passes", rng, shape=pass_layout(limits))
    dut.start.value = 0
    await bench.start(dut)
    for stall in (0.0, 0.3, 0.9):
        sink.stall = stall
        for case in rng.sample(cases(), min(len(cases()), round(30 / stall))) if stall else cases():
            run = Run(dut, rng, case)
            await run.start()
            begin = cocotb.utils.get_sim_time("ns")
            passes = await sink.receive_all(len(run.expected))
            cycles = (cocotb.utils.get_sim_time("ns") - begin) / 10
            # A cycle for each candidate and pass: a macro step is slots(limits) candidates, however few are passes.
            most = (run.steps + run.depth + 1) * slots(limits) + len(run.expected) + limits.layers + 4
            assert stall or cycles <= most, f"{cycles} cycles with {case}"
            for number, got in enumerate(passes):
                run.check(number, got)
            # The next run may start at once; or nothing more comes.
            for _ in range(rng.choice((0, 4 * slots(limits)))):
                await FallingEdge(dut.clk)
            assert len(sink) == 0, f"a pass too many with {case}"


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_ends_the_run(dut: Any) -> None:
    rng = Random(bench.seed())
    sink = StreamSink(dut, dut.clk, "passes", rng, 0.3, shape=pass_layout(bench_limits()))
    dut.start.value = 0
    await bench.start(dut)
    for _ in range(60):
        run = Run(dut, rng, rng.choice(cases()))
        await run.start()
        await sink.receive_all(rng.randrange(len(run.expected)))
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await sink.receive_all(len(sink))
        for _ in range(2 * slots(bench_limits())):
            await FallingEdge(dut.clk)
        assert len(sink) == 0
        run = Run(dut, rng, rng.choice(cases()))
        await run.start()
        for number in range(len(run.expected)):
            run.check(number, await sink.receive())
