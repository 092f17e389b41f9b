"""State of the neurons of a group of lanes, in small memories with synchronous reads."""

from typing import Any

from amaranth import Array, Cat, Const, Module, Value, signed
from amaranth.hdl import ShapeLike
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from opzo.spec.formats import BLOCK_SUM, CREDIT, HISTORY_STEPS, MEMBRANE, SURROGATE_OFF
from opzo.spec.limits import Limits

STEP_BITS = (HISTORY_STEPS - 1).bit_length()


def potential(limits: Limits) -> data.StructLayout:
    """Layout of the membrane potential of a neuron after its last reset, MEMBRANE; in a device that learns also the
    noise sign of its last even step."""
    return data.StructLayout({"v": signed(MEMBRANE.width), **({"negative": 1} if limits.learning else {})})


def code(limits: Limits) -> data.StructLayout:
    """Layout of the spike code of a neuron and step: code of the surrogate derivative, and whether the neuron spiked;
    with convolutions also its noise sign of the pair's even step."""
    return data.StructLayout(
        {"surrogate": range(SURROGATE_OFF + 1), "spike": 1, **({"negative": 1} if limits.gradients else {})}
    )


def block_sums(limits: Limits) -> data.StructLayout:
    """Layout of the sums over the neurons of a block and lane, in a build with convolutions.

    - ``noise``: sum of the noise signs, +-1, of the even step of the pair.
    - ``spikes``: number of spikes.
    """
    bits = 2 * exact_log2(limits.block) + 1
    return data.StructLayout({"noise": signed(bits + 1), "spikes": bits})


def signs(limits: Limits, size: int) -> data.Layout:
    """Layout of the noise signs (of the even step of the pair) and the spikes of ``size`` lanes; with convolutions,
    array of `block_sums`."""
    if limits.gradients:
        return data.ArrayLayout(block_sums(limits), size)
    return data.StructLayout({"negatives": size, "spiked": size})


def neuron_address(size: int, words: int) -> data.StructLayout:
    """Layout of the address of a neuron in ``size`` lanes."""
    return data.StructLayout({"lane": range(size), "word": range(max(words, 2))})


def step_address(size: int, words: int) -> data.StructLayout:
    """Layout of the address of a neuron's value in one time step."""
    return data.StructLayout({"lane": range(size), "step": STEP_BITS, "word": range(max(words, 2))})


def word_step_address(words: int) -> data.StructLayout:
    """Layout of the address of a word in one time step."""
    return data.StructLayout({"step": STEP_BITS, "word": range(max(words, 2))})


class ReadSignature(wiring.Signature):
    """Read port of a memory, seen from its user.

    Members
    -------
    address : Out
    data : In
        Value before the write of the same cycle; the latency is the memory's.
    """

    def __init__(self, address: ShapeLike, value: ShapeLike) -> None:
        super().__init__({"address": Out(address), "data": In(value)})


class WriteSignature(wiring.Signature):
    """Write port of a memory, seen from its user: ``data`` to ``address`` in every cycle with ``en``."""

    def __init__(self, address: ShapeLike, value: ShapeLike) -> None:
        super().__init__({"en": Out(1), "address": Out(address), "data": Out(value)})


class MemorySignature(wiring.Signature):
    """Read and write port of a memory, seen from its user."""

    def __init__(self, address: ShapeLike, value: ShapeLike) -> None:
        self.read, self.write = ReadSignature(address, value), WriteSignature(address, value)
        super().__init__({"read": Out(self.read), "write": Out(self.write)})


