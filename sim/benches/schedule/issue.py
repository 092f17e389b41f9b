"""Testbench of Issue: what each kind of item asks of the lanes."""

from itertools import product
from random import Random
from typing import Any

import cocotb

from opzo.hw.interface import RUN
from opzo.hw.lanes.lane_command import SHIFT_CHAIN_FIELDS, AfterWord
from opzo.hw.registers import CONFIG
from opzo.hw.schedule.issue import Issue
from opzo.hw.schedule.passes import Kind, op_layout
from opzo.hw.timing import ISSUE_CYCLES
from opzo.sim.benches import bench
from opzo.sim.benches.pipeline import PipelinedUnit
from opzo.sim.benches.streams import pack, unpack
from opzo.spec.formats import BIAS_INPUT, HISTORY_STEPS, MEMBRANE, SCALED_ERROR, SPIKE_INPUT
from opzo.spec.geometry import CELL
from opzo.spec.limits import Limits
from opzo.spec.rules import Input, Rule

ANSWERS = (
    "events__address",
    "events__value",
    "lists__step_row",
    "lists__step_lane",
    "lists__input_row",
    "lists__active_neuron",
    "errors__error",
    "errors__difference",
)
INPUTS = (
    {"op": 0, "errors__loss": 0}
    | dict.fromkeys(ANSWERS, 1)
    | {"traces__word_row": ISSUE_CYCLES - 1}
    | {"traces__neuron_entry": ISSUE_CYCLES, "traces__input_entry": ISSUE_CYCLES}
)
OUTPUTS = (
    {"errors__source": 0}
    | dict.fromkeys(("traces__neuron", "traces__input", "mark"), ISSUE_CYCLES - 2)
    | {
        "load": ISSUE_CYCLES - 1,
        "command": ISSUE_CYCLES,
        "tag": ISSUE_CYCLES,
    }
)
KINDS = (*map(int, Input), 3)
"""Values of register INPUT; 3 acts like SPIKES."""
LEARN = (Kind.LEARN_INPUT, Kind.LEARN_SPIKES)
INTEGRATE = (Kind.INPUT, Kind.SPIKES)
NO_BIAS = (Kind.FIRE, Kind.FEEDBACK, Kind.LOCAL, Kind.APPLY)
"""Kinds that list no rows."""
STROBES = ("integrate", "feedback", "learn", "update", "draw")
"""Fields of a command that do something by themselves, as ``after_word`` does."""


