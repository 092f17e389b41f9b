"""Testbench of the credit filter and the credit selectors of some lanes."""

from collections.abc import Iterable
from random import Random
from typing import Any

import cocotb
import numpy as np
from amaranth import signed
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from opzo.hw.lanes.selector import ENTRIES, SUM_WIDTH, TABLE_STEPS
from opzo.hw.timing import EXISTS_CYCLES, SELECT_CYCLES, TABLE_DELAY
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.pipeline import PipelinedUnit
from opzo.sim.golden.credit import filter_credit, frame_update, spike_update, trace_update
from opzo.spec.formats import CREDIT, FRAME_CREDIT, HISTORY_STEPS, INPUT_BITS

LANES = 2
INPUTS = dict.fromkeys(
    ("credit", "en", "lane", "step", "first", "frame", "take_factor", "take_tables", "history", "exists"), 0
)
OUTPUTS = {f"factor_{lane}": 0 for lane in range(LANES)} | {f"selected_{lane}": SELECT_CYCLES for lane in range(LANES)}
SIGNATURE = wiring.Signature(
    {name: Out(signed(SUM_WIDTH if name.startswith("selected") else FRAME_CREDIT.width)) for name in OUTPUTS}
)
FIRST_WRITE = 1 + TABLE_DELAY + 1
"""Cycles from the last credit of a table, through the filter and a lane's registers, to the write of its first sum."""


class Script:
    """Inputs of each cycle, and the expected outputs. In some words not all lanes hold a neuron.

    The credits of a word are sent as early as its tables may be written, while the histories of the word before it are
    still used; they are taken into use in the cycle after the write of the last sum, or later. The device has ``steps``
    time steps.
    """

    def __init__(self, rng: Random, steps: int) -> None:
        self._rng, self._steps = rng, steps
        self._credits: dict[int, tuple[int, int, int, int, int]] = {}
        # By the cycle in which they are taken into use: filtered credits (steps, lanes) and factors, 0 in lanes without
        # a neuron; first histories; bit mask of the lanes with a neuron.
        self._loads: dict[int, tuple[np.ndarray, list[int], list[int], int]] = {}
        self._load, self._lane = 0, -ENTRIES

    def word(self, credits: np.ndarray, histories: list[int], pause: float) -> None:
        """Send ``credits`` (steps, LANES), take them into use, and select with at least ``histories``.

        ``pause`` is the probability that a lane's credits, or their use, come later than possible.
        """
        rng, steps = self._rng, len(credits)
        # ``frame`` only matters with the last credit of a lane.
        frame = rng.getrandbits(1)
        highest = (steps - 1) // TABLE_STEPS * TABLE_STEPS
        begin = max(self._load + 1 - FIRST_WRITE - (ENTRIES - 1 - highest), self._lane + ENTRIES)
        for lane in range(LANES):
            begin += rng.randrange(ENTRIES) if rng.random() < pause else 0
            for step in range(steps):
                some = rng.getrandbits(1) if step else frame
                at = begin + ENTRIES - 1 - step
                self._credits[at] = (int(credits[step, lane]), lane, step, step == steps - 1, some)
            self._lane, begin = begin, begin + ENTRIES
        used = len(next(reversed(self._loads.values()))[2]) if self._loads else 0
        self._load = max(self._lane + ENTRIES - 1 + FIRST_WRITE + ENTRIES - 1, self._load + 1 + used)
        self._load += rng.randrange(4) if rng.random() < pause else 0
        exists = rng.choice((-1, rng.getrandbits(LANES))) & ~(-1 << LANES)
        filtered = filter_credit(credits[:, None, :]) * (exists >> np.arange(LANES) & 1)
        factors = (frame_update if frame else trace_update)(filtered, np.array([1 << INPUT_BITS]))
        self._loads[self._load] = filtered, factors[0, 0].tolist(), histories, exists

    def render(self) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        """Inputs of all cycles and expected outputs, which are not valid in the first ``defined`` cycles."""
        rng = self._rng
        vectors: dict[str, list[int]] = {name: [] for name in INPUTS}
        expected: dict[str, list[int]] = {name: [] for name in OUTPUTS}
        filtered, factors, _, exists = next(iter(self._loads.values()))
        histories: list[int] = []
        for cycle in range(min(self._credits), self._load + 1):
            if cycle + EXISTS_CYCLES - 1 in self._loads:
                exists = self._loads[cycle + EXISTS_CYCLES - 1][3]
            taken = self._credits.get(cycle)
            idle = (rng.randrange(CREDIT.min, CREDIT.max + 1), rng.randrange(LANES), rng.randrange(HISTORY_STEPS))
            credit, lane, step, first, frame = taken or (*idle, rng.getrandbits(1), rng.getrandbits(1))
            mask = (1 << len(filtered)) - 1
            history = (histories.pop(0) if histories else rng.getrandbits(self._steps)) & mask
            values = (
                credit,
                taken is not None,
                lane,
                step,
                first,
                frame,
                cycle + 1 in self._loads,
                cycle in self._loads,
            )
            for name, value in zip(INPUTS, (*values, history, exists), strict=True):
                vectors[name].append(int(value))
            selected = spike_update(filtered, np.array([history]))[0, 0].tolist()
            for lane in range(LANES):
                expected[f"factor_{lane}"].append(factors[lane])
                expected[f"selected_{lane}"].append(selected[lane])
            if cycle + 1 in self._loads:
                factors = self._loads[cycle + 1][1]
            if cycle in self._loads:
                filtered, _, begin, _ = self._loads[cycle]
                histories = list(begin)
        return vectors, expected

    @property
    def defined(self) -> int:
        """Cycles until the first word is in use."""
        return min(self._loads) + 1 - min(self._credits)


