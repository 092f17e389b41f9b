"""Testbench of the step of a weight by its gradient."""

from random import Random
from typing import Any

import cocotb
import numpy as np

from opzo.hw.gradients.step import GradientStep
from opzo.hw.timing import STEP_CYCLES
from opzo.sim.benches import bench
from opzo.sim.benches.pipeline import PipelinedUnit
from opzo.sim.golden.gradient import gradient_step
from opzo.spec.formats import GRADIENT, GRADIENT_SHIFT_MAX, GRADIENT_STEP


def corners(shift: int) -> np.ndarray:
    """Gradients around 0, halves, both limits of a step and those of a gradient."""
    centers = [0, GRADIENT.min, GRADIENT.max, GRADIENT_STEP.min << shift, GRADIENT_STEP.max << shift]
    halves = [(2 * n + 1) << shift >> 1 for n in (-2, -1, 0, 1, GRADIENT_STEP.max, GRADIENT_STEP.min - 1)]
    near = np.array(centers + halves)[:, None] + np.arange(-2, 3)
    return np.clip(near.reshape(-1), GRADIENT.min, GRADIENT.max)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    rng = np.random.default_rng(bench.seed())
    unit = PipelinedUnit(dut, GradientStep().signature, {"gradient": 0}, {"step": STEP_CYCLES}, Random(bench.seed()))
    dut.shift.value = 0
    await bench.start(dut)
    for shift in range(GRADIENT_SHIFT_MAX + 1):
        dut.shift.value = shift
        scale = 1 << rng.integers(1, GRADIENT.width, 100)
        gradients = np.concatenate([corners(shift), rng.integers(-scale, scale)])
        await unit.check(
            {"gradient": gradients},
            {"step": gradient_step(gradients, shift)},
            what=f"shift {shift}",
            seed=bench.seed(),
        )
