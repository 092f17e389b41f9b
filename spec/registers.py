"""Register map: 32-bit registers at 8-bit addresses, and the statistics counters.

Addresses below LAYER hold single settings. LAYER + 8 * l + field holds the settings of weight layer l: l = 0, 1, 2 are
the layers into the hidden layers, l = 3 (READOUT_LAYER) is always the read-out. Counter c is read at COUNTER + 2 * c
(low 32 bits) and COUNTER + 2 * c + 1 (high 16 bits).
"""

from enum import IntEnum

from opzo.spec import formats
from opzo.spec.formats import LOCAL_SHIFT
from opzo.spec.network import MAX_HIDDEN, Limits, Network
from opzo.spec.rules import Rule

READOUT_LAYER = MAX_HIDDEN
LAYER = 0x10
LAYER_STRIDE = 8
COUNTER = 0x40
COUNTER_BITS = 48


class Reg(IntEnum):
    """Single registers."""

    HIDDEN_LAYERS = 0x00
    """Writing it also clears all spike histories and presynaptic traces, and makes the next run a fresh one."""
    STEPS = 0x01
    """Time steps of a frame sample; a chunk of events says its own."""
    CLASSES = 0x02
    INPUTS = 0x03
    RULE = 0x04
    ALPHA = 0x05
    """Noise amplitude, ALPHA_BITS."""
    RATE = 0x06
    """Step size, RATE_BITS."""
    ACTIVITY = 0x07
    """Activity cost, ACTIVITY_BITS."""
    DECAY_SHIFT = 0x08
    """Weight decay w >> shift in units of 2**-UPDATE_FRAC_BITS; 0 is off."""
    LEAK_SHIFT = 0x09
    """Leak of M, like DECAY_SHIFT: 4 is 2**-15 a pair of time steps; 0 is off."""
    MSE_SHIFT = 0x0A
    """MSE share mu = 2**-shift; 0 is off."""
    SAMPLES = 0x0B
    """Runs with learning (a frame sample, or a chunk of events) since the seed was set; decides when the feedback
    shifts are chosen anew."""
    CLEAR_COUNTERS = 0x0C
    """Writing any value sets every counter to 0; reads 0."""
    INPUT = 0x0D
    """`opzo.spec.rules.Input`; 3 acts like SPIKES."""


REG_BITS = {
    Reg.HIDDEN_LAYERS: 2,
    Reg.STEPS: 4,
    Reg.CLASSES: 7,
    Reg.INPUTS: 13,
    Reg.RULE: 2,
    Reg.ALPHA: formats.ALPHA_BITS,
    Reg.RATE: formats.RATE_BITS,
    Reg.ACTIVITY: formats.ACTIVITY_BITS,
    Reg.DECAY_SHIFT: 4,
    Reg.LEAK_SHIFT: 4,
    Reg.MSE_SHIFT: 4,
    Reg.SAMPLES: 32,
    Reg.INPUT: 2,
}
"""Bits that each register keeps; the others read 0."""


class LayerReg(IntEnum):
    """Registers of one layer of weights, at LAYER + LAYER_STRIDE * layer + value."""

    ROWS = 0
    WORDS = 1
    TAIL = 2
    """Lanes in use in the last word."""
    WEIGHT_BASE = 3
    FEEDBACK_BASE = 4
    FEEDBACK_SHIFT = 5
    """Shift of M as used; the device rewrites it every FEEDBACK_REFRESH training samples."""
    WORD_BASE = 6
    LOCAL_SHIFT = 7
    """Shift of the local read-out's entries as Feedback uses them; 0: the layer has no local read-out."""


LAYER_REG_BITS = {
    LayerReg.ROWS: 13,
    LayerReg.WORDS: 11,
    LayerReg.TAIL: 8,
    LayerReg.WEIGHT_BASE: 20,
    LayerReg.FEEDBACK_BASE: 20,
    LayerReg.FEEDBACK_SHIFT: 4,
    LayerReg.WORD_BASE: 10,
    LayerReg.LOCAL_SHIFT: 4,
}


class Counter(IntEnum):
    """Statistics counters, COUNTER_BITS wide. All but CYCLES_* are the same on every device."""

    TRAIN_RUNS = 0
    """Runs with learning: frame samples, or chunks of events."""
    TEST_RUNS = 1
    TRAIN_CYCLES = 2
    """Clock cycles the engine was busy with runs with learning (golden: the cost model's)."""
    TEST_CYCLES = 3
    INTEGRATE = 4
    """Row-words read by Integrate."""
    FIRE = 5
    """Words fired from a stored input current (first layer, frame inputs)."""
    FEEDBACK = 6
    """Row-words of M and of local read-outs used, by local read-outs or Feedback."""
    LEARN = 7
    """Row-words read and written by Learn."""
    EVENTS = 8
    """Input events, bias not counted."""
    SPIKES_1 = 9
    SPIKES_2 = 10
    SPIKES_3 = 11
    ACTIVE_1 = 12
    """Neurons of hidden layer 1 that spiked at least once in a run, summed over the runs with learning."""
    ACTIVE_2 = 13
    ACTIVE_3 = 14
    MEMBRANE_SATURATIONS = 15
    """Words and time steps in which the potential of some neuron or the read-out of some class, or the input current
    from spikes that made it, saturated."""
    CREDIT_SATURATIONS = 16
    """Hidden words and time steps in which the credit of some neuron saturated."""
    WEIGHT_SATURATIONS = 17
    """Row-words written by Learn in which some lane saturated."""
    FEEDBACK_SATURATIONS = 18
    """Row-words of M or of a local read-out written in which some lane saturated."""
    STEPS = 19
    """Time steps run."""
    DROPPED = 20
    """Events that found the event buffer full; the link refuses such chunks, so this stays 0."""


TIMING_COUNTERS = (Counter.TRAIN_CYCLES, Counter.TEST_CYCLES)


def layer_register(layer: int, field: LayerReg) -> int:
    """Address of a layer's register; ``layer`` 0..2 hidden, READOUT_LAYER the read-out."""
    return LAYER + LAYER_STRIDE * layer + field


def network_registers(network: Network, limits: Limits, rule: Rule) -> dict[int, int]:
    """Register values that describe ``network`` to a device with ``limits``: address -> value.

    Raises NetworkError where the network does not fit.
    """
    values = {
        int(Reg.HIDDEN_LAYERS): len(network.hidden),
        int(Reg.STEPS): min(network.steps, limits.steps),
        int(Reg.CLASSES): network.classes,
        int(Reg.INPUTS): network.inputs,
        int(Reg.RULE): int(rule),
        int(Reg.INPUT): int(network.input),
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
        ):
            values[layer_register(slot, field)] = value
    return values
