"""Plans of the random experiments, and the network of each that fits a device."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from opzo.host.selftest.contents import Regime, image, runs
from opzo.host.selftest.runs_experiment import RunsExperiment
from opzo.spec.errors import NetworkError
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.lfsr import lane_states
from opzo.spec.limits import MAX_CLASSES, MAX_HIDDEN, Limits
from opzo.spec.network import MAX_INTERMEDIATE_CLASSES, MAX_LOCAL_CLASSES, Network
from opzo.spec.rules import Input, Rule

MOST_ROWS = 256
"""Maximum row-words of a network on a small device."""
ROW_SHARE = 16
"""A network uses at most 1/ROW_SHARE of the row-words of a large device."""
MOST_INPUTS = 48
RUNS = 20


@dataclass(frozen=True)
class Plan:
    """Properties of an experiment; on a device that is too small, the nearest ones that fit are used.

    Attributes
    ----------
    rule : Rule
    input : Input
    depth : int
        Hidden layers, limited to those of the device.
    local : int
        Hidden layers with a local readout.
    classes : int
        Number of classes, limited to that of the device.
    regime : Regime
        Distribution of the values.
    """

    rule: Rule
    input: Input
    depth: int
    local: int
    classes: int
    regime: Regime = Regime.USUAL

    @property
    def title(self) -> str:
        """Text for messages."""
        usual = self.regime is Regime.USUAL
        return f"{self.rule.name.lower()} with {self.input.name.lower()}" + ("" if usual else f", {self.regime.value}")


_CHOSEN = (
    Plan(Rule.OPZO, Input.FRAME, 2, 0, MAX_CLASSES),
    Plan(Rule.DFA, Input.FRAME, MAX_HIDDEN, 0, 11),
    Plan(Rule.ZO, Input.FRAME, 2, 0, 3),
    Plan(Rule.READOUT, Input.FRAME, 1, 0, 10),
    Plan(Rule.OPZO, Input.SPIKES, MAX_HIDDEN, 1, 6),
    Plan(Rule.DFA, Input.SPIKES, 1, 0, MAX_CLASSES),
    Plan(Rule.ZO, Input.SPIKES, MAX_HIDDEN, 0, 12),
    Plan(Rule.READOUT, Input.SPIKES, 2, 0, MAX_CLASSES),
    Plan(Rule.OPZO, Input.GRADED, 1, 1, MAX_LOCAL_CLASSES),
    Plan(Rule.DFA, Input.GRADED, 2, 2, 5),
    Plan(Rule.ZO, Input.GRADED, 1, 0, 13),
    Plan(Rule.READOUT, Input.GRADED, MAX_HIDDEN, 0, 2),
    Plan(Rule.OPZO, Input.FRAME, 2, 2, 14, Regime.EXTREME),
    Plan(Rule.OPZO, Input.SPIKES, 1, 0, MAX_CLASSES, Regime.EXTREME),
    Plan(Rule.ZO, Input.GRADED, 2, 0, 9, Regime.EXTREME),
    Plan(Rule.DFA, Input.FRAME, 1, 0, 12, Regime.STRONG),
    Plan(Rule.OPZO, Input.SPIKES, 2, 2, 4, Regime.STRONG),
    Plan(Rule.DFA, Input.SPIKES, 2, 0, 3, Regime.COARSE),
    Plan(Rule.OPZO, Input.SPIKES, 2, 0, 5, Regime.COARSE),
)
_COVERED = {(plan.rule, plan.input) for plan in _CHOSEN}
PLANS = (
    *_CHOSEN,
    *(Plan(rule, kind, 2, 0, 10) for rule, kind in product(Rule, Input) if (rule, kind) not in _COVERED),
)
"""All rules with all input kinds."""
INTERMEDIATE_PLANS = (
    Plan(Rule.OPZO, Input.SPIKES, 3, 3, 10),
    Plan(Rule.OPZO, Input.FRAME, 3, 3, MAX_INTERMEDIATE_CLASSES, Regime.STRONG),
    Plan(Rule.DFA, Input.GRADED, 2, 2, 5, Regime.EXTREME),
    Plan(Rule.OPZO, Input.FRAME, 2, 2, 6, Regime.COARSE),
)
"""Networks with convolutions; the last local readout teaches the layers before it."""


def experiment_of(
    plan: Plan, number: int, limits: Limits, random: np.random.Generator
) -> tuple[RunsExperiment | None, list[str]]:
    """Experiment of a plan, None if no network fits, and the properties that the device is too small for."""
    wanted = replace(plan, classes=min(plan.classes, limits.classes), depth=min(plan.depth, limits.layers))
    for fitting in _smaller(wanted):
        if (network := _network(fitting, limits, random)) is not None:
            break
    else:
        return None, [plan.title]
    missing = [
        text
        for text, want, have in (
            (f"{wanted.depth} hidden layers", wanted.depth, fitting.depth),
            ("local readouts", wanted.local > 0, fitting.local > 0),
            (f"{wanted.classes} classes", wanted.classes, fitting.classes),
        )
        if have < want
    ]
    return _experiment(plan, network, number, limits, random), missing


def _experiment(
    plan: Plan, network: Network, number: int, limits: Limits, random: np.random.Generator
) -> RunsExperiment:
    content = image(network, limits, random, plan.regime)
    words = sum(layer.all_words for layer in network.layout(limits)[:-1])
    # The first network is at the end of all memories, the second at the start, others at random places.
    row, word = (
        most if number == 0 else 0 if number == 1 else int(random.integers(most + 1))
        for most in (limits.rows - len(content), limits.words - words)
    )
    lfsr = lane_states(int(random.integers(1 << 31)), limits.lanes)
    work = runs(network, limits, RUNS, random, plan.regime)
    return RunsExperiment(f"{plan.title}, {network}", network, plan.rule, row, word, content, lfsr, work)


def intermediate_experiment(
    plan: Plan, number: int, limits: Limits, random: np.random.Generator
) -> RunsExperiment | None:
    """Experiment of one of INTERMEDIATE_PLANS; None where no network with two hidden layers or more fits."""
    classes = min(plan.classes, limits.classes)
    steps = HISTORY_STEPS + 1 if plan.input.events else limits.steps
    for depth, side, more in product(range(plan.depth, 1, -1), (6, 4, 2), (1, -1, 1 - limits.lanes)):
        # Layers differ in size, so that a mix-up shows.
        first, second = limits.lanes + more, max(1, limits.lanes + more - 1)
        parts = [f"{first}c3", "p2", f"{second}c3", "2c1"][: depth + 1]
        text = f"2x{side}x{side}-{'-'.join(parts)}-{classes}"
        try:
            block = min(2, limits.block)
            network = Network(text, steps, depth, plan.input, block, intermediate=depth)
            network.check(limits)
        except NetworkError:
            continue
        return _experiment(plan, network, number, limits, random)
    return None


def _smaller(plan: Plan) -> Iterator[Plan]:
    """The plan, then plans with fewer layers, without local readouts, and with fewer classes."""
    for classes in dict.fromkeys((plan.classes, min(plan.classes, 10), min(plan.classes, 4), 2)):
        if classes < 2:
            continue
        for local in dict.fromkeys((plan.local, 0)):
            for depth in range(plan.depth, 0, -1):
                yield replace(plan, classes=classes, local=min(local, depth), depth=depth)


def _network(plan: Plan, limits: Limits, random: np.random.Generator) -> Network | None:
    """Largest network of a plan that fits; None if none does."""
    rows = min(limits.rows, max(MOST_ROWS, limits.rows // ROW_SHARE))
    part = replace(limits, rows=rows)
    cut = int(random.integers(limits.lanes))
    steps = HISTORY_STEPS + 1 if plan.input.events else limits.steps
    most_words = max(1, min(3, limits.words // plan.depth))
    # Sums of narrow weights need more inputs to saturate.
    most = MOST_INPUTS << (plan.regime is Regime.EXTREME and limits.low_bits > 0)
    for inputs in dict.fromkeys(min(some, limits.inputs) for some in (most, MOST_INPUTS, MOST_INPUTS // 2, 8, 1)):
        for words in range(most_words, 0, -1):
            neurons = words * limits.lanes - cut
            # Layers differ in size, so that a mix-up shows.
            hidden = tuple(max(1, neurons - layer) for layer in range(plan.depth))
            try:
                network = Network((inputs, *hidden, plan.classes), steps, plan.local, plan.input)
                network.check(part)
            except NetworkError:
                continue
            return network
    return None
