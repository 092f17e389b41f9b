"""Testbench of all lanes of a device with convolutions: rows and gradients change as in the golden model."""

from collections import deque
from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly

from opzo.hw.lanes.accumulator import SUM_SHIFT
from opzo.hw.lanes.lane_command import SUM, AfterWord, filter_command, lane_command
from opzo.hw.neurons.neurons import SETTINGS
from opzo.hw.neurons.word_credits import error_command
from opzo.hw.timing import GRADIENT, GRADIENT_SATURATED, RESULT, TABLE_CYCLES, TO_STAGE_0, local_stage
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.streams import pack
from opzo.sim.golden.core import GoldenCore
from opzo.sim.golden.credit import filter_credit, spike_update, trace_update
from opzo.sim.golden.feedback import feedback_sum
from opzo.sim.golden.gradient import gradient_step
from opzo.sim.golden.lfsr import LaneLFSRs
from opzo.sim.golden.saturate import saturate
from opzo.sim.golden.update import update_rows
from opzo.spec import formats
from opzo.spec.formats import CREDIT, DRAW_BITS, MEMBRANE, SCALED_ERROR, SPIKE_INPUT, THRESHOLD
from opzo.spec.geometry import CELL, CELL_BITS
from opzo.spec.limits import Limits
from opzo.spec.memories import ENTRY_BITS, Space

SETTLED = 40
"""Cycles after which no command and no word is in the lanes."""
STROBES = ("gradient_saturated", "row_saturated")
FIELDS = {
    Space.WEIGHTS: (("store_row",), ("load_row",)),
    Space.LFSR: (("store_low", "store_high"), ("load_low", "load_high")),
    Space.GRADIENTS: (
        ("store_gradient_low", "store_gradient_high"),
        ("load_gradient_low", "load_gradient_high"),
    ),
}
"""Fields that store and load the rows of each memory."""


