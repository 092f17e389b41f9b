"""Gradient accumulators of the lanes of a group."""

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib import enum as hdl_enum
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from opzo.hw.lanes.selector import SUM_WIDTH
from opzo.hw.lib.record import record
from opzo.hw.lib.saturate import Saturate
from opzo.spec.formats import GRADIENT
from opzo.spec.geometry import CELL_BITS
from opzo.spec.limits import Limits

UPDATE_WIDTH = SUM_WIDTH + 1
"""Bits of the update of a weight, before it is multiplied by the neurons of a cell."""
HALF = GRADIENT.width // 2
"""Bits of a gradient that the host moves at a time."""


class Change(hdl_enum.Enum, shape=2):
    """What becomes of a row-word of gradients."""

    ADD = 0
    """The updates are added, saturated."""
    CLEAR = 1
    """0."""
    LOW = 2
    """The lower halves become those of the updates."""
    HIGH = 3
    """The upper halves become the lower halves of the updates."""


def change_layout(limits: Limits) -> data.StructLayout:
    """One change of a row-word; ``cell``: the updates to be added count as often as a cell of a pool has neurons."""
    return data.StructLayout({"valid": 1, "address": range(max(limits.gradients, 2)), "change": Change, "cell": 1})


class GradientAccumulators(wiring.Component):
    """Gradients of ``limits.lanes_per_group`` lanes: read, change and write one row-word a cycle.

    A row-word may change in any cycles, also in consecutive ones, as rows do behind a pool, where the neurons of a cell
    share a row. Memory word: gradients, the first lane's lowest. Golden twins:
    ``_accumulate`` and ``_apply_gradients`` of ``opzo.sim.golden.learn``.

    Parameters
    ----------
    limits : Limits
        With ``gradients`` row-words.

    Members
    -------
    change : In(change_layout)
    update : In(array of lanes, signed)
        GRADIENT_CYCLES after ``change``.
    gradient : Out(array of lanes, signed)
        What the change found; GRADIENT_CYCLES after ``change``.
    saturated : Out(1)
        A sum of some lane saturated; one cycle after ``gradient``.
    """

    change: data.View
    update: data.View
    gradient: data.View
    saturated: Signal

    def __init__(self, limits: Limits) -> None:
        if not limits.gradients:
            raise ValueError("a device without convolutions has no gradients")
        self._limits = limits
        lanes = limits.lanes_per_group
        super().__init__(
            {
                "change": In(change_layout(limits)),
                "update": In(data.ArrayLayout(signed(UPDATE_WIDTH), lanes)),
                "gradient": Out(data.ArrayLayout(signed(GRADIENT.width), lanes)),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = self.gradient.shape()
        memory: Memory = Memory(shape=layout.size, depth=self._limits.gradients, init=[])
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()
        # Stages: 0 change, 1 reading: old word at the memory's output, GRADIENT_CYCLES writing, then written.
        reading, writing, written = (record(self.change.shape(), name) for name in ("reading", "writing", "written"))
        old, new, new_1, new_2 = (record(layout, name, reset_less=True) for name in ("old", "new", "new_1", "new_2"))
        # What stage 0 read was too old if one of the two changes before is of the same row: the first of them was not
        # written yet, the second is written in the same cycle. So a word that is read while it is written is never
        # used, which the synthesis script relies on.
        same_1 = Signal(reset_less=True)
        same_2 = Signal(reset_less=True)
        m.d.sync += [
            reading.eq(self.change),
            writing.eq(reading),
            written.eq(writing),
            old.eq(read.data),
            same_1.eq(writing.valid & (reading.address == writing.address)),
            same_2.eq(written.valid & (reading.address == written.address)),
            new_1.eq(new),
            new_2.eq(new_1),
        ]
        m.d.comb += [
            self.gradient.eq(Mux(same_1, new_1, Mux(same_2, new_2, old))),
            read.addr.eq(self.change.address),
            write.addr.eq(writing.address),
            write.data.eq(new),
            write.en.eq(writing.valid),
        ]
        saturated = [
            self._change(m, lane, writing, self.update[lane], self.gradient[lane], new[lane])
            for lane in range(self._limits.lanes_per_group)
        ]
        m.d.sync += self.saturated.eq(writing.valid & (writing.change == Change.ADD) & Cat(saturated).any())
        return m

    def _change(self, m: Module, lane: int, writing: data.View, update: Value, gradient: Value, new: Value) -> Value:
        """New gradient of a lane; whether the sum saturated."""
        m.submodules[f"saturate_{lane}"] = saturate = Saturate(GRADIENT.width + 1, GRADIENT.width)
        m.d.comb += saturate.i.eq(gradient + Mux(writing.cell, update << CELL_BITS, update))
        with m.Switch(writing.change):
            with m.Case(Change.ADD):
                m.d.comb += new.eq(saturate.o)
            with m.Case(Change.LOW):
                m.d.comb += new.eq(Cat(update[:HALF], gradient[HALF:]))
            with m.Case(Change.HIGH):
                m.d.comb += new.eq(Cat(gradient[:HALF], update[:HALF]))
        return saturate.saturated
