"""Register map: 32-bit registers at 8-bit addresses, and the statistics counters.

Addresses below LAYER are single settings. LAYER + LAYER_STRIDE * l + field is a setting of weight layer l: l = 0 to
MAX_HIDDEN - 1 are the layers into the hidden layers, l = MAX_HIDDEN (READOUT_LAYER) is always the readout. A device has
the registers and counters of as many hidden layers as it was built for (``Limits.layers``). Counter c is read at
COUNTER + 2 * c (low 32 bits) and COUNTER + 2 * c + 1 (high 16 bits).

The gateware, the models, the driver, the self-test and the documentation (``opzo registers``) use these tables.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self

from opzo.spec import formats
from opzo.spec.described import Described
from opzo.spec.formats import LOCAL_SHIFT
from opzo.spec.limits import MAX_HIDDEN, Limits
from opzo.spec.network import Network
from opzo.spec.neurons import LEAK_BITS, NEURON_BITS, Leak, Reset, neuron_register
from opzo.spec.rules import Input, Rule

READOUT_LAYER = MAX_HIDDEN
LAYER = 0x20
LAYER_STRIDE = 16
COUNTER = 0x80
COUNTER_BITS = 48
REGISTER_BITS = 32
"""Bits of a register as it travels."""


class _Stored(IntEnum):
    """Members are written ``NAME = value, bits, "meaning"``: the register keeps its low ``bits``, the others read 0."""

    _value_: int
    bits: int
    meaning: str

    def __new__(cls, value: int, *columns: Any) -> Self:
        """Register with its bits and meaning; calls with the value alone find a register."""
        register = int.__new__(cls, value)
        register._value_, (register.bits, register.meaning) = value, columns
        return register


class Reg(_Stored):
    """Single registers, by address. All are 0 after a reset."""

    HIDDEN_LAYERS = (
        0x00,
        MAX_HIDDEN.bit_length(),
        f"Hidden layers, 1 to {MAX_HIDDEN}. Writing it also clears all spike histories and presynaptic traces, and "
        "makes the next run a fresh one.",
    )
    STEPS = 0x01, 4, "Time steps of a frame sample. A chunk of events carries its own."
    CLASSES = 0x02, 7, "Classes."
    INPUTS = 0x03, 15, "Inputs."
    RULE = (
        0x04,
        max(Rule).bit_length(),
        "Learning rule: " + ", ".join(f"{rule.value} {rule.name}" for rule in Rule) + ".",
    )
    ALPHA = 0x05, formats.ALPHA_BITS, f"Noise amplitude, {formats.ALPHA_BITS} fraction bits."
    RATE = 0x06, formats.RATE_BITS, "Step size."
    ACTIVITY = 0x07, formats.ACTIVITY_BITS, "Activity cost: what a spike adds to the credit of its neuron."
    DECAY_SHIFT = (
        0x08,
        4,
        "Weight decay: every update of weight w also subtracts w >> shift, in units of "
        f"2**-{formats.UPDATE_FRAC_BITS} of the least significant bit of a weight. 0: off.",
    )
    LEAK_SHIFT = (
        0x09,
        4,
        "Leak of the feedback matrix, as DECAY_SHIFT: 4 is 2**-15 a pair of time steps. 0: off.",
    )
    MSE_SHIFT = 0x0A, 4, "Share of the squared error in the loss, 2**-shift. 0: off."
    SAMPLES = (
        0x0B,
        32,
        "Runs with learning (a frame sample, or a chunk of events) since the seed was set. The device counts it up, "
        f"and chooses the feedback shifts in every {formats.FEEDBACK_REFRESH}th.",
    )
    CLEAR_COUNTERS = 0x0C, 0, "Writing any value sets every counter to 0."
    INPUT = (
        0x0D,
        2,
        "Kind of input: " + ", ".join(f"{kind.value} {kind.name}" for kind in Input) + ". Other values act as SPIKES.",
    )
    BATCH = (
        0x0E,
        8,
        "Runs with learning after which the gradients of convolutions change the weights. 0 acts as 1.",
    )
    PENDING = (
        0x0F,
        8,
        "Runs with learning whose gradients have not changed the weights of convolutions yet. The device counts it "
        "where the network has any.",
    )
    INPUT_CHANNELS = (
        0x10,
        15,
        "Channels of the input map where the first layer is a convolution, whose height and width are the layer's.",
    )
    INTERMEDIATE = (
        0x11,
        MAX_HIDDEN.bit_length(),
        "Hidden layer, counted from 1, whose local readout also teaches the layers before it, through their "
        "intermediate feedback matrices. 0: none.",
    )
    CONVOLUTION_RATE = (
        0x12,
        formats.CONVOLUTION_RATE_BITS,
        "Step size of convolutions: the mean change of a weight is between 2 and 4 times it, in units of "
        f"2**-{formats.UPDATE_FRAC_BITS} of the least significant bit of a weight.",
    )


class LayerReg(_Stored):
    """Registers of one layer of weights, at LAYER + LAYER_STRIDE * layer + value. All are 0 after a reset."""

    ROWS = 0, 15, "Rows: presynaptic neurons of a window and the bias."
    WORDS = 1, 11, "Words of postsynaptic neurons: of a dense layer, or of a position of a convolution."
    TAIL = 2, 8, "Lanes in use in the last of these words."
    WEIGHT_BASE = 3, 20, "First row-word of the weights: row i of word w is WEIGHT_BASE + w x ROWS + i, the bias last."
    FEEDBACK_BASE = (
        4,
        20,
        "First row-word of the feedback entries: entry k of word w is FEEDBACK_BASE + w x CLASSES + k; the words of "
        "block q of a convolution are w = q x WORDS to q x WORDS + WORDS - 1. With a local readout a word has "
        "2 x CLASSES: first those of the local readout, then those of the feedback matrix; layers before INTERMEDIATE "
        "have 3 x CLASSES, the last ones those of the intermediate feedback matrix.",
    )
    FEEDBACK_SHIFT = (
        5,
        4,
        "Shift of the feedback matrices as used. The device rewrites it every "
        f"{formats.FEEDBACK_REFRESH} training runs.",
    )
    WORD_BASE = 6, 13, "First word in the memories of neurons."
    LOCAL_SHIFT = 7, 4, "Shift of the entries of the local readout where they feed back. 0: no local readout."
    KERNEL = 8, 3, "Height and width of the kernel of a convolution: 1, 3 or 5. 0: a dense layer."
    HEIGHT = 9, 8, "Height of the map of a convolution."
    WIDTH = 10, 8, "Width of it."
    POOL = 11, 1, "1: an average pool of 2 x 2 lies between the layer below and this layer."
    BLOCK_SHIFT = 12, 3, "Log2 of height and width of the blocks of a convolution that share feedback entries."
    GRADIENT_BASE = 13, 20, "First row-word of the gradient accumulators of a convolution, laid out as the weights."
    MAGNITUDE = (
        14,
        formats.MAGNITUDE_BITS,
        "Running sum of the gradients of lane 0 of a convolution, which decides how far they are shifted right. The "
        "device rewrites it with every change of the weights.",
    )
    NEURON = (
        15,
        NEURON_BITS,
        f"Neurons. Low {LEAK_BITS} bits, leak of the membrane potentials: "
        + ", ".join(f"{leak.value} is {leak.text}" for leak in Leak)
        + ", others act as 1. Next bit, reset: "
        + ", ".join(f"{reset.value} {reset.name}" for reset in Reset)
        + ". Without effect for the readout.",
    )


class Counter(Described):
    """Statistics counters, COUNTER_BITS wide. All but TIMING_COUNTERS are the same on every device."""

    TRAIN_RUNS = 0, "Runs with learning: frame samples, or chunks of events."
    TEST_RUNS = 1, "Runs without learning."
    TRAIN_CYCLES = (
        2,
        "Clock cycles in which the engine was busy with runs with learning. In a model: cycles of the cost model.",
    )
    TEST_CYCLES = 3, "The same of runs without learning."
    INTEGRATE = 4, "Row-words read to integrate."
    FIRE = 5, "Words fired from a stored input current (first layer, frame inputs)."
    FEEDBACK = 6, "Row-words of feedback matrices and local readouts used."
    LEARN = 7, "Row-words of weights read and written to learn."
    EVENTS = 8, "Input events, bias not counted."
    SPIKES_1 = 9, "Spikes of hidden layer 1."
    SPIKES_2 = 10, "Spikes of hidden layer 2."
    SPIKES_3 = 11, "Spikes of hidden layer 3."
    SPIKES_4 = 12, "Spikes of hidden layer 4."
    SPIKES_5 = 13, "Spikes of hidden layer 5."
    ACTIVE_1 = 14, "Neurons of hidden layer 1 that spiked at least once in a run, summed over the runs with learning."
    ACTIVE_2 = 15, "The same of hidden layer 2."
    ACTIVE_3 = 16, "The same of hidden layer 3."
    ACTIVE_4 = 17, "The same of hidden layer 4."
    ACTIVE_5 = 18, "The same of hidden layer 5."
    MEMBRANE_SATURATIONS = (
        19,
        "Words and time steps in which the membrane potential of some neuron, the readout of some class, or its input "
        "current from spikes saturated.",
    )
    CREDIT_SATURATIONS = 20, "Hidden words and time steps in which the credit of some neuron saturated."
    WEIGHT_SATURATIONS = 21, "Row-words of weights written in which some lane saturated."
    FEEDBACK_SATURATIONS = 22, "Row-words of feedback matrices or local readouts written in which some lane saturated."
    STEPS = 23, "Time steps run."
    DROPPED = 24, "Events that found the event buffer full. The link refuses such chunks, so this stays 0."
    ACCUMULATE = 25, "Row-words of gradient accumulators read and written."
    GRADIENT_SATURATIONS = 26, "Row-words of gradient accumulators written in which some lane saturated."


TIMING_COUNTERS = (Counter.TRAIN_CYCLES, Counter.TEST_CYCLES)
"""Counters of clock cycles."""


LEARNING_COUNTERS = (
    *(Counter.TRAIN_RUNS, Counter.TRAIN_CYCLES, Counter.FEEDBACK, Counter.LEARN, Counter.CREDIT_SATURATIONS),
    *(Counter.WEIGHT_SATURATIONS, Counter.FEEDBACK_SATURATIONS, Counter.ACCUMULATE, Counter.GRADIENT_SATURATIONS),
)
"""Counters of what only learning does, but for ACTIVE_n."""


def layer_counters(limits: Limits) -> tuple[Counter, ...]:
    """SPIKES_n and, in a device that learns, ACTIVE_n of its hidden layers."""
    firsts = (Counter.SPIKES_1, *((Counter.ACTIVE_1,) if limits.learning else ()))
    return tuple(Counter(first + layer) for first in firsts for layer in range(limits.layers))


def counters_of(limits: Limits) -> tuple[Counter, ...]:
    """Counters of a device with ``limits``; those of hidden layers beyond its limit, of convolutions, and of learning
    read 0 where it has none."""
    layers = {Counter(first + n) for first in (Counter.SPIKES_1, Counter.ACTIVE_1) for n in range(MAX_HIDDEN)}
    missing = layers - set(layer_counters(limits))
    missing |= set() if limits.gradients else {Counter.ACCUMULATE, Counter.GRADIENT_SATURATIONS}
    missing |= set() if limits.learning else set(LEARNING_COUNTERS)
    return tuple(counter for counter in Counter if counter not in missing)


def layer_register(layer: int, field: LayerReg) -> int:
    """Address of a layer's register; ``layer`` 0 to MAX_HIDDEN - 1 hidden, READOUT_LAYER the readout."""
    return LAYER + LAYER_STRIDE * layer + field