class Driver:
    """Golden state of the lanes, and driver of the unit: one command a cycle."""

    def __init__(self, dut: Any, rng: Random) -> None:
        self.dut, self.rng = dut, rng
        self.limits = limits = Limits(**bench.parameters()["limits"])
        self.core, self.layout = GoldenCore(limits), lane_command(limits)
        self.arrays = np.random.default_rng(bench.seed())
        self.cycle, self.decay = 0, 0
        self.alpha = 1000
        self.expected: dict[str, dict[int, int]] = {name: {} for name in (*STROBES, "lane_0_gradient", "local_sum")}
        self.written: deque[int] = deque(maxlen=RESULT)
        """Rows of the last commands, which may not be written yet."""
        for name in ("command", "error", "filter", "take_credits", "gradient_shift", "shift_chain__shift"):
            getattr(dut, name).value = 0
        dut.shift_chain__input.value = 0
        dut.settings.value = pack(SETTINGS, {"alpha": self.alpha, "activity": 0})

    def expect(self, name: str, stage: int, value: int) -> None:
        """Expect ``value`` when the command that is sent next is at ``stage``."""
        self.expected[name][self.cycle + TO_STAGE_0 + stage] = value

    async def send(self, **fields: int) -> None:
        """Send a command, and compare the outputs of its cycle."""
        dut = self.dut
        command = dict.fromkeys(dict(self.layout), 0) | fields
        dut.command.value = pack(self.layout, command)
        await ReadOnly()
        for name, values in self.expected.items():
            want = values.pop(self.cycle, 0 if name in STROBES else None)
            if want is not None:
                port = getattr(dut, name)
                got = int(port.value)
                assert got == want % (1 << len(port)), (
                    f"seed {bench.seed()}, cycle {self.cycle}: {name} {got} of {want}"
                )
        await FallingEdge(dut.clk)
        self.cycle += 1
        self.written.append(fields["address"] if fields.get("update") else -1)

    async def wait(self, cycles: int = SETTLED) -> None:
        for _ in range(cycles):
            await self.send()

    def row(self) -> int:
        """A row that no command changes at the moment."""
        return self.rng.choice([row for row in range(self.limits.rows) if row not in self.written])

    async def shift(self, words: np.ndarray | None = None) -> np.ndarray:
        """Shift ``words`` into the chain; the sums that were in it."""
        dut, found = self.dut, []
        for n in range(self.limits.lanes):
            found.append(int(dut.shift_chain__output.value) & ((1 << SUM["value"].width) - 1))
            word = 0 if words is None else int(words[n])
            dut.shift_chain__shift.value = 1
            dut.shift_chain__input.value = pack(SUM, {"value": word, "negative": 0})
            await self.send()
            dut.shift_chain__shift.value = 0
            await self.wait(3)
        sign = 1 << (SUM["value"].width - 1)
        return (np.array(found) ^ sign) - sign

    def place(self, space: Space, row: int, direction: int) -> dict[str, int]:
        """Command that stores (``direction`` 0) or loads a row of a memory through the chain."""
        fields = FIELDS[space][direction]
        command = {fields[row % len(fields)]: 1}
        if space is Space.WEIGHTS:
            return command | {"address": row, "first": 1, "operand": SPIKE_INPUT, "integrate": direction}
        return command | {"gradient_address": row >> 1 if space is Space.GRADIENTS else 0}

    async def write(self, space: Space, row: int, words: np.ndarray) -> None:
        self.core.write_row(space, row, words.astype(np.uint16))
        await self.shift(words)
        await self.send(**self.place(space, row, 0))
        await self.wait()

    async def check(self, *spaces: Space) -> None:
        """Read and compare all rows of some memories."""
        await self.wait()
        for space in spaces:
            for row in range(space.rows(self.limits)):
                await self.send(**self.place(space, row, 1))
                await self.wait()
                got = (await self.shift()) & ((1 << ENTRY_BITS) - 1)
                want = self.core.read_row(space, row).astype(np.int64) & ((1 << ENTRY_BITS) - 1)
                assert_equal(got, want, what=f"row {row} of {space.name}", seed=bench.seed())

    async def fill(self) -> None:
        """Write all memories."""
        lanes, ends = self.limits.lanes, np.array([0, 1, 0x7FFF, 0x8000, 0xFFFF])
        for space in FIELDS:
            for row in range(space.rows(self.limits)):
                words = self.arrays.integers(0, 1 << ENTRY_BITS, lanes)
                if space is not Space.LFSR:
                    words = np.where(self.arrays.random(lanes) < 0.2, self.arrays.choice(ends, lanes), words)
                await self.write(space, row, words)

    def updated(self, row: int, update: np.ndarray, decay_shift: int) -> None:
        """Change a row; expect its saturation."""
        rows, saturated = update_rows(
            self.core.memory[row].astype(np.int64),
            update,
            self.core.lfsrs.draw(1)[0],
            decay_shift,
            weight_bits=self.limits.weight_bits,
        )
        self.core.memory[row] = rows
        self.expect("row_saturated", RESULT + 2, int(saturated.any()))

    async def credits(self, valid_lanes: int) -> np.ndarray:
        """Bring random credits into use; filtered, 0 where a lane has no neuron: (steps, 1, lanes)."""
        limits, dut, rng = self.limits, self.dut, self.rng
        credits = np.zeros((limits.steps, 1, limits.lanes), np.int64)
        scale = 1 << rng.randrange(4, CREDIT.width)
        for step in range(limits.steps):
            for lane in range(limits.lanes):
                value = rng.choice((CREDIT.min, CREDIT.max, *[rng.randrange(-scale, scale)] * 6))
                value = max(CREDIT.min, min(CREDIT.max, value))
                credits[step, 0, lane] = value
                fields = {"valid": 1, "class_": lane, "step": step, "value": value}
                dut.error.value = pack(error_command(limits), fields)
                await self.send()
        dut.error.value = 0
        await self.wait()
        layout = filter_command(limits)
        idle = dict.fromkeys(dict(layout), 0)
        for lane in range(limits.lanes_per_group):
            for step in reversed(range(TABLE_CYCLES)):
                fields = {"valid": step < limits.steps, "first": step == limits.steps - 1}
                dut.filter.value = pack(layout, idle | fields | {"readout": 1, "lane": lane, "step": step})
                await self.send()
        dut.filter.value = 0
        await self.wait()
        exists = np.arange(limits.lanes) < valid_lanes
        filtered: np.ndarray = filter_credit(credits) * exists
        return filtered

    async def learn(self, commands: int) -> None:
        """Update rows and gradients by the credits of a word."""
        limits, rng, core = self.limits, self.rng, self.core
        valid_lanes = rng.choice((limits.lanes, rng.randint(1, limits.lanes)))
        filtered = await self.credits(valid_lanes)
        self.dut.take_credits.value = 1
        await self.send()
        self.dut.take_credits.value = 0
        few = rng.choice((1, limits.gradients))
        for n in range(commands):
            history, operand = rng.getrandbits(limits.steps), rng.choice((0, 255, rng.randrange(256)))
            update = (spike_update(filtered, np.array([history])) + trace_update(filtered, np.array([operand])))[0, 0]
            row, gradient, decay_shift = self.row(), rng.randrange(few), rng.randrange(16)
            cell, quarter = rng.getrandbits(1), rng.getrandbits(1)
            fields = {"learn": 1, "first": 1, "history": history, "operand": operand, "valid_lanes": valid_lanes}
            fields |= {"address": row, "gradient_address": gradient}
            # The first command tells the lanes which of them hold a neuron.
            kind = rng.choice(("accumulate", "accumulate", "update", "none")) if n else "accumulate"
            if kind == "accumulate":
                exact = core.gradients[gradient] + (update << CELL_BITS * cell)
                core.gradients[gradient], saturated = saturate(exact, formats.GRADIENT.width)
                self.expect("gradient_saturated", GRADIENT_SATURATED, int(saturated.any()))
                await self.send(**fields, accumulate=1, cell=cell)
            elif kind == "update":
                self.updated(row, (update + CELL // 2) >> CELL_BITS if quarter else update, decay_shift)
                await self.send(**fields, update=1, draw=1, quarter=quarter, decay_shift=decay_shift)
            else:
                await self.wait(rng.randrange(3))
        await self.wait(rng.choice((5, SETTLED)))

    async def apply(self) -> None:
        """Change rows by the gradients, some of which take a step of the last bits and some saturate."""
        rng, core = self.rng, self.core
        shift = rng.choice((0, formats.GRADIENT_SHIFT_MAX, rng.randrange(formats.GRADIENT_SHIFT_MAX)))
        self.dut.gradient_shift.value = shift
        await self.wait(1)
        for gradient in range(self.limits.gradients):
            row, decay_shift = self.row(), rng.randrange(16)
            found = core.gradients[gradient].astype(np.int64)
            self.updated(row, gradient_step(found, shift), decay_shift)
            self.expect("lane_0_gradient", GRADIENT, int(found[0]))
            core.gradients[gradient] = 0
            fields = {"apply": 1, "update": 1, "draw": 1, "address": row, "gradient_address": gradient}
            await self.send(**fields, decay_shift=decay_shift, valid_lanes=self.limits.lanes)
            if rng.random() < 0.2:
                await self.wait(rng.randrange(4))
        await self.wait()

    async def fire(self, valid_lanes: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """Fire the neurons of all blocks, in random order; sums of signs and spikes: (blocks, lanes), block shifts."""
        limits, rng, core = self.limits, self.rng, self.core
        signs, spikes = np.zeros((2, limits.blocks, limits.lanes), np.int64)
        exists = np.arange(limits.lanes) < valid_lanes
        word, begun = 0, set()
        shifts = [rng.randrange(limits.block.bit_length()) for _ in range(limits.blocks)]
        # Blocks at an edge are smaller.
        blocks = [block for block, shift in enumerate(shifts) for _ in range(rng.randint(1, 1 << 2 * shift))]
        for block in rng.sample(blocks, len(blocks)):
            row = rng.randrange(limits.rows)
            negative = core.lfsrs.draw(1)[0] >> (DRAW_BITS - 1) == 0
            current, _ = saturate(core.memory[row].astype(np.int64), MEMBRANE.width)
            noise = np.where(negative, -self.alpha, self.alpha)
            spikes[block] += (current + noise >= THRESHOLD) & exists
            signs[block] += np.where(negative, -1, 1) * exists
            fields = {"integrate": 1, "first": 1, "operand": SPIKE_INPUT, "address": row, "draw": 1, "noise": 1}
            fields |= {"after_word": AfterWord.FIRE.value, "sums": 1, "fresh": 1, "word": word, "block_word": block}
            begins = int(block not in begun)
            await self.send(**fields, begins_block=begins, step=block % limits.steps, valid_lanes=valid_lanes)
            begun.add(block)
            word = (word + 1) % limits.words
            await self.wait(limits.lanes_per_group - 1 + rng.choice((0, 0, rng.randrange(6))))
        await self.wait()
        return signs, spikes, shifts

    async def feedback(self) -> None:
        """Sum up and change feedback entries of each block."""
        limits, rng, core = self.limits, self.rng, self.core
        valid_lanes = rng.choice((limits.lanes, rng.randint(1, limits.lanes)))
        signs, spikes, shifts = await self.fire(valid_lanes)
        top = (1 << MEMBRANE.width) - 1
        for block, block_shift in enumerate(shifts):
            place = {"block_word": block, "step": block % limits.steps, "valid_lanes": valid_lanes}
            place |= {"block_shift": block_shift}
            for _ in range(4):
                row = self.row()
                total = int((core.memory[row] * spikes[block]).sum())
                self.expect("local_sum", local_stage(limits), total)
                await self.send(local=1, address=row, **place)
            entries, errors = [], []
            shift, rows = rng.randrange(16), 12
            for n in range(rows):
                row, local, decay_shift = self.row(), rng.getrandbits(1), rng.randrange(16)
                error = rng.choice((-SCALED_ERROR.max, SCALED_ERROR.max, rng.randint(-9999, 9999)))
                difference = error if local else rng.choice((-top, top, rng.randint(-top, top), rng.randint(-99, 99)))
                entries.append(core.memory[row].astype(np.int64))
                errors.append(error)
                fields = {"feedback": 1, "update": 1, "draw": 1, "local": local, "first": n == 0, "address": row}
                fields |= {
                    "operand": error,
                    "difference": difference,
                    "feedback_shift": shift,
                    "load_row": n == rows - 1,
                }
                step = (spikes[block] * error) >> 2 * block_shift
                if not local:
                    step = (-signs[block] * difference) >> block_shift
                self.updated(row, step, decay_shift)
                await self.send(**fields, **place, decay_shift=decay_shift)
            await self.wait()
            sums = feedback_sum(np.array(entries)[None], shift, np.array(errors))[0]
            assert_equal(await self.shift(), sums >> SUM_SHIFT, what=f"sums of block {block}", seed=bench.seed())

    async def zero_order(self) -> None:
        """The noise as the factor of feedback: not where the neurons share the sum."""
        signs, _, _ = await self.fire(self.limits.lanes)
        for block in range(self.limits.blocks):
            odd, shared, loss = self.rng.getrandbits(1), self.rng.getrandbits(1), self.rng.randrange(1 << 17)
            place = {"block_word": block, "step": block % self.limits.steps, "valid_lanes": self.limits.lanes}
            flags = {"feedback": 1, "zero_order": 1, "first": 1, "load_row": 1, "odd": odd, "shared": shared}
            await self.send(**flags, **place, operand=loss)
            await self.wait()
            sign = np.where(signs[block] < 0, -1, 1) * (-1 if odd else 1) * (not shared)
            sums = (sign * formats.ZO_FACTOR * loss) >> SUM_SHIFT
            assert_equal(await self.shift(), sums, what=f"sums of block {block}", seed=bench.seed())


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    driver = Driver(dut, Random(bench.seed()))
    await bench.start(dut)
    await driver.fill()
    driver.core.lfsrs = LaneLFSRs(driver.core.lfsrs.states)
    await driver.check(*FIELDS)
    for _ in range(8):
        for _ in range(3):
            await driver.learn(60)
        await driver.check(Space.GRADIENTS)
        await driver.learn(60)
        await driver.apply()
        await driver.feedback()
        await driver.zero_order()
        await driver.check(*FIELDS)
