"""Credit selector: the sum of a neuron's filtered credits that a spike history selects, read from tables of sums."""

import math
from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.neurons.credit_filter import filtered_credit
from opzo.hw.timing import EXISTS_CYCLES
from opzo.spec.formats import FILTERED, FRAME_CREDIT, HISTORY_STEPS
from opzo.spec.limits import Limits

TABLE_STEPS = 3
"""Time steps of a table."""
ENTRIES = 1 << TABLE_STEPS
"""Sums in a table: one for each choice of its time steps. Writing a lane's tables takes as many cycles."""
TABLE_SUM = signed(FILTERED.width + (TABLE_STEPS - 1).bit_length())
SUM_WIDTH = FILTERED.width + (HISTORY_STEPS - 1).bit_length()


def tables(limits: Limits) -> int:
    """Tables of a lane of a device with ``limits``."""
    return math.ceil(limits.steps / TABLE_STEPS)


class TableWriteSignature(wiring.Signature):
    """Write port of a lane's tables, seen from its user.

    Members
    -------
    en : Out(1 per table)
        Bit n: write table n.
    entry : Out, array by table
        Entry to write. Bit k is set where the sum includes time step TABLE_STEPS * n + k.
    sum : Out(signed), array by table
        Sum of the filtered credits of these steps.
    factor : Out(signed)
        Credit factor of the lane, with the first write to table 0, that of its last entry.
    """

    def __init__(self, limits: Limits) -> None:
        count = tables(limits)
        super().__init__(
            {
                "en": Out(count),
                "entry": Out(range(ENTRIES)).array(count),
                "sum": Out(TABLE_SUM).array(count),
                "factor": Out(signed(FRAME_CREDIT.width)),
            }
        )


