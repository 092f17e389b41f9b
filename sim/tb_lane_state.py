"""Testbench of a lane's state: every memory against an array."""

from random import Random
from typing import Any

import cocotb
import numpy as np

from opzo.hw.lane_state import LaneState
from opzo.sim import bench
from opzo.sim.pipeline import PipelinedUnit
from opzo.spec.formats import CREDIT, HISTORY_STEPS, MEMBRANE, SURROGATE_OFF
from opzo.spec.network import Limits

OUTPUTS = ("v", "negative", "current", "code", "credit", "error_credit")
CYCLES = 5000


class Model:
    """The memories as arrays."""

    def __init__(self, limits: Limits) -> None:
        self.words, self.read_out_words = limits.words, -(-limits.classes // limits.lanes)
        self.membrane = np.zeros((self.words, 2), np.int64)
        self.current = np.zeros(self.words, np.int64)
        self.code = np.zeros((self.words, HISTORY_STEPS, 3), np.int64)
        self.credit = np.zeros(self.words * HISTORY_STEPS, np.int64)
        self.error = np.zeros(self.read_out_words * HISTORY_STEPS, np.int64)

    def random_inputs(self, rng: Random) -> dict[str, int]:
        """Reads and writes of one cycle."""

        def signed(width: int) -> int:
            low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
            return rng.choice((low, high, rng.randint(low, high)))

        inputs = {f"{name}_word": rng.randrange(self.words) for name in ("membrane", "code", "fired", "current")}
        inputs |= {f"{name}_step": rng.randrange(HISTORY_STEPS) for name in ("code", "fired")}
        inputs |= {f"{name}_next": rng.getrandbits(1) for name in ("negative", "spike")}
        inputs |= {f"{name}_en": rng.getrandbits(1) for name in ("fired", "current", "credit", "error")}
        return inputs | {
            "filter_address": rng.randrange(max(len(self.credit), len(self.error))),
            "error_address": rng.randrange(len(self.error)),
            "surrogate_next": rng.randint(0, SURROGATE_OFF),
            "v_next": signed(MEMBRANE.width),
            "current_next": signed(MEMBRANE.width),
            "credit_next": signed(CREDIT.width),
            "error_next": signed(CREDIT.width),
        }

    def cycle(self, i: dict[str, int]) -> dict[str, Any]:
        """What is read, as it was before the writes of the same cycle; None beyond the end of a memory."""
        v, negative = self.membrane[i["membrane_word"]].tolist()
        code = dict(
            zip(("surrogate", "spike", "negative"), self.code[i["code_word"], i["code_step"]].tolist(), strict=True)
        )
        read = {
            "v": v,
            "negative": negative,
            "current": int(self.current[i["membrane_word"]]),
            "code": code,
        }
        for name, values in (("credit", self.credit), ("error_credit", self.error)):
            address = i["filter_address"]
            read[name] = int(values[address]) if address < len(values) else None
        if i["fired_en"]:
            self.membrane[i["fired_word"]] = i["v_next"], i["negative_next"]
            self.code[i["fired_word"], i["fired_step"]] = i["surrogate_next"], i["spike_next"], i["negative_next"]
        if i["current_en"]:
            self.current[i["current_word"]] = i["current_next"]
        if i["credit_en"]:
            self.credit[i["fired_word"] * HISTORY_STEPS + i["fired_step"]] = i["credit_next"]
        if i["error_en"]:
            self.error[i["error_address"]] = i["error_next"]
        return read


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def matches_arrays(dut: Any) -> None:
    rng = Random(bench.seed())
    limits = Limits(**bench.parameters()["limits"])
    model = Model(limits)
    inputs = [model.random_inputs(rng) for _ in range(CYCLES)]
    unit = PipelinedUnit(dut, LaneState(limits).signature, dict.fromkeys(inputs[0], 0), dict.fromkeys(OUTPUTS, 1), rng)
    for name in inputs[0]:
        getattr(dut, name).value = 0
    await bench.start(dut)
    results = await unit.run({name: [values[name] for values in inputs] for name in inputs[0]})
    for cycle, values in enumerate(inputs):
        for name, expected in model.cycle(values).items():
            got = results[name][cycle]
            assert expected is None or got == expected, f"seed {bench.seed()}, cycle {cycle}: {name} {got}, {expected}"