def packed(address: data.View, steps: int, values: int) -> Value:
    """``address``, a value in one of ``steps`` time steps, in a memory of ``values`` values without gaps."""
    fields = {name: address[name] for name, _ in address.shape()}
    step = fields.pop("step")
    if steps.bit_count() == 1:
        return Cat(fields.pop("lane", Const(0, 0)), step[: exact_log2(steps)], *fields.values())
    # The values of a step follow each other.
    first: Value = Array(range(0, values, values // steps))[step]
    return first + Cat(*fields.values())


REGISTERED = ("code", "credit", "readout_credit")
"""Memories of `NeuronState` with a register behind the read port: read latency 2 cycles."""


def block_words(limits: Limits) -> int:
    """Words of feedback sums, credits, signs and spikes; without convolutions those of the neurons."""
    return limits.blocks if limits.gradients else limits.words


class StateSignatures:
    """Signatures of the memories of ``size`` lanes of a device with ``limits``; ``NeuronState`` describes them."""

    def __init__(self, limits: Limits, size: int) -> None:
        neuron, step = neuron_address(size, limits.words), step_address(size, limits.words)
        credit = signed(CREDIT.width)
        # A convolution stores its feedback sums in place of credits.
        stored = signed(BLOCK_SUM.width if limits.gradients else CREDIT.width)
        words = block_words(limits)
        self.membrane = MemorySignature(neuron, potential(limits))
        self.current = MemorySignature(neuron, signed(MEMBRANE.width))
        if not limits.learning:
            return
        self.code = MemorySignature(step, code(limits))
        self.signs = MemorySignature(word_step_address(words), signs(limits, size))
        self.credit = MemorySignature(step_address(size, words), stored)
        self.readout_credit = MemorySignature(step_address(size, limits.readout_words), credit)


class NeuronState(wiring.Component):
    """Membrane potentials, input currents, spike codes and credits of the neurons of ``size`` lanes.

    A value that is read in the cycle in which it is written must not be used; synthesis relies on that
    (`opzo.boards.families.flow`). In a build with convolutions the memories have room for ``limits.steps`` time steps.
    A device that only infers has the potentials and the input currents.

    Parameters
    ----------
    limits : Limits
    size : int
        Lanes of the group.

    Members
    -------
    membrane : In(MemorySignature)
        `potential` by ``neuron_address``. Read latency 1 cycle.
    current : In(MemorySignature)
        Stored input current of a neuron of the first hidden layer, MEMBRANE, by ``neuron_address``. Read latency 1.
    code : In(MemorySignature)
        `code` by ``step_address``. Read latency 2: the shift of a credit by its code needs most of a cycle.
    signs : In(MemorySignature)
        Noise signs and spikes of all lanes by ``word_step_address``. Read latency 1. With convolutions the words are
        block words, and another read port, ``sums``, serves their addition.
    credit : In(MemorySignature)
        Credit of a hidden neuron, CREDIT, by ``step_address``. Read latency 2. With convolutions by block word; those
        store their feedback sums here, BLOCK_SUM.
    readout_credit : In(MemorySignature)
        Credit of a readout neuron, CREDIT, by ``step_address`` with words of readout neurons. Read latency 2.
    """

    membrane: Any
    current: Any
    code: Any
    signs: Any
    sums: Any
    credit: Any
    readout_credit: Any

    def __init__(self, limits: Limits, size: int) -> None:
        signatures = StateSignatures(limits, size)
        ports = {name: In(signature) for name, signature in vars(signatures).items()}
        self._adds = limits.gradients > 0 and limits.learning
        super().__init__(ports | ({"sums": In(signatures.signs.read)} if self._adds else {}))
        by_neuron, words = limits.words * size, block_words(limits)
        self._steps = steps = limits.steps if self._adds else HISTORY_STEPS
        self._depths = {"membrane": by_neuron, "current": limits.stored_currents * size}
        if not limits.learning:
            return
        self._depths |= {
            "code": by_neuron * steps,
            "signs": words * steps,
            "credit": words * size * steps,
            "readout_credit": limits.readout_words * size * steps,
        }

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, depth in self._depths.items():
            ports = getattr(self, name)
            read, write = self.add_memory(m, name, ports.write.signature.members["data"].shape, depth)
            m.d.comb += [
                read.addr.eq(self._packed(ports.read.address, depth)),
                write.addr.eq(self._packed(ports.write.address, depth)),
                write.data.eq(ports.write.data),
                write.en.eq(ports.write.en),
            ]
            domain = m.d.sync if name in REGISTERED else m.d.comb
            domain += ports.read.data.eq(read.data)
        if self._adds:
            # Another copy of the same memory.
            signs = self.signs.write
            depth = self._depths["signs"]
            read, write = self.add_memory(m, "sums", signs.signature.members["data"].shape, depth)
            m.d.comb += [
                read.addr.eq(self._packed(self.sums.address, depth)),
                self.sums.data.eq(read.data),
                write.addr.eq(self._packed(signs.address, depth)),
                write.data.eq(signs.data),
                write.en.eq(signs.en),
            ]
        return m

    def _packed(self, address: data.View, depth: int) -> Value:
        """Address in a memory of ``depth`` values."""
        return packed(address, self._steps, depth) if "step" in dict(address.shape()) else address.as_value()

    def add_memory(self, m: Module, name: str, shape: ShapeLike, depth: int) -> tuple[Any, Any]:
        """Read and write port of a new memory of ``depth`` values of ``shape``, submodule ``name`` of ``m``."""
        unit: memory.Memory = memory.Memory(shape=shape, depth=depth, init=[])
        m.submodules[name] = unit
        # Ports have the names of the variables.
        read = unit.read_port()
        write = unit.write_port()
        return read, write
