"""Runs of any kind, with changing registers, of a network at any place in the memories and in any state."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from opzo.host.driver.device import Device
from opzo.host.driver.request import Request
from opzo.host.driver.sample import Result
from opzo.host.selftest.experiment import Outcome, read_state
from opzo.spec.commands import RunFlag
from opzo.spec.limits import MAX_HIDDEN, Limits
from opzo.spec.memories import Space
from opzo.spec.network import Network
from opzo.spec.registers import COUNTER, LayerReg, layer_register, network_registers
from opzo.spec.rules import Rule


@dataclass(frozen=True)
class PlannedRun:
    """A run, and the registers to write before it."""

    payload: bytes
    label: int
    flags: RunFlag
    registers: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RunsExperiment:
    """A network with given contents, and a list of runs.

    Attributes
    ----------
    title : str
        Text for messages.
    network : Network
    rule : Rule
    row, word : int
        First row of the network in the weight memory, and first word of its hidden layers in the neuron memories.
    image : uint16 (rows, lanes)
        Initial contents of the network's part of the weight memory.
    lfsr : uint32 (lanes,)
    runs : list of PlannedRun
    """

    title: str
    network: Network
    rule: Rule
    row: int
    word: int
    image: NDArray[np.uint16]
    lfsr: NDArray[np.uint32]
    runs: list[PlannedRun]

    @property
    def first_rows(self) -> dict[str, int]:
        """First rows of the network's part; only that is read."""
        return {"WEIGHTS": self.row, "MEMBRANE": 2 * self.word}

    @property
    def items(self) -> int:
        """Number of runs."""
        return len(self.runs)

    def when(self, count: int) -> str:
        """Text for the moment after ``count`` runs."""
        return f"{self.title}, after run {count} of {self.items}"

    def name(self, item: int) -> str:
        """Text for a run."""
        return f"run {item + 1}"

    def run(self, device: Device, count: int) -> Outcome:
        """Write the initial state and do the first ``count`` runs, with as many in flight as the device has credits."""
        device.configure(self.network, self.rule)
        # This clears the counters, too.
        device.write_registers(dict.fromkeys(range(COUNTER), 0) | self._registers(device.limits))
        device.write_memory(Space.WEIGHTS, self.row, self.image)
        device.write_lfsr(self.lfsr)
        answers: list[Result] = []
        underway: list[Request] = []
        for run in self.runs[:count]:
            if run.registers or len(underway) == device.identity.credits:
                answers += [device.finish_run(each, outputs=True) for each in underway]
                underway.clear()
            if run.registers:
                device.write_registers(dict(run.registers))
            underway.append(device.start_run(run.payload, run.label, run.flags | RunFlag.OUTPUTS))
        answers += [device.finish_run(each, outputs=True) for each in underway]
        layers = self.network.layout(device.limits)
        words = sum(layer.all_words for layer in layers[:-1])
        rows, words_used = range(self.row, self.row + len(self.image)), range(self.word, self.word + words)
        values = [(answer.prediction, answer.loss, *answer.outputs.tolist()) for answer in answers]
        state = read_state(device, rows, words_used)
        gradients = sum(layer.rows * layer.words for layer in layers if layer.convolution)
        if gradients:
            state["GRADIENTS"] = device.read_memory(Space.GRADIENTS, 0, 2 * gradients)
        return Outcome(np.array(values, np.int64), state)

    def _registers(self, limits: Limits) -> dict[int, int]:
        """Registers for the network at its place in the memories."""
        values = network_registers(self.network, limits, self.rule)
        for slot in range(MAX_HIDDEN + 1):
            hidden = slot < MAX_HIDDEN
            for register, offset in (
                (LayerReg.WEIGHT_BASE, self.row),
                (LayerReg.FEEDBACK_BASE, self.row if hidden else 0),
                (LayerReg.WORD_BASE, self.word if hidden else 0),
            ):
                if layer_register(slot, register) in values:
                    values[layer_register(slot, register)] += offset
        return values
