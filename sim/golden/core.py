"""The core: registers, memories, counters, and runs through them."""

from typing import Any, NamedTuple

import numpy as np

from opzo.sim.golden.counters import Counters
from opzo.sim.golden.lfsr import LaneLFSRs
from opzo.sim.golden.run import run_chunk
from opzo.sim.golden.traces import Traces, advance
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.fixed_network import FixedNetwork
from opzo.spec.formats import HISTORY_STEPS, LFSR_BITS, WEIGHT
from opzo.spec.layers import LayerShape, Map
from opzo.spec.layout import EntrySet, Layer
from opzo.spec.limits import Limits
from opzo.spec.memories import Space
from opzo.spec.neurons import Leak, Reset
from opzo.spec.registers import (
    COUNTER,
    READOUT_LAYER,
    LayerReg,
    Reg,
    layer_register,
    stored_bits,
)
from opzo.spec.rules import Rule


class RunResult(NamedTuple):
    """Answer to one run; sums are over the steps of the decision so far."""

    prediction: int
    """Class with the largest summed readout; the lowest of equals."""
    loss: int
    """Sum over the steps, LOSS_FRAC_BITS fraction bits, in bits; wraps at LOSS_SUM_BITS."""
    outputs: tuple[int, ...]
    """Readouts summed over the steps, OUTPUT_SUM; wraps."""


