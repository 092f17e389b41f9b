"""The core of the compiled model: a golden core whose runs are done in C++."""

import ctypes

import numpy as np

from opzo.sim.fast.library import Answer, Events, State, load
from opzo.sim.golden.core import GoldenCore, RunResult
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.memories import Space
from opzo.spec.network import Limits
from opzo.spec.registers import Counter, LayerReg, Reg, layer_register

REGISTERS = 256


class PlainLFSRs:
    """LFSR states of the lanes, uint32 (lanes,), used by the compiled code."""

    def __init__(self, states: np.ndarray) -> None:
        self.states = np.array(states, np.uint32)


class FastCore(GoldenCore):
    """A faster `GoldenCore`. OpzoError if its code has to be compiled and there is no compiler."""

    lfsr_type = PlainLFSRs

    def __init__(self, limits: Limits) -> None:
        self._library = load(limits.lanes, limits.weight_bits)
        self._engine = self._library.opzo_fast_new()
        super().__init__(limits)
        self.memory = np.zeros((limits.rows, limits.lanes), np.int16)
        self._registers = np.zeros(REGISTERS, np.int64)
        self._addresses = np.array(list(self.registers))
        shifts = (layer_register(slot, LayerReg.FEEDBACK_SHIFT) for slot in range(limits.layers))
        self._changed = (int(Reg.SAMPLES), *shifts)
        """Registers that a run can change."""
        self._counts = np.zeros(len(Counter), np.uint64)
        self._answer = Answer()
        self._point()

    def __del__(self) -> None:
        if engine := getattr(self, "_engine", None):
            self._library.opzo_fast_delete(engine)

    def write_row(self, space: Space, row: int, data: np.ndarray) -> None:
        """Write one row of WEIGHTS or LFSR: uint16 (lanes,). The address must exist."""
        super().write_row(space, row, data)
        self._point()

    def _point(self) -> None:
        """Pass the addresses of the arrays to the compiled code."""
        arrays = (
            *(self.memory, self.lfsrs.states, self.membrane, self.negative, self.trace, self.history),
            *(self.input_trace, self.input_history, self.last_outputs, self.output_sums),
            *(self._registers, self._counts),
        )
        self._state = State(*(array.ctypes.data for array in arrays))

    def clear_traces(self) -> None:
        """Clear all spike histories."""
        super().clear_traces()
        self._library.opzo_fast_clear_traces(self._engine)

    def run(self, chunk: Chunk, label: int, flags: RunFlag) -> RunResult:
        """Run a frame or a chunk of events, as register INPUT says."""
        arrays = (chunk.addresses.astype(np.uint16), chunk.values.astype(np.uint8), chunk.ends.astype(np.int32))
        events = Events(*(array.ctypes.data for array in arrays), len(arrays[0]), len(arrays[2]))
        self._registers[self._addresses] = list(self.registers.values())
        self._counts[:] = 0
        answer = self._answer
        self._library.opzo_fast_run(self._engine, self._state, events, label, flags, ctypes.byref(answer))
        if flags & RunFlag.TRAIN:
            for address in self._changed:
                self.registers[address] = int(self._registers[address])
        for counter, amount in enumerate(self._counts.tolist()):
            self.counters.add(counter, amount)
        return RunResult(answer.prediction, answer.loss, tuple(answer.outputs[: self[Reg.CLASSES]]))
