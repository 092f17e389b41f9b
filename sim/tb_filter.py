"""Testbench of the credit filter, with a selector behind it."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from amaranth import signed
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from opzo.hw.selector import LEAST_STEPS, SUM_WIDTH, latency
from opzo.sim import bench
from opzo.sim.compare import assert_equal
from opzo.sim.golden.credit import filter_credit, frame_update, spike_update, trace_update
from opzo.sim.pipeline import PipelinedUnit
from opzo.spec.formats import CREDIT, FRAME_CREDIT, HISTORY_STEPS, INPUT_BITS

INPUTS = dict.fromkeys(("credit", "en", "step", "first", "frame", "load", "history"), 0)
SIGNATURE = wiring.Signature({"factor": Out(signed(FRAME_CREDIT.width)), "selected": Out(signed(SUM_WIDTH))})


class Script:
    """What the filter is told in each cycle, and what it then shows.

    A word is loaded, then histories come in every cycle while the next word is filled in; its first credit may come in
    the cycle of the last bit of the load, its last one in the cycle before the next load. The selector has ``steps``
    time steps.
    """

    def __init__(self, rng: Random, steps: int) -> None:
        self._rng, self._steps = rng, steps
        self.vectors: dict[str, list[int]] = {name: [] for name in INPUTS}
        self.factors: list[int] = []
        self.selected: list[int] = []
        self._factor = 0
        self._active = np.zeros((steps, 1, 1), np.int64)
        self._shadow: tuple[np.ndarray, int] | None = None

    def word(self, credits: np.ndarray, histories: list[int], gap: float) -> None:
        """Load the word before, use it with ``histories``, and fill in ``credits``, first time step first.

        ``gap`` is the probability of another cycle before a credit.
        """
        fill: list[tuple[int, int, int, int, int]] = []
        # Whether the rows are those of a frame counts only with the last credit.
        frame = self._rng.getrandbits(1)
        for n, credit in enumerate(credits[::-1].tolist()):
            while self._rng.random() < gap:
                fill.append(self._nothing())
            step = len(credits) - 1 - n
            fill.append((credit, 1, step, n == 0, self._rng.getrandbits(1) if step else frame))
        fill = [self._nothing() for _ in range(self._steps - 2)] + fill
        cycles = max(len(fill), len(histories) + 1)
        late = self._rng.choice((0, cycles - len(fill)))
        fill = [self._nothing() for _ in range(late)] + fill
        fill += [self._nothing() for _ in range(cycles - len(fill))]
        # In the cycle of the load the word before is still there.
        histories = [self._history(), *histories]
        histories += [self._history() for _ in range(cycles - len(histories))]
        for n, history in enumerate(histories):
            self._cycle(*fill[n], load=n == 0, history=history & (1 << len(self._active)) - 1)
            if n == 0 and self._shadow is not None:
                self._active, is_frame = self._shadow
                update = frame_update if is_frame else trace_update
                self._factor = int(update(self._active, np.array([1 << INPUT_BITS]))[0, 0, 0])
        self._shadow = filter_credit(credits[:, None, None]), frame

    def _nothing(self) -> tuple[int, int, int, int, int]:
        rng = self._rng
        credit, step = rng.randrange(CREDIT.min, CREDIT.max + 1), rng.randrange(HISTORY_STEPS)
        return credit, 0, step, rng.getrandbits(1), rng.getrandbits(1)

    def _history(self) -> int:
        return self._rng.getrandbits(self._steps)

    def _cycle(self, *fill: int, load: int, history: int) -> None:
        for name, value in zip(INPUTS, (*fill, load, history), strict=True):
            self.vectors[name].append(value)
        self.factors.append(self._factor)
        self.selected.append(int(spike_update(self._active, np.array([history]))[0, 0, 0]))


def corner_words(most: int) -> list[np.ndarray]:
    """Credits of all step counts to ``most``: constant, alternating, one step alone, and sums that just saturate."""
    words = []
    for steps in range(1, most + 1):
        for value in (CREDIT.min, -1, 0, 1, CREDIT.max):
            words.append(np.full(steps, value))
            words.append(np.where(np.arange(steps) % 2, value, -value - 1))
        for step in range(steps):
            for value in (CREDIT.min, -1, 1, CREDIT.max):
                words.append(np.where(np.arange(steps) == step, value, 0))
    # Sums one to three units around both ends: the later of two steps counts one and a half times.
    for end, late in ((FRAME_CREDIT.min, CREDIT.min), (FRAME_CREDIT.max, CREDIT.max)):
        words += [np.array([end + d - late - (late >> 1), late]) for d in (-2, -1, 0, 1, 2)]
    return words


def random_credits(rng: Random, steps: int) -> list[int]:
    """Credits of some steps, all of one magnitude."""
    scale = 1 << rng.randrange(1, CREDIT.width)
    return [rng.randrange(-scale, scale) for _ in range(steps)]


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    rng = Random(bench.seed())
    most = int(bench.parameters()["steps"])
    # The selector is one cycle behind.
    delays = {"factor": 1 + most - LEAST_STEPS, "selected": 1 + latency(most)}
    unit = PipelinedUnit(dut, SIGNATURE, INPUTS, delays, rng)
    await bench.start(dut)
    histories = list(range(1 << most))
    script = Script(rng, most)
    for _ in range(2):
        script.word(np.zeros(most, np.int64), [], 0)
    # Before, the active registers hold what no word has put there.
    defined = len(script.selected)
    for credits in corner_words(most):
        # All steps together, each alone, and none; twice, so that most are loaded with and without a frame.
        for _ in range(2):
            script.word(credits, [histories[-1], *(1 << k for k in range(most)), 0], rng.choice((0, 0.5)))
    for steps in range(1, most + 1):
        for values in ([CREDIT.min] * steps, [CREDIT.max] * steps, random_credits(rng, steps)):
            script.word(np.array(values), histories[: 1 << steps], 0)
    for _ in range(1000):
        some = rng.choices(histories, k=rng.choice((0, 1, 8)))
        script.word(np.array(random_credits(rng, rng.randint(1, most))), some, rng.choice((0, 0.3)))
    results = await unit.run(script.vectors)
    for name, expected in (("factor", script.factors), ("selected", script.selected)):
        assert_equal(results[name][defined:], expected[defined:], what=f"{name} by cycle", seed=bench.seed())
