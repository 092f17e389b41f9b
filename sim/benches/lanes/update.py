"""Testbench of the row update."""

from itertools import product
from random import Random
from typing import Any

import cocotb
import numpy as np

from opzo.hw.lanes.selector import SUM_WIDTH
from opzo.hw.lanes.update import DECAY_BITS, RowUpdate, selected_width
from opzo.hw.timing import CREDIT_DELAY, ENTRY_DELAY, UPDATE_CYCLES
from opzo.sim.benches import bench
from opzo.sim.benches.pipeline import PipelinedUnit
from opzo.sim.golden.update import update_rows
from opzo.spec.formats import DRAW_BITS, INPUT_BITS, MEMBRANE, UPDATE_FRAC_BITS
from opzo.spec.geometry import CELL, CELL_BITS
from opzo.spec.limits import Limits

SHIFTS = 16


class Numbers:
    """Ranges of a row entry, of its fraction and of its update in a device with ``limits``; timing of the ports."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.weight_bits, self.low_bits = limits, limits.weight_bits, limits.low_bits
        self.frac_bits = UPDATE_FRAC_BITS + self.low_bits
        self.max = (1 << (self.weight_bits - 1)) - 1
        self.min = -self.max - 1
        self.all_ones = (1 << self.frac_bits) - 1
        self.selected_max = (1 << (selected_width(limits) - 1)) - 1
        convolves = limits.gradients > 0
        # Magnitudes that the other parts of an update stay below; that of the product after rounding.
        difference = {} if convolves else {"difference": 1 << MEMBRANE.width}
        self.parts = difference | {"product": 1 << (SUM_WIDTH - 1)}
        self.update_max = self.selected_max + sum(limit - 1 for limit in self.parts.values())
        """Largest update: all parts at their maximum."""
        steps = () if convolves else ("random", "step__difference", "step__add", "step__subtract")
        credits = ("credits__selected", "credits__product", "credits__product_en")
        late = {"quarter": CREDIT_DELAY + 1} if convolves else {}
        self.inputs = {"row": 0, "decay": 0, "random": ENTRY_DELAY}
        self.inputs |= dict.fromkeys(steps, ENTRY_DELAY) | dict.fromkeys(credits, CREDIT_DELAY) | late
        self.outputs = {"result": UPDATE_CYCLES, "saturated": UPDATE_CYCLES}
        self.outputs |= {"update": CREDIT_DELAY + 1} if convolves else {}


def corners(numbers: Numbers) -> np.ndarray:
    """Vectors (row, decay_shift, random, update) where random bits and decay decide the last bit or saturation."""
    one, low, high, all_ones = 1 << numbers.frac_bits, numbers.min, numbers.max, numbers.all_ones
    vectors = []
    for shift in range(SHIFTS):
        half = 1 << max(0, shift - 1 - numbers.low_bits)
        rows = {low, low + 1, -1, 0, 1, high - 1, high}
        # Values at which the rounding of the decay changes.
        rows |= {sign * half + d for sign in (-1, 1) for d in (-1, 0, 1) if low <= sign * half + d <= high}
        updates = (
            -numbers.update_max,
            1 - numbers.update_max,
            -one,
            1 - one,
            -1,
            0,
            1,
            one - 1,
            one,
            numbers.update_max,
        )
        vectors += list(product(sorted(rows), (shift,), (0, all_ones), updates))
    # Sums one below, at and one above those that just saturate.
    for row, random, d in product((low, 0, high), (0, 1, all_ones), (-1, 0, 1)):
        for target in (low << numbers.frac_bits, (high + 1) << numbers.frac_bits):
            update = (row << numbers.frac_bits) + random - target + d
            if abs(update) <= numbers.update_max:
                vectors.append((row, 0, random, update))
    return np.array(vectors)


def random_vectors(numbers: Numbers, rng: np.random.Generator, count: int) -> np.ndarray:
    """Vectors of all magnitudes."""
    all_ones = numbers.all_ones
    row_scale = 1 << rng.integers(1, numbers.weight_bits, count)
    update_scale = np.minimum(1 << rng.integers(1, numbers.update_max.bit_length() + 1, count), numbers.update_max)
    row, update = rng.integers(-row_scale, row_scale), rng.integers(-update_scale, update_scale)
    random = rng.choice([0, all_ones, -1], count)
    random = np.where(random < 0, rng.integers(0, all_ones + 1, count), random)
    return np.stack([row, rng.integers(0, SHIFTS, count), random, update], axis=1)


def golden(
    numbers: Numbers, vectors: np.ndarray, quarter: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """New rows, saturations, and updates, of which rows take only a quarter where ``quarter``; unused bits of a draw
    are random."""
    row, shifts, random, update = vectors.T
    change = np.where(quarter, (update + CELL // 2) >> CELL_BITS, update)
    unused, low_bits = DRAW_BITS - numbers.frac_bits, numbers.low_bits
    draws = (random << unused | rng.integers(0, 1 << unused, len(random))).astype(np.uint16)
    result, saturated = np.zeros(len(row), np.int64), np.zeros(len(row), bool)
    for shift in range(SHIFTS):
        at = shifts == shift
        result[at], saturated[at] = update_rows(
            row[at] << low_bits, change[at], draws[at], shift, weight_bits=numbers.weight_bits
        )
    return {"result": result >> low_bits, "saturated": saturated, "update": update}


def ports(numbers: Numbers, vectors: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Inputs of the unit for ``vectors``: an update is split into random parts and the remainder, ``selected``."""
    row, shifts, random, update = vectors.T
    count = len(row)
    remainder, part, used = update.copy(), {}, {}
    for name, limit in numbers.parts.items():
        # As large as possible if the update is too large for ``selected``, else random.
        large = abs(remainder) > numbers.selected_max
        some = rng.integers(1 - limit, limit, count) >> rng.integers(0, SUM_WIDTH, count)
        part[name] = np.where(large, np.clip(remainder, 1 - limit, limit - 1), some)
        used[name] = np.where(large, 1, rng.integers(0, 2, count) * (abs(remainder - some) <= numbers.selected_max))
        remainder -= used[name] * part[name]
    half = 1 << (INPUT_BITS - 1)
    inputs = {
        "row": row << numbers.low_bits,
        "decay": np.where(shifts == 0, 0, (1 << DECAY_BITS) >> shifts),
        "random": random,
        "credits__selected": remainder,
        # Half a unit is rounded up.
        "credits__product": (part["product"] << INPUT_BITS) + rng.integers(-half, half, count),
        "credits__product_en": used["product"],
    }
    if "difference" in part:
        subtract = used["difference"] * rng.integers(0, 2, count)
        inputs |= {
            "step__difference": np.where(subtract, part["difference"], -part["difference"]),
            "step__add": used["difference"] - subtract,
            "step__subtract": subtract,
        }
    return inputs


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    arrays = np.random.default_rng(bench.seed())
    numbers = Numbers(Limits(**bench.parameters()["limits"]))
    signature = RowUpdate(numbers.limits).signature
    unit = PipelinedUnit(dut, signature, numbers.inputs, numbers.outputs, Random(bench.seed()))
    await bench.start(dut)
    for name, vectors in (("corner", corners(numbers)), ("random vector", random_vectors(numbers, arrays, 4000))):
        quarter = arrays.integers(0, 2, len(vectors)) * (numbers.limits.gradients > 0)
        expected = golden(numbers, vectors, quarter, arrays)
        await unit.check(
            {
                name: values
                for name, values in (ports(numbers, vectors, arrays) | {"quarter": quarter}).items()
                if name in numbers.inputs
            },
            {name: expected[name] for name in numbers.outputs},
            what=name,
            seed=bench.seed(),
        )
