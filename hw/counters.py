"""Statistics counters."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from opzo.spec.registers import COUNTER_BITS, Counter

INCREMENT_BITS = 2
INDEX_BITS = 6
HALF_BITS = 32
INCREMENTS = data.ArrayLayout(INCREMENT_BITS, len(Counter))
SETTLE_CYCLES = len(Counter) + 3
"""From an increment or ``clear`` to the cycle in which every counter can be read."""


def counted(*counters: Counter) -> data.StructLayout:
    """What a unit counts: one bit for each of ``counters``, by name, high in a cycle that counts."""
    return data.StructLayout({counter.name.lower(): 1 for counter in counters})


class Counters(wiring.Component):
    """Count events in one memory; each counter collects its increments in a few bits until its turn.

    Golden twin: ``opzo.sim.golden.counters.Counters``. One adder serves all counters in turn: 48 bits of registers for
    each would cost more than the error unit. Memory word: count, COUNTER_BITS; address: Counter. A reset loses only
    the increments that are still being collected.

    Members
    -------
    increment : In(INCREMENTS)
        Added in every cycle, 0 to 3 for each counter.
    clear : In(1)
        Strobe: set all counters to 0; increments of the same cycle are lost.
    index : In(6), half : In(1)
        Counter, and half: 0 for its low 32 bits, 1 for the rest. ``data`` is valid one cycle later, exact while not
        ``busy``; 0 for an index that is no counter.
    busy : Out(1)
        Something was counted or cleared in the last SETTLE_CYCLES cycles; rises in the next cycle.
    """

    increment: In(INCREMENTS)
    clear: In(1)
    index: In(INDEX_BITS)
    half: In(1)
    data: Out(HALF_BITS)
    busy: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Memory = Memory(shape=COUNTER_BITS, depth=1 << INDEX_BITS, init=[])
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()
        turn_read = memory.read_port()
        high = Signal(reset_less=True)
        m.d.sync += high.eq(self.half)
        m.d.comb += [
            read.addr.eq(self.index),
            self.data.eq(Mux(high, read.data[HALF_BITS:], read.data[:HALF_BITS])),
        ]

        # Increments of one round: each counter has its turn every len(Counter) cycles.
        width = bits_for(len(Counter) * ((1 << INCREMENT_BITS) - 1))
        collected = Array(Signal(width, name=f"collected_{counter.name.lower()}") for counter in Counter)
        turn = Signal(range(len(Counter)))
        m.d.sync += turn.eq(Mux(turn == len(Counter) - 1, 0, turn + 1))
        for counter in Counter:
            kept = Mux(self.clear | (turn == counter), 0, collected[counter])
            m.d.sync += collected[counter].eq(kept + Mux(self.clear, 0, self.increment[counter]))

        # After a clear the next turn of each counter starts from 0.
        settling = Signal(range(SETTLE_CYCLES))
        clearing = Signal(range(len(Counter) + 1))
        with m.If(self.clear | self.increment.as_value().any()):
            m.d.sync += settling.eq(SETTLE_CYCLES - 1)
        with m.Elif(settling != 0):
            m.d.sync += settling.eq(settling - 1)
        with m.If(self.clear):
            m.d.sync += clearing.eq(len(Counter))
        with m.Elif(clearing != 0):
            m.d.sync += clearing.eq(clearing - 1)
        m.d.comb += self.busy.eq(settling != 0)

        # Stage 1: count at the memory's output; stage 2: in a register, sum is written.
        turns = [Signal.like(turn, name=f"turn_{n}", reset_less=True) for n in range(2)]
        amounts = [Signal(width, name=f"amount_{n}", reset_less=True) for n in range(2)]
        from_zero = Signal(reset_less=True)
        valid = Signal(2)
        count = Signal(COUNTER_BITS, reset_less=True)
        m.d.comb += turn_read.addr.eq(turn)
        m.d.sync += [
            turns[0].eq(turn),
            turns[1].eq(turns[0]),
            amounts[0].eq(collected[turn]),
            amounts[1].eq(amounts[0]),
            from_zero.eq(clearing != 0),
            count.eq(Mux(from_zero, 0, turn_read.data)),
            valid.eq(valid << 1 | 1),
        ]
        m.d.comb += [write.addr.eq(turns[1]), write.data.eq(count + amounts[1]), write.en.eq(valid[1])]
        return m