class Settings:
    """Settings of a run, and what an item means under them."""

    def __init__(self, rng: Random, limits: Limits, rule: Rule, train: int, kind: int, phase: int) -> None:
        self.limits, self.rule, self.train, self.phase = limits, rule, train, phase
        self.measure, self.fresh = rng.getrandbits(1), rng.getrandbits(1)
        self.bias_trace = rng.choice((0, 0xFF, rng.getrandbits(HISTORY_STEPS)))
        self.frame, self.graded = kind == Input.FRAME, kind == Input.GRADED
        self.config = unpack(CONFIG, rng.getrandbits(CONFIG.size))
        self.config |= {"rule": int(rule), "steps": rng.randint(1, HISTORY_STEPS), "input": kind}
        self.error_bits = SCALED_ERROR.width

    def apply(self, dut: Any) -> None:
        """Set them."""
        dut.run__config.value = pack(CONFIG, self.config)
        dut.run__sample.value = pack(RUN, dict.fromkeys((name for name, _ in RUN), 0) | {"train": self.train})
        dut.measure.value = self.measure
        for name in ("fresh", "phase", "bias_trace"):
            getattr(dut, f"run__{name}").value = getattr(self, name)

    def __str__(self) -> str:
        flags = ", ".join(f"{name} {getattr(self, name)}" for name in ("train", "measure", "fresh", "phase"))
        return f"{self.rule.name}, input {self.config['input']}, {flags}, {self.config['steps']} steps"

    def expected(self, item: dict[str, int], answers: dict[str, int]) -> dict[str, dict[str, int]]:
        """Fields of mark, command and tag that mean something with ``item``; ``load``."""
        kind, odd = Kind(item["kind"]), self._odd(item)
        strobes, after_word = self._strobes(item)
        command = {name: int(name in strobes) for name in STROBES} | dict.fromkeys(SHIFT_CHAIN_FIELDS, 0)
        command |= {"after_word": after_word.value, "sums": after_word is not AfterWord.NONE}
        command |= self._operands(item, answers) if item["valid"] else {}
        if after_word is AfterWord.FIRE:
            command |= {"kept": kind is Kind.FIRE, "noise": self.train and self.rule.noise, "odd": odd}
            command |= {"fresh": self.fresh and item["step"] == 0, "neuron": item["neuron"]}
        if self.limits.gradients and item["valid"]:
            command |= self._blocks(item, command)
        if "update" in strobes:
            command["local"] = item["local"]
        if "update" in strobes and kind is Kind.FEEDBACK:
            assert odd or item["local"]
            sign = answers["errors__error"] >> (self.error_bits - 1) << self.error_bits
            signed = (answers["errors__error"] - sign) % (1 << (MEMBRANE.width + 1))
            command["difference"] = signed if item["local"] else answers["errors__difference"]
            # Such an update has no part that a history selects.
            command["history"] = 0
        if "feedback" in strobes:
            # The sign of the noise that the zero-order rule and M need.
            command["odd"] = odd
        marks = item["valid"] and kind is Kind.INPUT and item["last_word"] and not item["bias"] and not self.frame
        # The events of a map are marked elsewhere.
        marks = marks and not item.get("windows")
        mark = {"valid": int(marks)}
        if marks:
            bits = answers["events__value"] if self.graded else 1 << item["step"]
            mark |= {"row": answers["events__address"], "bits": bits}
        feedback = int("feedback" in strobes)
        measured = feedback and self.measure and item["step"] == 0 and not item["local"]
        tag = {"after_word": after_word.value, "feedback": feedback, "measure": measured}
        tag["local"] = item["valid"] and kind is Kind.LOCAL
        tag["apply"] = item["valid"] and kind is Kind.APPLY
        if item["valid"]:
            tag |= {name: item[name] for name in ("layer", "step", "word", "first_word", "last_word", "first", "last")}
        load = int("learn" in strobes and item["first"])
        return {"mark": mark, "load": {"load": load}, "command": command, "tag": tag}

    def _blocks(self, item: dict[str, int], command: dict[str, int]) -> dict[str, int]:
        """Fields of a command that convolutions need."""
        kind, learns = Kind(item["kind"]), Kind(item["kind"]) in LEARN
        fields = {name: item[name] for name in ("pool", "block_word", "begins_block", "block_shift", "shared")}
        fields |= {"accumulate": learns and item["windows"], "apply": kind is Kind.APPLY}
        fields["quarter"] = learns and not item["windows"] and item["pool"] and not item["bias"]
        if fields["accumulate"]:
            fields["cell"] = item["pool"] and item["bias"]
        if fields["accumulate"] or fields["apply"]:
            # The gradients are laid out as the weights.
            row = command["address"] - item["base"]
            fields["gradient_address"] = (item["gradient"] + row) % (1 << (self.limits.gradients - 1).bit_length())
        return fields

    def _odd(self, item: dict[str, int]) -> int:
        """Whether an item's step is the second of an antithetic pair."""
        return (item["step"] + self.phase) % 2

    def _strobes(self, item: dict[str, int]) -> tuple[set[str], AfterWord]:
        kind, even = Kind(item["kind"]), not self._odd(item)
        if not item["valid"]:
            return set(), AfterWord.NONE
        after_word = AfterWord.NONE
        if item["last"]:
            fired = AfterWord.READOUT if item["readout"] else AfterWord.FIRE
            stored = AfterWord.STORE if self.frame else AfterWord.FIRE
            uses = {Kind.INPUT: stored, Kind.FIRE: AfterWord.FIRE, Kind.SPIKES: fired, Kind.FEEDBACK: AfterWord.CREDIT}
            uses |= {Kind.FEEDBACK: AfterWord.SHARE} if item.get("shared") else {}
            after_word = uses.get(kind, AfterWord.NONE)
        strobes = set()
        if kind in INTEGRATE:
            strobes.add("integrate")
        if kind in LEARN:
            # The updates of a convolution go to the gradients.
            strobes |= {"learn"} if item.get("windows") else {"learn", "update", "draw"}
        if kind is Kind.APPLY:
            strobes |= {"update", "draw"}
        if kind is Kind.FEEDBACK:
            strobes.add("feedback")
            if item["local"] or (self.rule.momentum and not even):
                strobes |= {"update", "draw"}
        if after_word is AfterWord.FIRE and self.train and self.rule.noise and even:
            strobes.add("draw")
        return strobes, after_word

    def _operands(self, item: dict[str, int], answers: dict[str, int]) -> dict[str, int]:
        """Row and numbers of an item, and what it says of the word."""
        kind, limits = Kind(item["kind"]), self.limits
        operands = {name: item[name] for name in ("step", "valid_lanes")}
        operands["word"] = (item["word_base"] + item["word"]) % (1 << (limits.words - 1).bit_length())
        if kind is Kind.FIRE:
            return operands
        operands["first"] = item["first"]
        # Only Feedback shifts what it reads.
        operands["feedback_shift"] = 0
        row = 0
        if item["bias"]:
            row = item["bias_row"]
        elif kind is Kind.INPUT or (kind is Kind.LEARN_INPUT and self.frame):
            row = answers["events__address"]
        elif kind is Kind.LEARN_INPUT:
            row = answers["lists__input_row"]
        elif kind is Kind.SPIKES:
            row = answers["lists__step_row"]
            if limits.gradients:
                row += answers["lists__step_lane"].bit_length() - 1
        elif kind is Kind.LEARN_SPIKES:
            row = answers["lists__active_neuron"]
            if limits.gradients:
                # The row of the word's first lane, and the lane.
                row = row % limits.lanes + answers["traces__word_row"]
        if kind not in NO_BIAS and not item["bias"]:
            row = (row - item.get("window_base", 0)) % (1 << self.limits.row_bits)
        operands["address"] = (item["base"] + row) % (1 << (limits.rows - 1).bit_length())
        if kind is Kind.SPIKES:
            # The sum behind a pool counts quarters.
            operands["operand"] = SPIKE_INPUT * (CELL if item.get("pool") and item["bias"] else 1)
        elif kind is Kind.INPUT or (kind is Kind.LEARN_INPUT and self.frame):
            bias = BIAS_INPUT if self.frame else SPIKE_INPUT
            value = answers["events__value"] if self.frame or self.graded else SPIKE_INPUT
            operands["operand"] = bias if item["bias"] else value
        if kind in LEARN:
            history = 0
            if kind is Kind.LEARN_SPIKES or not self.frame:
                history, operands["operand"] = self._past(item, answers)
            operands |= {
                "history": history,
                "decay_shift": self.config["decay_shift"],
                "zero_order": 0,
            }
        if kind is Kind.FEEDBACK:
            zero_order = self.rule.from_loss and not item["local"]
            operands |= {
                "operand": answers["errors__loss" if zero_order else "errors__error"],
                "zero_order": zero_order,
                "feedback_shift": item["feedback_shift"],
                "decay_shift": 0 if item["local"] else self.config["leak_shift"],
            }
        return operands

    def _past(self, item: dict[str, int], answers: dict[str, int]) -> tuple[int, int]:
        """History of a row, and what E[0] is multiplied with."""
        if item["bias"]:
            return (1 << self.config["steps"]) - 1, self.bias_trace
        neuron = Kind(item["kind"]) is Kind.LEARN_SPIKES
        trace, history = divmod(
            answers["traces__neuron_entry" if neuron else "traces__input_entry"], 1 << HISTORY_STEPS
        )
        return (0, trace + history) if self.graded and not neuron else (history, trace)


