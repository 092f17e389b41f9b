"""Testbench of the neurons' state: every memory against an array."""

from random import Random
from typing import Any

import cocotb
import numpy as np

from opzo.hw.neurons.neuron_state import NeuronState
from opzo.sim.benches import bench
from opzo.sim.benches.pipeline import PipelinedUnit
from opzo.spec.formats import CREDIT, HISTORY_STEPS, MEMBRANE, SURROGATE_OFF
from opzo.spec.network import Limits

OUTPUTS = ("v", "negative", "current", "code", "negatives", "spiked", "credit", "error_credit")
CYCLES = 5000


class Model:
    """The memories as arrays."""

    def __init__(self, limits: Limits, size: int) -> None:
        self.size, self.words, self.read_out_words = size, limits.words, limits.readout_words
        self.membrane = np.zeros((self.words, size, 2), np.int64)
        self.current = np.zeros((self.words, size), np.int64)
        self.code = np.zeros((self.words, HISTORY_STEPS, size, 2), np.int64)
        self.signs = np.zeros((self.words, HISTORY_STEPS, 2), np.int64)
        self.credit = np.zeros((self.words, HISTORY_STEPS, size), np.int64)
        self.error = np.zeros((self.read_out_words, HISTORY_STEPS, size), np.int64)

    def random_inputs(self, rng: Random) -> dict[str, int]:
        """Reads and writes of one cycle."""

        def signed(width: int) -> int:
            low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
            return rng.choice((low, high, rng.randint(low, high)))

        inputs = {name: rng.randrange(self.size) for name in ("lane", *(f"{n}_lane" for n in LANES))}
        inputs |= {name: rng.randrange(self.words) for name in ("word", *(f"{n}_word" for n in WORDS))}
        inputs |= {f"{name}_step": rng.randrange(HISTORY_STEPS) for name in STEPS}
        inputs |= {f"{name}_en": rng.getrandbits(1) for name in ("current", "fired", "credit", "signs", "error")}
        inputs |= {f"{name}_next": rng.getrandbits(self.size) for name in ("negatives", "spiked")}
        inputs |= {f"{name}_next": signed(MEMBRANE.width) for name in ("v", "current")}
        inputs |= {f"{name}_next": signed(CREDIT.width) for name in ("credit", "error")}
        return inputs | {
            "filter_word": rng.randrange(max(self.words, self.read_out_words)),
            "error_word": rng.randrange(self.read_out_words),
            "negative_next": rng.getrandbits(1),
            "code_next": rng.randint(0, SURROGATE_OFF) | rng.getrandbits(1) << SURROGATE_OFF.bit_length(),
        }

    def cycle(self, i: dict[str, int]) -> dict[str, Any]:
        """What is read, as it was before the writes of the same cycle; None beyond the end of a memory."""
        v, negative = self.membrane[i["word"], i["lane"]].tolist()
        code = self.code[i["code_word"], i["code_step"], i["code_lane"]].tolist()
        negatives, spiked = self.signs[i["sign_word"], i["sign_step"]].tolist()
        read = {
            "v": v,
            "negative": negative,
            "current": int(self.current[i["word"], i["lane"]]),
            "code": dict(zip(("surrogate", "spike"), code, strict=True)),
            "negatives": negatives,
            "spiked": spiked,
        }
        for name, values in (("credit", self.credit), ("error_credit", self.error)):
            inside = i["filter_word"] < len(values)
            place = (i["filter_word"], i["filter_step"], i["filter_lane"])
            read[name] = int(values[place]) if inside else None
        result = i["result_word"], i["result_step"], i["result_lane"]
        if i["fired_en"]:
            self.membrane[i["result_word"], i["result_lane"]] = i["v_next"], i["negative_next"]
            bits = SURROGATE_OFF.bit_length()
            self.code[result] = i["code_next"] & (1 << bits) - 1, i["code_next"] >> bits
        if i["current_en"]:
            self.current[i["current_word"], i["current_lane"]] = i["current_next"]
        if i["signs_en"]:
            self.signs[i["signs_word"], i["signs_step"]] = i["negatives_next"], i["spiked_next"]
        if i["credit_en"]:
            self.credit[result] = i["credit_next"]
        if i["error_en"]:
            self.error[i["error_word"], i["error_step"], i["error_lane"]] = i["error_next"]
        return read


LANES = ("code", "filter", "current", "result", "error")
WORDS = ("code", "sign", "current", "result", "signs")
STEPS = ("code", "sign", "filter", "result", "signs", "error")
"""What has an address of its own."""


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def matches_arrays(dut: Any) -> None:
    rng = Random(bench.seed())
    limits, size = Limits(**bench.parameters()["limits"]), bench.parameters()["size"]
    model = Model(limits, size)
    inputs = [model.random_inputs(rng) for _ in range(CYCLES)]
    signature = NeuronState(limits, size).signature
    # What is used in the cycle in which it comes has a register behind its memory.
    latency = dict.fromkeys(OUTPUTS, 1) | dict.fromkeys(("code", "credit", "error_credit"), 2)
    unit = PipelinedUnit(dut, signature, dict.fromkeys(inputs[0], 0), latency, rng)
    for name in inputs[0]:
        getattr(dut, name).value = 0
    await bench.start(dut)
    results = await unit.run({name: [values[name] for values in inputs] for name in inputs[0]})
    for cycle, values in enumerate(inputs):
        for name, expected in model.cycle(values).items():
            got = results[name][cycle]
            assert expected is None or got == expected, f"seed {bench.seed()}, cycle {cycle}: {name} {got}, {expected}"
