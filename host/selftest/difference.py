"""Comparison of an experiment on a device and on the golden model: the first item and entry that differ."""

from dataclasses import dataclass
from functools import partial
from typing import NoReturn

import numpy as np

from opzo.host.driver.device import Device
from opzo.host.selftest.experiment import Experiment, Outcome
from opzo.host.selftest.mismatch import MismatchError, require_equal
from opzo.host.selftest.steps.registers import register_name
from opzo.spec.limits import Limits
from opzo.spec.network import Network
from opzo.spec.registers import TIMING_COUNTERS, Counter

ANSWERS = ("prediction", "loss")
"""First columns of the answers; the others are readout sums."""
COUNTERS = [counter.name for counter in Counter if counter not in TIMING_COUNTERS]
LONG = ("LFSR", "registers", "counters")
"""State with entries wider than 16 bits."""


@dataclass(frozen=True)
class Difference:
    """Outcomes of the first ``count`` items of an experiment on a device and on the golden model."""

    experiment: Experiment
    limits: Limits
    count: int
    actual: Outcome
    expected: Outcome

    @property
    def names(self) -> list[str]:
        """Names of the state arrays that differ."""
        return [
            name for name, array in self.expected.state.items() if not np.array_equal(array, self.actual.state[name])
        ]

    @property
    def first(self) -> int | None:
        """Number of items after which there certainly is a difference; None without one."""
        different = np.flatnonzero((self.actual.answers != self.expected.answers).any(axis=1))
        if len(different):
            return int(different[0]) + 1
        return self.count if self.names else None

    def fail(self, remark: str = "") -> NoReturn:
        """Raise MismatchError for the first entry that differs."""
        where = f"{self.experiment.when(self.count)}{remark}: "
        names = self.names
        # Wrong random numbers make everything else wrong.
        if names[:1] != ["LFSR"]:
            self._compare_answers(where, names)
        others = f" ({', '.join(names[1:])} differ too)" if names[1:] else ""
        for name in names:
            first = self.experiment.first_rows.get(name, 0)
            place = partial(_place, self.experiment.network, self.limits, name, first, where, others)
            require_equal(self.actual.state[name], self.expected.state[name], place, digits=8 if name in LONG else 4)
        raise AssertionError("there is no difference")

    def _compare_answers(self, where: str, names: list[str]) -> None:
        actual, expected = self.actual.answers, self.expected.answers
        different = np.argwhere(actual != expected)
        if len(different) == 0:
            return
        sample, column = (int(i) for i in different[0])
        what = ANSWERS[column] if column < len(ANSWERS) else f"readout sum of class {column - len(ANSWERS)}"
        others = f" ({', '.join(names)} differ too)" if names else ""
        raise MismatchError(
            f"{where}{what} of {self.experiment.name(sample)}{others}",
            str(expected[sample, column]),
            str(actual[sample, column]),
        )


def compare_with_golden(device: Device, golden: Device, experiment: Experiment, *, bisect: bool = True) -> Outcome:
    """Run an experiment on a device and on the golden model; return the golden outcome.

    MismatchError names an item after which they differ and before which they do not, found by bisection, which repeats
    the experiment from the start. It is the first such item unless an earlier error was overwritten. Without
    ``bisect`` it is the first item with a wrong answer, else the last item.
    """

    def run(count: int) -> Difference:
        outcomes = (experiment.run(each, count) for each in (device, golden))
        return Difference(experiment, device.limits, count, *outcomes)

    complete = run(experiment.items)
    if complete.first is None:
        return complete.expected
    if not bisect:
        complete.fail()
    equal, different = 0, run(complete.first)
    if different.first is None:
        complete.fail(", but not when repeated")
    while different.count - equal > 1:
        tried = run((equal + different.count) // 2)
        if tried.first is None:
            equal = tried.count
        else:
            different = tried
    different.fail()


def _place(
    network: Network, limits: Limits, name: str, first: int, before: str, behind: str, at: tuple[int, ...]
) -> str:
    """Name of an entry of a state array that starts at row ``first``, between two texts."""
    if name == "registers":
        entry = f"register {register_name(at[0])}"
    elif name == "counters":
        entry = f"counter {COUNTERS[at[0]]}"
    elif name == "LFSR":
        entry = f"LFSR, lane {at[0]}"
    else:
        what = f" ({_row_name(network, limits, at[0])})" if name == "WEIGHTS" else ""
        entry = f"{name}, row {first + at[0]}{what}, lane {at[1]}"
    return before + entry + behind


def _row_name(network: Network, limits: Limits, row: int) -> str:
    """Content of a row of the weight memory."""
    layers = network.layout(limits)
    for number, layer in enumerate(layers, 1):
        entries = layer.weight_base - layer.feedback_base if number < len(layers) else 0
        if 0 <= row - layer.feedback_base < entries:
            word, entry = divmod(row - layer.feedback_base, len(layer.entry_sets) * network.classes)
            kind, number_of_class = divmod(entry, network.classes)
            what = layer.entry_sets[kind].value
            return f"{what} of layer {number}, word {word}, class {number_of_class}"
        if 0 <= row - layer.weight_base < layer.words * layer.rows:
            word, entry = divmod(row - layer.weight_base, layer.rows)
            source = "bias" if entry == layer.rows - 1 else f"input {entry}"
            return f"weights of layer {number}, word {word}, {source}"
    return "after the network"