class TableSums(wiring.Component):
    """All sums of up to TABLE_STEPS filtered credits, one per cycle, for the tables of a group's lanes.

    The credits of a lane come one per cycle, last time step first; those of the next lane at least ENTRIES cycles after
    them. The sums of table n start once the credit of its first step, TABLE_STEPS * n, is there, and its entries count
    down, so they are done before the next lane's credits replace those of this lane.

    Parameters
    ----------
    limits : Limits
    size : int
        Lanes of the group.

    Members
    -------
    filtered : In(filtered_credit)
    table_lanes : Out(size), array by table
        One-hot lane that takes a sum: for ENTRIES cycles, from TABLE_DELAY cycles after the table's last credit on.
    entry : Out, array by table
        With ``table_lanes``: entry of the sum, as in `TableWriteSignature`.
    sum : Out(signed), array by table
        The sum, one cycle later.
    factor : Out(signed)
        Credit factor of the lane that takes the first sum of table 0, in the cycle of that sum.
    """

    filtered: data.View
    table_lanes: Any
    entry: Any
    sum: Any
    factor: Signal

    def __init__(self, limits: Limits, size: int) -> None:
        self._steps, self._size, self._tables = limits.steps, size, tables(limits)
        super().__init__(
            {
                "filtered": In(filtered_credit(size)),
                "table_lanes": Out(size).array(self._tables),
                "entry": Out(range(ENTRIES)).array(self._tables),
                "sum": Out(TABLE_SUM).array(self._tables),
                "factor": Out(signed(FRAME_CREDIT.width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for n in range(self._tables):
            self._add_table(m, n)
        with m.If(self.filtered.valid & (self.filtered.step == 0)):
            m.d.sync += self.factor.eq(self.filtered.factor)
        return m

    def _add_table(self, m: Module, n: int) -> None:
        """Registers of the credits of table ``n``, and its sums."""
        begin, end = TABLE_STEPS * n, min(TABLE_STEPS * (n + 1), self._steps)
        credits = [Signal(signed(FILTERED.width), name=f"credit_{step}", reset_less=True) for step in range(begin, end)]
        for step, credit in enumerate(credits, begin):
            with m.If(self.filtered.valid & (self.filtered.step == step)):
                m.d.sync += credit.eq(self.filtered.credit)
        lanes = Signal(self._size, name=f"lanes_{n}")
        entry = Signal(range(ENTRIES), name=f"next_entry_{n}")
        m.d.sync += entry.eq(entry - 1)
        with m.If(self.filtered.valid & (self.filtered.step == begin)):
            m.d.sync += [lanes.eq(1 << self.filtered.lane), entry.eq(ENTRIES - 1)]
        with m.Elif(entry == 0):
            m.d.sync += lanes.eq(0)
        chosen = [Mux(entry[k], credit, 0) for k, credit in enumerate(credits)]
        low = Signal(signed(FILTERED.width + 1), name=f"low_{n}", reset_less=True)
        high = Signal(signed(FILTERED.width), name=f"high_{n}", reset_less=True)
        m.d.sync += [
            low.eq(sum(chosen[:2])),
            high.eq(sum(chosen[2:])),
            self.sum[n].eq(low + high),
            self.table_lanes[n].eq(lanes),
            self.entry[n].eq(entry),
        ]


class CreditSelector(wiring.Component):
    """Sum of a neuron's filtered credits that a history selects, from double-buffered tables.

    Each table has two halves: one is read while the other is written. A sum over HISTORY_STEPS steps takes one read of
    each table. A lane without a neuron in the word selects nothing: its tables hold values that an earlier network left
    in the credit memory. Golden twins: ``opzo.sim.golden.credit.spike_update``, ``trace_update``.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    write : In(TableWriteSignature)
        Writes to the half that is not read.
    take_factor, take_tables : In(1)
        Strobes: from the next cycle on, ``active_factor`` is the factor that was written, and the halves are swapped.
    history : In(steps)
        Bit k selects the filtered credit E[k].
    exists : In(1)
        With ``take_factor``, and EXISTS_CYCLES before each history: the lane holds a neuron of the word.
    active_factor : Out(signed)
        Credit factor: multiplied by a row's value or trace. 0 where the lane holds no neuron.
    selected : Out(signed)
        SELECT_CYCLES after ``history``. 0 where the lane holds no neuron.
    """

    write: Any
    take_factor: Signal
    take_tables: Signal
    history: Signal
    exists: Signal
    active_factor: Signal
    selected: Signal

    def __init__(self, limits: Limits) -> None:
        self._tables = tables(limits)
        super().__init__(
            {
                "write": In(TableWriteSignature(limits)),
                "take_factor": In(1),
                "take_tables": In(1),
                "history": In(limits.steps),
                "exists": In(1),
                "active_factor": Out(signed(FRAME_CREDIT.width)),
                "selected": Out(signed(SUM_WIDTH)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        factor, active_factor = (
            Signal.like(self.active_factor, name=name, reset_less=True) for name in ("next_factor", "factor_in_use")
        )
        half = Signal(reset_less=True)
        m.d.sync += half.eq(half ^ self.take_tables)
        with m.If(self.write.en[0] & (self.write.entry[0] == ENTRIES - 1)):
            m.d.sync += factor.eq(self.write.factor)
        with m.If(self.take_factor):
            m.d.sync += active_factor.eq(Mux(self.exists, factor, 0))
        exists = Signal(EXISTS_CYCLES, reset_less=True)
        m.d.sync += exists.eq(Cat(self.exists, exists))

        sums = []
        for n in range(self._tables):
            table: memory.Memory = memory.Memory(shape=TABLE_SUM, depth=2 * ENTRIES, init=[])
            m.submodules[f"table_{n}"] = table
            read = table.read_port(domain="comb")
            write = table.write_port()
            steps = self.history[TABLE_STEPS * n :][:TABLE_STEPS]
            chosen = Signal(TABLE_SUM, name=f"chosen_{n}", reset_less=True)
            m.d.comb += [
                write.addr.eq(Cat(self.write.entry[n], ~half)),
                write.data.eq(self.write.sum[n]),
                write.en.eq(self.write.en[n]),
                read.addr.eq(Cat(steps, Const(0, TABLE_STEPS - len(steps)), half)),
            ]
            m.d.sync += chosen.eq(Mux(exists[-1], read.data, 0))
            sums.append(chosen)
        selected = Signal.like(self.selected, reset_less=True)
        m.d.sync += selected.eq(sum(sums))
        m.d.comb += [self.selected.eq(selected), self.active_factor.eq(active_factor)]
        return m