class Stimulus:
    """Items of all kinds, with answers that fit the widths of the unit's inputs."""

    def __init__(self, dut: Any, rng: Random, limits: Limits) -> None:
        self._rng, self.layout = rng, op_layout(limits)
        self.maps = limits.gradients > 0
        self.kinds = [kind for kind in Kind if self.maps or kind is not Kind.APPLY]
        self._widths = {name: len(getattr(dut, name)) for name in INPUTS if name != "op"}
        self.items: list[dict[str, int]] = []
        self.answers: list[dict[str, int]] = []

    def add(self, **fields: int) -> None:
        """Append an item with ``fields``, random in the others."""
        rng = self._rng
        item = unpack(self.layout, rng.getrandbits(self.layout.size)) | {"kind": rng.choice(self.kinds).value} | fields
        kind = Kind(item["kind"])
        # Only the last row of a word is a bias, and only where rows are listed.
        item["bias"] = item["last"] and kind not in NO_BIAS
        if self.maps:
            item["windows"] = item["windows"] and kind not in NO_BIAS
            item["window_base"] = item["window_base"] if item["windows"] else 0
            item["pool"] = item["pool"] and kind not in (Kind.INPUT, Kind.LEARN_INPUT)
        item["local"] = Kind(item["kind"]) is Kind.FEEDBACK and item["local"]
        self.items.append(item)
        self.answers.append({name: rng.getrandbits(width) for name, width in self._widths.items()})
        self.answers[-1]["lists__step_lane"] = 1 << rng.randrange(self._widths["lists__step_lane"])

    def vectors(self) -> dict[str, list[int]]:
        """Inputs of the unit."""
        items = {"op": [pack(self.layout, item) for item in self.items]}
        return items | {name: [answers[name] for answers in self.answers] for name in self._widths}


