"""Readouts of the present time step, and their differences from the step before."""

from typing import Any

from amaranth import Cat, Const, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from opzo.hw.error.ports import DIFFERENCE_BITS
from opzo.hw.error.readout_intake import ClassReadoutSignature, Stage, pipeline
from opzo.spec.formats import HISTORY_STEPS, MEMBRANE
from opzo.spec.limits import Limits


class ReadoutMemory(wiring.Component):
    """Store the readouts of two steps, one that comes in and one that is used, and at odd steps o[t-1] - o[t].

    Three memories. Readouts: word MEMBRANE, address half, class. Last readouts: word MEMBRANE, address class.
    Differences: word in the same unit, address class. With convolutions those two have a half for the network and one
    for the intermediate readout, and differences are kept for each pair of steps: Feedback of a step comes long after
    the intermediate readout. A device that only infers has the first memory and no differences.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    readout : In(ClassReadoutSignature)
    odd, kept : In(1)
        Compute differences from the last readouts; the readouts are the network's or the intermediate ones, others have
        no differences. Stable over the step, and two cycles longer.
    intermediate : In(1), step : In
        With convolutions: the readouts are not the network's; time step. Stable as those.
    taken : In(1)
        Strobe, not before the last readout of a step: from the next cycle on its readouts are used, until the next
        strobe.
    index : In
        Class whose readout ``stored`` is valid two cycles later. A readout can be read two cycles after it came.
    difference_index, difference_step, difference_intermediate : In
        Class, odd step and readout whose ``difference`` is valid one cycle later. It can be read three cycles after the
        readout came. Without convolutions it is that of the last odd step.
    """

    readout: Any
    odd: Signal
    kept: Signal
    intermediate: Signal
    step: Signal
    taken: Signal
    index: Signal
    stored: Signal
    difference_index: Signal
    difference_step: Signal
    difference_intermediate: Signal
    difference: Signal

    def __init__(self, limits: Limits) -> None:
        self.class_bits = limits.class_bits
        self._convolves, self._learning = limits.gradients > 0, limits.learning
        super().__init__(
            {
                "readout": In(ClassReadoutSignature(self.class_bits)),
                "odd": In(1),
                "kept": In(1),
                "intermediate": In(1),
                "step": In(range(HISTORY_STEPS)),
                "taken": In(1),
                "index": In(self.class_bits),
                "stored": Out(signed(MEMBRANE.width)),
                "difference_index": In(self.class_bits),
                "difference_step": In(range(HISTORY_STEPS)),
                "difference_intermediate": In(1),
                "difference": Out(signed(DIFFERENCE_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = 1 << self.class_bits
        readouts: Memory = Memory(shape=signed(MEMBRANE.width), depth=2 * depth, init=[])
        m.submodules.readouts = readouts
        write = readouts.write_port()
        read = readouts.read_port()
        new, stored, subtracted = pipeline(m, self.readout.valid, self.readout, 2)
        half = Signal(reset_less=True)
        stored_half = Signal(reset_less=True)
        # The last readout may be on its way to the memory when the step is taken.
        m.d.sync += [
            half.eq(half ^ self.taken),
            stored_half.eq(half),
            self.stored.eq(read.data),
        ]
        m.d.comb += [
            read.addr.eq(Cat(self.index, ~half)),
            write.addr.eq(Cat(stored.class_, stored_half)),
            write.data.eq(stored.value),
            write.en.eq(stored.valid),
        ]
        if self._learning:
            self._subtract(m, new, stored, subtracted)
        return m

    def _subtract(self, m: Module, new: Stage, stored: Stage, subtracted: Stage) -> None:
        """Keep the last readouts, and the differences from them."""
        depth, convolves = 1 << self.class_bits, self._convolves
        last_readouts: Memory = Memory(shape=signed(MEMBRANE.width), depth=depth << convolves, init=[])
        pairs = HISTORY_STEPS // 2 if convolves else 1
        differences: Memory = Memory(shape=signed(DIFFERENCE_BITS), depth=pairs * depth << convolves, init=[])
        m.submodules.last_readouts, m.submodules.differences = last_readouts, differences
        last_write = last_readouts.write_port()
        last_read = last_readouts.read_port()
        difference_write = differences.write_port()
        difference_read = differences.read_port()
        last = Signal(signed(MEMBRANE.width), reset_less=True)
        m.d.sync += last.eq(last_read.data)
        # Either may be the second step of a pair, but all are of the same parity.
        none = Const(0, 0)
        of, pair = (self.intermediate, self.step[1:]) if convolves else (none, none)
        asked = Cat(self.difference_step[1:], self.difference_intermediate) if convolves else none
        m.d.comb += [
            # The old readout is read one cycle before the new one is stored.
            last_read.addr.eq(Cat(new.class_, of)),
            last_write.addr.eq(Cat(stored.class_, of)),
            last_write.data.eq(stored.value),
            last_write.en.eq(stored.valid & self.kept),
            difference_write.addr.eq(Cat(subtracted.class_, pair, of)),
            difference_write.data.eq(last - subtracted.value),
            difference_write.en.eq(subtracted.valid & self.odd & self.kept),
            difference_read.addr.eq(Cat(self.difference_index, asked)),
            self.difference.eq(difference_read.data),
        ]