def layer_slots(limits: Limits) -> tuple[int, ...]:
    """Layers whose registers a device with ``limits`` has: its hidden layers, then READOUT_LAYER."""
    return (*range(limits.layers), READOUT_LAYER)


@dataclass(frozen=True)
class Register:
    """One address of the map.

    Attributes
    ----------
    name : str
        Unique; of a layer's ``LAYER_1_ROWS``, of the readout's ``READOUT_ROWS``.
    address : int
    bits : int
        Low bits that the register has; the others read 0.
    access : str
        ``rw``; ``r``: writing is ignored; ``w``: reads 0.
    reset : int
        Content after a reset.
    meaning : str
    """

    name: str
    address: int
    bits: int
    access: str
    reset: int
    meaning: str


def _map() -> Iterator[Register]:
    for register in Reg:
        access = "rw" if register.bits else "w"
        yield Register(register.name, register.value, register.bits, access, 0, register.meaning)
    for layer in range(MAX_HIDDEN + 1):
        prefix = "READOUT" if layer == READOUT_LAYER else f"LAYER_{layer + 1}"
        for field in LayerReg:
            yield Register(f"{prefix}_{field.name}", layer_register(layer, field), field.bits, "rw", 0, field.meaning)
    for counter in Counter:
        address, low = COUNTER + 2 * counter, REGISTER_BITS
        yield Register(f"COUNTER_{counter.name}", address, low, "r", 0, counter.meaning)
        yield Register(f"COUNTER_{counter.name}_HIGH", address + 1, COUNTER_BITS - low, "r", 0, "High bits of it.")


