"""Memories for tests of the declaration to synthesis that a word read while it is written is never used."""

from types import SimpleNamespace

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.memory import Memory

from opzo.hw.lib import primitives
from opzo.hw.lib.primitives import Primitives
from opzo.hw.lib.row_memory import READ_LATENCY, RowMemory
from opzo.hw.neurons.neuron_state import NeuronState


class CollidingMemory(Memory):
    """Return garbage for a word that is written in the cycle in which it is read, as block RAM may."""

    def elaborate(self, platform):
        m = Module()
        inner = Memory(shape=len(Value.cast(self.read_ports[0].data)), depth=self.depth, init=[])
        m.submodules.inner = inner
        (theirs,) = self.write_ports
        write = inner.write_port()
        m.d.comb += [write.addr.eq(theirs.addr), write.data.eq(Value.cast(theirs.data)), write.en.eq(theirs.en)]
        for port in self.read_ports:
            read, collided = inner.read_port(), Signal()
            m.d.sync += collided.eq(theirs.en & (theirs.addr == port.addr))
            m.d.comb += [read.addr.eq(port.addr), Value.cast(port.data).eq(Mux(collided, ~read.data, read.data))]
        return m


class CollidingRows(RowMemory):
    """Gives nonsense for a row that is written in the cycle in which it is read, as block RAM may."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        collided = Signal(READ_LATENCY)
        m.d.sync += collided.eq(Cat(self.write_en & (self.read_address == self.write_address), collided[:-1]))
        with m.If(collided[-1]):
            m.d.comb += self.read_data.eq(int("5A" * len(self.read_data), 16))
        return m


def colliding_ports(state, m, name, shape, depth, add=NeuronState.add_memory):
    """Likewise for the memories of the neurons' state."""
    read, write = add(state, m, name, shape, depth)
    collided = Signal()
    m.d.sync += collided.eq(write.en & (write.addr == read.addr))
    word = Value.cast(read.data)
    given = Signal(len(word), name=f"{name}_given")
    m.d.comb += given.eq(Mux(collided, ~word, word))
    return SimpleNamespace(addr=read.addr, data=type_of(shape, given)), write


def type_of(shape, bits):
    return shape(bits) if isinstance(shape, data.Layout) else bits.as_signed()


class Colliding(Primitives):
    def row_memory(self, rows, width, contents=None):
        assert contents is None
        return CollidingRows(rows, width)


def collide(monkeypatch, *modules):
    """Let the weight memory, the neurons' state and the memories of ``modules`` collide in cores from now on."""
    monkeypatch.setattr(primitives, "GENERIC", Colliding())
    monkeypatch.setattr(NeuronState, "add_memory", colliding_ports)
    for module in modules:
        monkeypatch.setattr(module, "Memory", CollidingMemory)
