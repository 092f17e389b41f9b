"""A case: a network anywhere in the memories, in any state, and runs of any kind between which settings change."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from opzo.host.driver.device import Device
from opzo.host.driver.request import Request
from opzo.host.driver.sample import Result
from opzo.host.selftest.trial import Outcome, read_state
from opzo.spec.commands import RunFlag
from opzo.spec.memories import Space
from opzo.spec.network import MAX_HIDDEN, Limits, Network
from opzo.spec.registers import COUNTER, LayerReg, layer_register, network_registers
from opzo.spec.rules import Rule


@dataclass(frozen=True)
class Run:
    """One run, with registers that are written before it."""

    payload: bytes
    label: int
    flags: RunFlag
    registers: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A network with random contents, and what is done with it.

    Attributes
    ----------
    title : str
        Which case it is, for messages.
    network : Network
    rule : Rule
    row, word : int
        Where the network begins in the weight memory, and its hidden words in those of the neurons.
    image : uint16 (rows, lanes)
        What the network's part of the weight memory holds at the beginning.
    lfsr : uint32 (lanes,)
    runs : list of Run
    """

    title: str
    network: Network
    rule: Rule
    row: int
    word: int
    image: NDArray[np.uint16]
    lfsr: NDArray[np.uint32]
    runs: list[Run]

    @property
    def first_rows(self) -> dict[str, int]:
        """Only the network's part of these is read."""
        return {"WEIGHTS": self.row, "MEMBRANE": 2 * self.word}

    @property
    def items(self) -> int:
        """Number of runs."""
        return len(self.runs)

    def when(self, count: int) -> str:
        """Words for the moment after ``count`` runs."""
        return f"{self.title}, after run {count} of {self.items}"

    def name(self, item: int) -> str:
        """Words for a run."""
        return f"run {item + 1}"

    def run(self, device: Device, count: int) -> Outcome:
        """Write the state and do the first ``count`` runs, as many at once as the device takes."""
        device.configure(self.network, self.rule)
        # The counters are cleared with it.
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
        words = sum(layer.words for layer in self.network.layout(device.limits)[:-1])
        rows, words_used = range(self.row, self.row + len(self.image)), range(self.word, self.word + words)
        values = [(answer.prediction, answer.loss, *answer.outputs.tolist()) for answer in answers]
        return Outcome(np.array(values, np.int64), read_state(device, rows, words_used))

    def _registers(self, limits: Limits) -> dict[int, int]:
        """Registers that describe the network in its place."""
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
