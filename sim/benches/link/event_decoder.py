"""Testbench of the event decoder: items sent to the core and errors reported, against ``opzo.spec.events``."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly
from cocotb.utils import get_sim_time

from opzo.hw.interface import EVENT
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.core_port import chunk_of
from opzo.sim.benches.stimuli import DENSITIES
from opzo.sim.benches.streams import StreamSink, StreamSource
from opzo.sim.benches.traffic import chunk_cases
from opzo.spec.events import END_STEPS, SKIP, Chunk, decode_frame_pairs, decode_steps, encode_frame_pairs, encode_steps
from opzo.spec.limits import Limits
from opzo.spec.rules import Input

KINDS = (*map(int, Input), 3)
"""Values of register INPUT; 3 is equivalent to SPIKES."""


class Expected:
    """Expected items and errors for a run's input, part by part, from the golden link and codec."""

    def __init__(self, limits: Limits, kind: int, inputs: int) -> None:
        self._limits, self._kind = limits, kind
        self._inputs = min(inputs, limits.inputs)
        self._position = self._count = 0
        self._addresses: list[int] = []
        self._values: list[int] = []
        self._ends: list[int] = []
        self._all_ends: list[int] = []
        self._fits = True
        self.bad_event = False

    def append(self, data: bytes) -> None:
        """Take complete codes or pairs."""
        graded = self._kind == Input.GRADED
        if self._kind == Input.FRAME:
            addresses, values, self._position = decode_frame_pairs(data, self._position)
            part = Chunk(addresses, values)
        else:
            part, self._position = decode_steps(data, graded=graded, position=self._position)
        good = (part.addresses < self._inputs) & (part.values != 0)
        self.bad_event |= bool((~good).any())
        # Only valid events are passed on, and no more than a chunk may have.
        passed = good & (self._count + np.arange(len(good)) < self._limits.events)
        before = np.concatenate([[0], np.cumsum(passed)]) + len(self._addresses)
        self._all_ends += (part.ends + self._count).tolist()
        if self._kind != Input.FRAME:
            self._pass_ends(data[:: 1 + graded], before[part.ends].tolist())
        self._count += len(good)
        self._addresses += part.addresses[passed].tolist()
        self._values += part.values[passed].tolist()

    def _pass_ends(self, codes: bytes, places: list[int]) -> None:
        """Pass on the ends of time steps, up to the first code that ends too many steps."""
        for code in codes:
            number = max(0, code - END_STEPS + 1)
            self._fits &= len(self._ends) + number <= self._limits.steps
            if self._fits:
                self._ends += places[:number]
            places = places[number:]

    @property
    def chunk(self) -> Chunk:
        """Input that the core receives."""
        return Chunk(*(np.array(part, np.int64) for part in (self._addresses, self._values, self._ends)))

    @property
    def full(self) -> bool:
        """Whether the input had more events than a chunk may have."""
        return self._count > self._limits.events

    @property
    def bad_steps(self) -> bool:
        """Whether the time steps are invalid for a run."""
        most = 1 if self._kind == Input.GRADED else self._limits.steps
        return not 1 <= len(self._all_ends) <= most or self._all_ends[-1] != self._count


