"""Memory for tests of the declaration to synthesis that a word read while it is written is never used."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib.memory import Memory


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
