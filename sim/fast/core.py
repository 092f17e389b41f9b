"""The core of the compiled model: a golden core whose runs are done in C++."""

import numpy as np
from numpy.typing import NDArray

from opzo.sim.fast.library import Answer, Events, State, load
from opzo.sim.golden.core import GoldenCore, RunResult
from opzo.sim.golden.counters import Counters
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.limits import Limits
from opzo.spec.memories import Space
from opzo.spec.registers import COUNTER_BITS, Counter, LayerReg, Reg, layer_register

REGISTERS = 256
_TRAIN = int(RunFlag.TRAIN)


class PlainLFSRs:
    """LFSR states of the lanes, uint32 (lanes,), used by the compiled code."""

    def __init__(self, states: np.ndarray) -> None:
        self.states = np.array(states, np.uint32)


class SharedRegisters(dict[int, int]):
    """Registers by address, with a copy of their values for the compiled code: int64 (REGISTERS,)."""

    def __init__(self, values: dict[int, int]) -> None:
        super().__init__(values)
        self.shared = np.zeros(REGISTERS, np.int64)

    def __setitem__(self, address: int, value: int) -> None:
        super().__setitem__(address, value)
        self.shared[address] = value

    def update_from_shared(self, addresses: NDArray[np.int64]) -> None:
        """Take over what a run may have changed."""
        self.update(zip(addresses.tolist(), self.shared[addresses].tolist(), strict=True))


class SharedCounters(Counters):
    """Counters in an array that the compiled code adds to: uint64 (counters,)."""

    def __init__(self) -> None:
        self.shared: NDArray[np.uint64] = np.zeros(len(Counter), np.uint64)

    def __len__(self) -> int:
        return len(self.shared)

    def __getitem__(self, counter: int) -> int:
        return int(self.shared[counter]) % (1 << COUNTER_BITS)

    def add(self, counter: int, amount: int) -> None:
        """Add ``amount``."""
        self.shared[counter] += np.uint64(amount)

    def clear(self) -> None:
        """Set all to 0."""
        self.shared[:] = 0


class FastCore(GoldenCore):
    """A faster `GoldenCore`. OpzoError if its code has to be compiled and there is no compiler."""

    lfsr_type = PlainLFSRs

    def __init__(self, limits: Limits) -> None:
        self._library = load(limits.lanes, limits.weight_bits)
        self._engine = self._library.opzo_fast_new()
        super().__init__(limits)
        self.memory = np.zeros((limits.rows, limits.lanes), np.int16)
        self.membrane = self.membrane.astype(np.int32)
        self.registers: SharedRegisters = SharedRegisters(self.registers)
        changed = [int(Reg.SAMPLES), int(Reg.PENDING)]
        for field in (LayerReg.FEEDBACK_SHIFT, LayerReg.MAGNITUDE):
            changed += [layer_register(slot, field) for slot in range(limits.layers)]
        self._changed = np.array([address for address in changed if address in self.registers])
        """Registers that a run can change."""
        self.counters: SharedCounters = SharedCounters()
        self._addresses = np.zeros(limits.events, np.uint16)
        self._values = np.zeros(limits.events, np.uint8)
        self._ends = np.zeros(limits.steps, np.int32)
        self._events = Events(*(array.ctypes.data for array in (self._addresses, self._values, self._ends)))
        self._answer = Answer()
        self._point()

    def __del__(self) -> None:
        if engine := getattr(self, "_engine", None):
            self._library.opzo_fast_delete(engine)

    def write_row(self, space: Space, row: int, data: np.ndarray) -> None:
        """Write one row of WEIGHTS or LFSR: uint16 (lanes,). The address must exist."""
        super().write_row(space, row, data)
        if space == Space.LFSR:
            # The others are written in place.
            self._point()

    def _point(self) -> None:
        """Pass the addresses of the arrays to the compiled code."""
        arrays = (
            *(self.memory, self.lfsrs.states, self.membrane, self.negative, self.trace, self.history),
            *(self.input_trace, self.input_history, self.last_outputs, self.output_sums, self.last_intermediate),
            *(self.registers.shared, self.counters.shared, self.gradients),
        )
        self._state = State(*(array.ctypes.data for array in arrays))

    def clear_traces(self) -> None:
        """Clear all spike histories."""
        super().clear_traces()
        self._library.opzo_fast_clear_traces(self._engine)

    def run(self, chunk: Chunk, label: int, flags: RunFlag) -> RunResult:
        """Run a frame or a chunk of events, as register INPUT says."""
        events, answer = self._events, self._answer
        events.count, events.steps = len(chunk.addresses), len(chunk.ends)
        self._addresses[: events.count] = chunk.addresses
        self._values[: events.count] = chunk.values
        if events.steps:
            self._ends[: events.steps] = chunk.ends
        self._library.opzo_fast_run(self._engine, self._state, events, label, flags, answer)
        if int(flags) & _TRAIN:
            self.registers.update_from_shared(self._changed)
        return RunResult(answer.prediction, answer.loss, tuple(answer.outputs[: self[Reg.CLASSES]]))