class Driver:
    """Send inputs of runs and compare the outputs."""

    def __init__(self, dut: Any, rng: Random) -> None:
        self.dut, self.rng = dut, rng
        self.limits = Limits(**bench.parameters()["limits"])
        self.source = StreamSource(dut, dut.clk, "data", rng)
        self.sink = StreamSink(dut, dut.clk, "event", rng, shape=EVENT)
        for name in ("kind", "bound", "bound_en", "restart"):
            getattr(dut, name).value = 0

    async def set_bound(self, inputs: int) -> None:
        """Set the number of inputs."""
        dut = self.dut
        dut.bound.value, dut.bound_en.value = inputs, 1
        await FallingEdge(dut.clk)
        # Without the strobe the value must be ignored.
        dut.bound.value, dut.bound_en.value = self.rng.getrandbits(32), 0

    async def run(self, kind: int, parts: list[bytes], inputs: int) -> Expected:
        """Restart, then send the input of one run."""
        dut = self.dut
        expected = Expected(self.limits, kind, inputs)
        await self.set_bound(inputs)
        dut.restart.value = 1
        await FallingEdge(dut.clk)
        dut.restart.value = 0
        for part in parts:
            dut.kind.value = kind
            await FallingEdge(dut.clk)
            await self.source.send_all(part)
            expected.append(part)
            await self.drained()
            # INPUT may be read again between commands.
            dut.kind.value = self.rng.getrandbits(2)
            await FallingEdge(dut.clk)
        dut.kind.value = kind
        await FallingEdge(dut.clk)
        await self.check(expected, f"kind {kind}, {inputs} inputs, {[part.hex() for part in parts]}")
        return expected

    async def drained(self) -> None:
        """Wait until all outputs have been received."""
        dut = self.dut
        while True:
            await ReadOnly()
            done = not dut.busy.value and not dut.event__valid.value
            await FallingEdge(dut.clk)
            if done:
                return

    async def check(self, expected: Expected, what: str) -> None:
        """Compare events, ends and errors."""
        dut = self.dut
        items = await self.sink.receive_all(len(self.sink))
        got, want = chunk_of(items), expected.chunk
        for name in ("addresses", "values", "ends"):
            assert_equal(getattr(got, name), getattr(want, name), what=f"{name}, {what[:2000]}", seed=bench.seed())
        await ReadOnly()
        assert bool(dut.bad_event.value) == expected.bad_event, f"bad_event, {what}"
        assert bool(dut.full.value) == expected.full, f"full, {what}"
        if int(dut.kind.value) != Input.FRAME:
            assert bool(dut.bad_steps.value) == expected.bad_steps, f"bad_steps, {what}"
        await FallingEdge(dut.clk)

    def stall(self) -> None:
        """Choose the stall probabilities of both sides."""
        self.source.stall, self.sink.stall = (self.rng.choice((0, 0, 0.3, 0.8)) for _ in range(2))

    def cut(self, kind: int, data: bytes) -> list[bytes]:
        """Split between codes into up to three parts."""
        size = 1 if kind in (Input.SPIKES, 3) else 2
        places = sorted(size * self.rng.randint(0, len(data) // size) for _ in range(self.rng.randrange(3)))
        return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]

    def random_chunk(self, kind: int) -> bytes:
        """Codes of a valid chunk; sometimes with too many steps, or with events after the last step."""
        rng, limits = self.rng, self.limits
        numbers = np.random.default_rng(rng.getrandbits(32))
        steps = rng.choice((1, limits.steps, rng.randint(0, 20))) if kind != Input.GRADED else rng.choice((1, 1, 2))
        lists = [
            np.flatnonzero(numbers.random(limits.inputs) < rng.choice(DENSITIES)).tolist()
            for _ in range(1 if kind == Input.FRAME else steps)
        ]
        values = [[rng.choice((1, 255, rng.randrange(1, 256))) for _ in step] for step in lists]
        if kind == Input.FRAME:
            return encode_frame_pairs(np.array(lists[0], np.int64), np.array(values[0], np.int64))
        graded = kind == Input.GRADED
        data = encode_steps(Chunk.of_steps(lists, values if graded else None), graded=graded)
        return data + rng.choice((b"", b"", b"", b"\1\1"))

    def random_codes(self, kind: int) -> bytes:
        """Arbitrary codes, with many of the rare ones."""
        rng = self.rng
        count = rng.choice((1, 5, 40))
        first = rng.choice((0, SKIP, END_STEPS))
        rare = rng.random()
        codes = [rng.randrange(first if rng.random() < rare else 0, 256) for _ in range(count)]
        if kind in (Input.SPIKES, 3):
            return bytes(codes)
        return bytes(b for code in codes for b in (code, rng.choice((0, 1, 255, rng.randrange(256)))))


async def begin(dut: Any) -> Driver:
    """Driver after reset."""
    driver = Driver(dut, Random(bench.seed()))
    await bench.start(dut)
    return driver


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def bounds(dut: Any) -> None:
    driver = await begin(dut)
    limits = driver.limits
    for inputs in (limits.inputs, limits.inputs - 1, limits.inputs + 1, 0, 1, 4096, 8191, 0xFFFFFFFF):
        for kind in KINDS:
            driver.stall()
            for top in (0, inputs - 1, inputs, inputs + 1, limits.inputs - 1, limits.inputs, 4095, 4096, 8192, 65536):
                if not 0 <= top <= 70_000:
                    continue
                if kind == Input.FRAME:
                    data = encode_frame_pairs(np.array([top]), np.array([7])) + bytes((0, 9))
                else:
                    graded = kind == Input.GRADED
                    one = Chunk.of_steps([[top, top + 1], [0]], [[3, 4], [5]] if graded else None)
                    data = encode_steps(one, graded=graded)
                await driver.run(kind, [data], inputs)
    assert_equal(len(driver.sink), 0, what="events left")


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def chunks_at_their_bounds(dut: Any) -> None:
    driver = await begin(dut)
    for case in chunk_cases(driver.limits) if driver.limits.inputs >= 256 else ():
        driver.stall()
        expected = await driver.run(case.kind, list(case.parts), driver.limits.inputs)
        flags = (expected.bad_event, expected.full, expected.bad_steps)
        statuses = [name for name, flag in zip(("BAD_EVENT", "FULL", "BAD_STEPS"), flags, strict=True) if flag]
        assert case.status.name in (statuses[:1] or ["OK", "BAD_LABEL"]), f"{case}"


@cocotb.test(timeout_time=500, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    driver = await begin(dut)
    rng, limits = driver.rng, driver.limits
    for _ in range(bench.parameters()["runs"]):
        driver.stall()
        for kind in KINDS:
            data = rng.choice((driver.random_chunk, driver.random_codes, driver.random_codes))(kind)
            inputs = rng.choice((limits.inputs, limits.inputs, rng.randint(0, 4096)))
            await driver.run(kind, driver.cut(kind, data), inputs)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def takes_two_cycles_a_code_and_three_a_pair(dut: Any) -> None:
    driver = await begin(dut)
    for kind in KINDS:
        data = driver.random_codes(kind) * 20
        cycles = 2 * len(data) if kind in (Input.SPIKES, 3) else 3 * len(data) // 2
        begin_time = get_sim_time("ns")
        await driver.run(kind, [data], driver.limits.inputs)
        assert (get_sim_time("ns") - begin_time) / 10 <= cycles + 12


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_forgets_everything(dut: Any) -> None:
    driver = await begin(dut)
    rng = driver.rng
    for _ in range(100):
        kind = rng.choice(KINDS)
        await driver.run(kind, [driver.random_codes(kind)], driver.limits.inputs)
        dut.kind.value = kind
        await FallingEdge(dut.clk)
        # Also in the middle of a code.
        await driver.source.send_all(driver.random_codes(kind)[: rng.randint(1, 9)])
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await driver.sink.receive_all(len(driver.sink))
        assert dut.busy.value == 0
        kind = rng.choice(KINDS)
        data = driver.random_codes(kind)
        # No restart is needed, because no state is left.
        await driver.set_bound(driver.limits.inputs)
        dut.kind.value = kind
        await FallingEdge(dut.clk)
        await driver.source.send_all(data)
        expected = Expected(driver.limits, kind, driver.limits.inputs)
        expected.append(data)
        await driver.drained()
        await driver.check(expected, f"kind {kind}, after reset, {data.hex()}")