def part(values: dict[str, int], wanted: dict[str, int], widths: dict[str, int]) -> dict[str, int]:
    """Fields of ``values`` that are wanted; those of ``widths`` as bits."""
    return {name: values[name] & ((1 << widths[name]) - 1) if name in widths else values[name] for name in wanted}


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def commands_what_the_item_means(dut: Any) -> None:
    rng = Random(bench.seed())
    limits = Limits(**bench.parameters()["limits"])
    unit = PipelinedUnit(dut, Issue(limits).signature, INPUTS, OUTPUTS, rng)
    # Answers are bits; these fields of a command are read as signed numbers.
    widths = {"operand": len(dut.errors__error), "difference": len(dut.errors__difference)}
    await bench.start(dut)
    for rule, train, kind, phase in product(Rule, (0, 1), KINDS, (0, 1)):
        settings = Settings(rng, limits, rule, train, kind, phase)
        settings.apply(dut)
        stimulus = Stimulus(dut, rng, limits)
        for sort, valid, first, last, step in product(stimulus.kinds, (0, 1), (0, 1), (0, 1), (0, 1)):
            stimulus.add(kind=sort.value, valid=valid, first=first, last=last, step=step)
        for _ in range(100):
            stimulus.add()
        results = await unit.run(stimulus.vectors(), rng.choice((0.0, 0.5)))
        for n, (item, answers) in enumerate(zip(stimulus.items, stimulus.answers, strict=True)):
            expected: dict[str, Any] = {**settings.expected(item, answers)}
            found: dict[str, Any] = {}
            for name, wanted in expected.items():
                result = results[name][n]
                fields = result if isinstance(result, dict) else {name: result}
                found[name] = part(fields, wanted, widths)
            if item["kind"] == Kind.FEEDBACK.value:
                expected["errors__source"], found["errors__source"] = item["source"], results["errors__source"][n]
            if item["kind"] == Kind.LEARN_SPIKES.value:
                neuron = answers["lists__active_neuron"]
                index = neuron + item["below_base"] * limits.lanes
                expected["traces__neuron"] = index % (1 << len(dut.traces__neuron))
                found["traces__neuron"] = results["traces__neuron"][n]
            if item["kind"] == Kind.LEARN_INPUT.value and not settings.frame:
                expected["traces__input"] = answers["lists__input_row"]
                found["traces__input"] = results["traces__input"][n]
            assert found == expected, f"seed {bench.seed()}: {settings}, {item}, {answers}"