class GoldenCore:
    """State of a core with ``limits``; all state that the gateware carries from run to run.

    A core that only infers is built with a ``fixed`` network, which has the same limits.

    Attributes
    ----------
    memory : int32 (rows, lanes)
        Weights and feedback entries, in units of WEIGHT and FEEDBACK_ENTRY.
    lfsrs : LaneLFSRs
    membrane : int64 (words, lanes)
        Potentials of the hidden neurons after the last step.
    negative : bool (words, lanes)
        Sign of their noise in the last even step.
    trace, history : uint8 (words, lanes)
        Presynaptic traces of the hidden neurons before the last run, and their spike histories in it.
    input_trace, input_history : uint8 (inputs / lanes, lanes)
        The same for the inputs.
    traces, input_traces : list of Traces, Traces
        Views of these arrays by hidden layer, with their lists of active rows.
    gradients : int32 (gradients, lanes)
        Gradient accumulators of convolutions, GRADIENT.
    bias_trace : int
        Trace of the bias rows.
    begun : bool
        Whether there was a run since the traces were cleared; if not, the next one is fresh.
    phase : int
        Time steps since the last fresh run, modulo 2.
    last_outputs, output_sums : int64 (classes,)
        Readouts of the last step, and summed over the decision.
    last_intermediate : int64 (classes,)
        Those of the intermediate readout, of the last step of a run with Feedback.
    loss_sum : int
    counters : Counters
    """

    lfsr_type: type[Any] = LaneLFSRs

    def __init__(self, limits: Limits, fixed: FixedNetwork | None = None) -> None:
        if (fixed is None) != limits.learning or (fixed is not None and fixed.limits != limits):
            raise ValueError("a core that only infers is built with a network for its limits, others without")
        self.limits = limits
        self._bits = stored_bits(limits)
        self.registers = dict.fromkeys(self._bits, 0)
        self.memory = np.zeros((limits.rows, limits.lanes), np.int32)
        self.gradients = np.zeros((limits.gradients, limits.lanes), np.int32)
        self.lfsrs = self.lfsr_type(np.zeros(limits.lanes, np.uint32))
        self.membrane = np.zeros((limits.words, limits.lanes), np.int64)
        self.negative = np.zeros((limits.words, limits.lanes), bool)
        self.trace, self.history = np.zeros((2, limits.words, limits.lanes), np.uint8)
        self.input_trace, self.input_history = np.zeros((2, limits.input_words, limits.lanes), np.uint8)
        self.last_outputs, self.output_sums, self.last_intermediate = np.zeros((3, limits.classes), np.int64)
        self.loss_sum = self.bias_trace = self.phase = self._last_steps = 0
        self.counters = Counters()
        if fixed is not None:
            self.registers |= fixed.registers
            self.memory[...] = fixed.rows
        self.clear_traces()

    def __getitem__(self, register: Reg) -> int:
        # A device without convolution lacks the registers of convolutions.
        return self.registers.get(int(register), 0)

    @property
    def rule(self) -> Rule:
        """Learning rule in force."""
        return Rule(self[Reg.RULE])

    def layers(self) -> tuple[Layer, ...]:
        """Weight layers as the registers describe them, the readout last."""
        below = Map(self[Reg.INPUTS])
        slots = (*range(self[Reg.HIDDEN_LAYERS]), READOUT_LAYER)
        if self._field(slots[0], LayerReg.KERNEL):
            sides = (self._field(slots[0], side) for side in (LayerReg.HEIGHT, LayerReg.WIDTH))
            below = Map(self[Reg.INPUT_CHANNELS], *sides)
        layers: list[Layer] = []
        for slot, above in zip(slots, (*slots[1:], None), strict=True):
            layers.append(self._layer(slot, above, below))
            below = layers[-1].shape.map
        return tuple(layers)

    def _layer(self, slot: int, above: int | None, below: Map) -> Layer:
        """Layer of a slot of the register map; ``above`` is the slot of the next layer."""
        words, tail, kernel = (self._field(slot, field) for field in (LayerReg.WORDS, LayerReg.TAIL, LayerReg.KERNEL))
        neurons = (words - 1) * self.limits.lanes + tail
        sides = (self._field(slot, field) if kernel else 1 for field in (LayerReg.HEIGHT, LayerReg.WIDTH))
        return Layer(
            rows=self._field(slot, LayerReg.ROWS),
            neurons=neurons,
            words=words,
            tail=tail,
            weight_base=self._field(slot, LayerReg.WEIGHT_BASE),
            feedback_base=self._field(slot, LayerReg.FEEDBACK_BASE),
            word_base=self._field(slot, LayerReg.WORD_BASE),
            shape=LayerShape(below, Map(neurons, *sides), kernel, self._field(slot, LayerReg.POOL) != 0),
            local=self._field(slot, LayerReg.LOCAL_SHIFT) != 0,
            intermediate=slot + 1 < self[Reg.INTERMEDIATE],
            cells=above is not None and self._field(above, LayerReg.POOL) != 0,
            block=1 << self._field(slot, LayerReg.BLOCK_SHIFT),
            gradient_base=self._field(slot, LayerReg.GRADIENT_BASE),
            leak=Leak.of_register(self._field(slot, LayerReg.NEURON)),
            reset=Reset.of_register(self._field(slot, LayerReg.NEURON)),
        )

    def _field(self, slot: int, field: LayerReg) -> int:
        """Register of a layer."""
        return self.registers.get(layer_register(slot, field), 0)

    def weights(self, layer: Layer) -> np.ndarray:
        """View of a layer's weights: (words, rows, lanes)."""
        block = self.memory[layer.weight_base : layer.weight_base + layer.words * layer.rows]
        return block.reshape(layer.words, layer.rows, -1)

    def layer_gradients(self, layer: Layer) -> np.ndarray:
        """View of a convolution's gradient accumulators: (words, rows, lanes)."""
        block = self.gradients[layer.gradient_base : layer.gradient_base + layer.words * layer.rows]
        return block.reshape(layer.words, layer.rows, -1)

    def local(self, layer: Layer) -> np.ndarray:
        """View of a hidden layer's local readout, which it must have: (blocks x words, classes, lanes)."""
        return self._entry_set(layer, EntrySet.LOCAL)

    def feedback(self, layer: Layer) -> np.ndarray:
        """View of a hidden layer's feedback matrix: (blocks x words, classes, lanes)."""
        return self._entry_set(layer, EntrySet.FEEDBACK)

    def intermediate(self, layer: Layer) -> np.ndarray:
        """View of a hidden layer's intermediate matrix, which it must have: (blocks x words, classes, lanes)."""
        return self._entry_set(layer, EntrySet.INTERMEDIATE)

    def entries(self, layer: Layer) -> np.ndarray:
        """View of a hidden layer's local readout (where it has one) and feedback matrices.

        (blocks x words, entries, lanes)
        """
        entries, words = self[Reg.CLASSES] * len(layer.entry_sets), layer.block_words
        block = self.memory[layer.feedback_base : layer.feedback_base + words * entries]
        return block.reshape(words, entries, -1)

    def _entry_set(self, layer: Layer, kind: EntrySet) -> np.ndarray:
        number, classes = layer.entry_sets.index(kind), self[Reg.CLASSES]
        return self.entries(layer)[:, number * classes : (number + 1) * classes]

    def read_register(self, address: int) -> int:
        """Register or half of a counter; 0 at an unused address."""
        if (value := self.registers.get(address)) is not None:
            return value
        counter, high = divmod(address - COUNTER, 2)
        return self.counters.word(counter, high) if 0 <= counter < len(self.counters) else 0

    def write_register(self, address: int, value: int) -> None:
        """Write the implemented bits of a register; addresses that are not writable are ignored.

        A core that only infers writes none, but counters and traces are cleared as in others.
        """
        if address == Reg.CLEAR_COUNTERS:
            self.counters.clear()
        elif address in self.registers and self.limits.learning:
            self.registers[address] = value & ((1 << self._bits[address]) - 1)
        if address == Reg.HIDDEN_LAYERS:
            self.clear_traces()

    def clear_traces(self) -> None:
        """Forget all spikes; the next run finds out which rows each layer has."""
        for array in (self.trace, self.history, self.input_trace, self.input_history):
            array[...] = 0
        self.begun = False
        self.traces: list[Traces] = []
        self.input_traces = Traces(self.input_trace.reshape(-1), self.input_history.reshape(-1))

    def begin_run(self, *, fresh: bool, decision: bool, graded: bool) -> None:
        """Advance the traces, or forget them (``fresh``); forget the sums of the decision (``decision``)."""
        if not self.begun:
            self.begun = True
            words = [slice(layer.word_base, layer.word_base + layer.all_words) for layer in self.layers()[:-1]]
            self.traces = [Traces(self.trace[some].reshape(-1), self.history[some].reshape(-1)) for some in words]
        for traces in self.traces:
            traces.begin(self._last_steps, fresh=fresh)
        self.input_traces.begin(self._last_steps, fresh=fresh, graded=graded)
        every_step = np.array((1 << self._last_steps) - 1)
        self.bias_trace = 0 if fresh else int(advance(np.array(self.bias_trace), every_step, self._last_steps))
        if fresh:
            self.phase = 0
        if decision:
            self.output_sums[...] = self.loss_sum = 0

    def end_run(self, steps: int) -> None:
        """Keep the number of time steps of the run."""
        self._last_steps, self.phase = steps, (self.phase + steps) % 2

    def read_row(self, space: Space, row: int) -> np.ndarray:
        """One row of a memory: uint16 (lanes,). The address must exist."""
        if space == Space.WEIGHTS:
            values = self.memory[row]
        elif space == Space.LFSR:
            values = self.lfsrs.states >> np.uint32(row * LFSR_BITS // 2)
        elif space == Space.MEMBRANE:
            values = self.membrane[row // 2] >> (16 * (row % 2))
        elif space == Space.GRADIENTS:
            values = self.gradients[row // 2] >> (16 * (row % 2))
        else:
            trace, history = (
                (self.trace, self.history) if space == Space.HISTORY else (self.input_trace, self.input_history)
            )
            values = history[row] | trace[row].astype(np.uint16) << HISTORY_STEPS
        return np.asarray(values).astype(np.uint16)

    def write_row(self, space: Space, row: int, data: np.ndarray) -> None:
        """Write one row of WEIGHTS, LFSR or GRADIENTS: uint16 (lanes,). The address must exist."""
        if space == Space.WEIGHTS:
            # The memory has weight_bits bits above the low ones that it leaves out.
            low = self.limits.low_bits
            top = WEIGHT.width - low - self.limits.weight_bits
            self.memory[row] = (data << top).astype(np.int16) >> (top + low) << low
        elif space == Space.GRADIENTS:
            halves = self.gradients.view(np.uint16).reshape(len(self.gradients), -1, 2)
            halves[row // 2, :, row % 2] = data
        else:
            shift = np.uint32(row * LFSR_BITS // 2)
            kept = self.lfsrs.states & ~(np.uint32(0xFFFF) << shift)
            self.lfsrs = self.lfsr_type(kept | (data.astype(np.uint32) << shift))

    def run(self, chunk: Chunk, label: int, flags: RunFlag) -> RunResult:
        """Run a frame or a chunk of events, depending on register INPUT."""
        return RunResult(*run_chunk(self, chunk, label, flags))
