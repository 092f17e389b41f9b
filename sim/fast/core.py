"""A core whose samples run in compiled code."""

import ctypes

import numpy as np

from opzo.sim.fast.library import Answer, State, load
from opzo.sim.golden.core import GoldenCore, SampleResult
from opzo.spec.network import MAX_HIDDEN, Limits
from opzo.spec.protocol import Space
from opzo.spec.registers import Counter, LayerReg, Reg, layer_register

REGISTERS = 256
_CHANGED = (int(Reg.SAMPLES), *(layer_register(slot, LayerReg.FEEDBACK_SHIFT) for slot in range(MAX_HIDDEN)))
"""Registers that a sample may change."""


class PlainLFSRs:
    """States of the lanes' LFSRs, uint32 (lanes,), where compiled code draws from them."""

    def __init__(self, states: np.ndarray) -> None:
        self.states = np.array(states, np.uint32)


class FastCore(GoldenCore):
    """A `GoldenCore` in everything but speed. OpzoError where its code must be compiled and there is no compiler."""

    lfsr_type = PlainLFSRs

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.memory = np.zeros((limits.rows, limits.lanes), np.int16)
        self._library = load(limits.lanes, limits.weight_bits)
        self._sample = self._library.opzo_fast_new()
        self._registers = np.zeros(REGISTERS, np.int64)
        self._addresses = np.array(list(self.registers))
        self._counts = np.zeros(len(Counter), np.uint64)
        self._answer = Answer()
        self._point()

    def __del__(self) -> None:
        if sample := getattr(self, "_sample", None):
            self._library.opzo_fast_delete(sample)

    def write_row(self, space: Space, row: int, data: np.ndarray) -> None:
        """Write one row of WEIGHTS or LFSR: uint16 (lanes,). The address must exist."""
        super().write_row(space, row, data)
        self._point()

    def _point(self) -> None:
        """Tell the compiled code where the arrays are."""
        arrays = (self.memory, self.lfsrs.states, self.membrane, self.history, self._registers, self._counts)
        self._state = State(*(array.ctypes.data for array in arrays))

    def run(self, events: list[tuple[int, int]], label: int, train: bool) -> SampleResult:
        """Run one sample: ``events`` of (address, value 1..255) in ascending order of address."""
        pairs = np.array(events, np.uint16).reshape(-1, 2)
        addresses, values = np.ascontiguousarray(pairs[:, 0]), pairs[:, 1].astype(np.uint8)
        self._registers[self._addresses] = list(self.registers.values())
        self._counts[:] = 0
        answer = self._answer
        self._library.opzo_fast_run(
            self._sample,
            self._state,
            addresses.ctypes.data,
            values.ctypes.data,
            len(values),
            label,
            train,
            ctypes.byref(answer),
        )
        if train:
            for address in _CHANGED:
                self.registers[address] = int(self._registers[address])
        for counter, amount in enumerate(self._counts.tolist()):
            self.counters.add(counter, amount)
        return SampleResult(answer.prediction, answer.loss, tuple(answer.outputs[: self[Reg.CLASSES]]))