REGISTERS = {register.address: register for register in _map()}
"""Every register, by address."""
CONVOLUTION_REGISTERS = (Reg.BATCH, Reg.PENDING, Reg.INPUT_CHANNELS, Reg.INTERMEDIATE, Reg.CONVOLUTION_RATE)
CONVOLUTION_FIELDS = tuple(field for field in LayerReg if LayerReg.KERNEL <= field <= LayerReg.MAGNITUDE)
"""Registers, single ones and those of a layer, that a device without convolution (``Limits.gradients``) lacks."""
STORED = tuple(register for register in Reg if register.bits and register not in CONVOLUTION_REGISTERS)
LAYER_FIELDS = tuple(field for field in LayerReg if field not in CONVOLUTION_FIELDS)
"""Registers that keep what is written, single ones and those of a layer, of every device."""


def stored_bits(limits: Limits) -> dict[int, int]:
    """Bits of each register of a device with ``limits`` that keeps what is written, by address."""
    kept, fields = STORED, LAYER_FIELDS
    if limits.gradients:
        kept, fields = kept + CONVOLUTION_REGISTERS, fields + CONVOLUTION_FIELDS
    layers = {layer_register(slot, field): field.bits for slot in layer_slots(limits) for field in fields}
    return {register.value: register.bits for register in kept} | layers