def lanes_of(rng: Random, credits: Iterable[int]) -> np.ndarray:
    """``credits`` in one lane and random ones in the others: (steps, LANES), lanes in random order."""
    one = np.array(list(credits))
    columns = [one, *(np.array(random_credits(rng, len(one))) for _ in range(LANES - 1))]
    rng.shuffle(columns)
    return np.stack(columns, axis=1)


def corner_words(most: int) -> list[np.ndarray]:
    """Credits of 1 to ``most`` steps: constant, alternating, in one step only, and with sums that just saturate."""
    words = []
    for steps in range(1, most + 1):
        for value in (CREDIT.min, -1, 0, 1, CREDIT.max):
            words.append(np.full(steps, value))
            words.append(np.where(np.arange(steps) % 2, value, -value - 1))
        for step in range(steps):
            for value in (CREDIT.min, -1, 1, CREDIT.max):
                words.append(np.where(np.arange(steps) == step, value, 0))
    # Sums around both ends of the range: the later of two steps counts one and a half times.
    for end, late in ((FRAME_CREDIT.min, CREDIT.min), (FRAME_CREDIT.max, CREDIT.max)):
        if most > 1:
            words += [np.array([end + d - late - (late >> 1), late]) for d in (-2, -1, 0, 1, 2)]
    return words


def random_credits(rng: Random, steps: int) -> list[int]:
    """Credits of ``steps`` steps, of one magnitude."""
    scale = 1 << rng.randrange(1, CREDIT.width)
    return [rng.randrange(-scale, scale) for _ in range(steps)]


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    rng = Random(bench.seed())
    most = int(bench.parameters()["steps"])
    unit = PipelinedUnit(dut, SIGNATURE, INPUTS, OUTPUTS, rng)
    await bench.start(dut)
    histories = list(range(1 << most))
    script = Script(rng, most)
    for credits in corner_words(most):
        # All steps, each step alone, and none; twice, so that most words are used with and without ``frame``.
        for _ in range(2):
            some = [histories[-1], *(1 << k for k in range(most)), 0]
            script.word(lanes_of(rng, credits), some, rng.choice((0, 0.5)))
    for steps in range(1, most + 1):
        for values in ([CREDIT.min] * steps, [CREDIT.max] * steps, random_credits(rng, steps)):
            script.word(lanes_of(rng, values), histories[: 1 << steps], 0)
    for _ in range(1000):
        some = rng.choices(histories, k=rng.choice((0, 1, 8)))
        script.word(lanes_of(rng, random_credits(rng, rng.randint(1, most))), some, rng.choice((0, 0.3)))
    # Ends the use of the word before it.
    script.word(np.zeros((most, LANES), np.int64), [], 0)
    vectors, expected = script.render()
    results = await unit.run(vectors)
    for name in OUTPUTS:
        assert_equal(
            results[name][script.defined :],
            expected[name][script.defined :],
            what=f"{name} by cycle",
            seed=bench.seed(),
        )