def network_registers(network: Network, limits: Limits, rule: Rule) -> dict[int, int]:
    """Register values that describe ``network`` to a device with ``limits``: address -> value.

    Raises NetworkError where the network does not fit, and where ``rule`` has no feedback matrices for the errors of
    its intermediate readout.
    """
    network.check_rule(rule)
    values = {
        int(Reg.HIDDEN_LAYERS): len(network.hidden),
        int(Reg.STEPS): min(network.steps, limits.steps),
        int(Reg.CLASSES): network.classes,
        int(Reg.INPUTS): network.inputs,
        int(Reg.RULE): int(rule),
        int(Reg.INPUT): int(network.input),
        int(Reg.INPUT_CHANNELS): network.layers[0].below.channels,
        int(Reg.PENDING): 0,
        int(Reg.INTERMEDIATE): network.intermediate,
    }
    layers = network.layout(limits)
    for index, layer in enumerate(layers):
        slot = READOUT_LAYER if index == len(layers) - 1 else index
        for field, value in (
            (LayerReg.ROWS, layer.rows),
            (LayerReg.WORDS, layer.words),
            (LayerReg.TAIL, layer.tail),
            (LayerReg.WEIGHT_BASE, layer.weight_base),
            (LayerReg.FEEDBACK_BASE, layer.feedback_base),
            (LayerReg.WORD_BASE, layer.word_base),
            (LayerReg.LOCAL_SHIFT, LOCAL_SHIFT if layer.local else 0),
            (LayerReg.NEURON, neuron_register(layer.leak, layer.reset)),
            (LayerReg.KERNEL, layer.shape.kernel),
            (LayerReg.HEIGHT, layer.shape.map.height),
            (LayerReg.WIDTH, layer.shape.map.width),
            (LayerReg.POOL, layer.shape.pool),
            (LayerReg.BLOCK_SHIFT, layer.block.bit_length() - 1),
            (LayerReg.GRADIENT_BASE, layer.gradient_base),
            (LayerReg.MAGNITUDE, formats.MAGNITUDE_MAX if layer.convolution else 0),
        ):
            values[layer_register(slot, field)] = value
    stored = stored_bits(limits)
    return {address: value for address, value in values.items() if address in stored}
