"""Credit selector: the sum of a neuron's filtered credits that a spike history selects, out of tables of sums."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.neurons.filter import fill_layout
from opzo.spec.formats import FILTERED, FRAME_CREDIT, HISTORY_STEPS
from opzo.spec.network import Limits

TABLE_STEPS = 3
"""Time steps of a table."""
ENTRIES = 1 << TABLE_STEPS
"""Sums of a table; a lane's tables are written in so many cycles."""
TABLE_SUM = signed(FILTERED.width + (TABLE_STEPS - 1).bit_length())
SUM_WIDTH = FILTERED.width + (HISTORY_STEPS - 1).bit_length()
LATENCY = 2
"""Cycles from a history to the sum that it selects."""
EXISTS_CYCLES = 2
"""Cycles from ``load_factor`` to the first history of the word."""
FILL_DELAY = 2
"""Cycles from the last filtered credit of a table until its first sum is announced."""


def tables(limits: Limits) -> int:
    """Tables of a lane of a device with ``limits``."""
    return -(-limits.steps // TABLE_STEPS)


class TableSums(wiring.Component):
    """All sums of up to TABLE_STEPS filtered credits, one after another, for the tables of a group's lanes.

    The credits of a lane come one a cycle, last time step first, those of the next lane ENTRIES cycles later at the
    earliest. Table n begins when the credit of its first step, TABLE_STEPS * n, has come, and counts its entries
    downwards: no credit is needed any more when that of the next lane comes.

    Parameters
    ----------
    limits : Limits
    size : int
        Lanes of the group.

    Members
    -------
    fill : In(fill_layout)
        As `Neurons` gives it out.
    table_lanes_N : Out(size), entry_N : Out(range(ENTRIES))
        For table N: FILL_DELAY cycles after its last credit, and ENTRIES cycles long, the lane that is to take a sum,
        and the sum's place: bit k tells whether step TABLE_STEPS * N + k is in it.
    sum_N : Out(signed)
        That sum, one cycle later.
    factor : Out(signed)
        That of the lane which takes the first sum of table 0, in the cycle in which it does.
    """

    fill: data.View
    factor: Signal

    def __init__(self, limits: Limits, size: int) -> None:
        self._steps, self._size, self._tables = limits.steps, size, tables(limits)
        super().__init__(
            {
                "fill": In(fill_layout(size)),
                "factor": Out(signed(FRAME_CREDIT.width)),
                **{f"table_lanes_{n}": Out(size) for n in range(self._tables)},
                **{f"entry_{n}": Out(range(ENTRIES)) for n in range(self._tables)},
                **{f"sum_{n}": Out(TABLE_SUM) for n in range(self._tables)},
            }
        )
        self.table_lanes = [getattr(self, f"table_lanes_{n}") for n in range(self._tables)]
        self.entry = [getattr(self, f"entry_{n}") for n in range(self._tables)]
        self.sum = [getattr(self, f"sum_{n}") for n in range(self._tables)]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for n in range(self._tables):
            self._table(m, n)
        with m.If(self.fill.valid & (self.fill.step == 0)):
            m.d.sync += self.factor.eq(self.fill.factor)
        return m

    def _table(self, m: Module, n: int) -> None:
        """Credits and sums of table ``n``."""
        begin, end = TABLE_STEPS * n, min(TABLE_STEPS * (n + 1), self._steps)
        credits = [Signal(signed(FILTERED.width), name=f"credit_{step}", reset_less=True) for step in range(begin, end)]
        for step, credit in enumerate(credits, begin):
            with m.If(self.fill.valid & (self.fill.step == step)):
                m.d.sync += credit.eq(self.fill.filtered)
        lanes, entry = Signal(self._size, name=f"lanes_{n}"), Signal(range(ENTRIES), name=f"next_entry_{n}")
        m.d.sync += entry.eq(entry - 1)
        with m.If(self.fill.valid & (self.fill.step == begin)):
            m.d.sync += [lanes.eq(1 << self.fill.lane), entry.eq(ENTRIES - 1)]
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
    """Sums of a neuron's filtered credits, double-buffered, and what a history selects.

    Each table has two halves: one is used while the other is filled. A sum over HISTORY_STEPS steps takes one read of
    each table. A lane that holds no neuron of the word selects nothing: its tables have what an earlier network left in
    the memory of the credits. Golden twins: ``opzo.sim.golden.credit.spike_update``, ``trace_update``.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    fill : In(1 a table), entry_N : In(range(ENTRIES)), sum_N : In(signed), factor : In(signed)
        Bit N: entry ``entry_N`` of table N is ``sum_N``. With the last entry of table 0 its ``factor``.
    load_factor, load : In(1)
        Strobes: ``active_factor``, and the tables, change to what was filled in, from the next cycle on.
    history : In(steps)
        Bit k selects E[k]; ``selected`` follows by LATENCY cycles.
    exists : In(1)
        With ``load_factor``, and EXISTS_CYCLES before each history: whether the lane holds a neuron of the word. If
        not, ``active_factor`` and ``selected`` are 0.
    active_factor : Out(signed)
        What a row's value or trace is multiplied with.
    selected : Out(signed)
    """

    fill: Signal
    factor: Signal
    load_factor: Signal
    load: Signal
    history: Signal
    exists: Signal
    active_factor: Signal
    selected: Signal

    def __init__(self, limits: Limits) -> None:
        self._tables = tables(limits)
        super().__init__(
            {
                "fill": In(self._tables),
                **{f"entry_{n}": In(range(ENTRIES)) for n in range(self._tables)},
                **{f"sum_{n}": In(TABLE_SUM) for n in range(self._tables)},
                "factor": In(signed(FRAME_CREDIT.width)),
                "load_factor": In(1),
                "load": In(1),
                "history": In(limits.steps),
                "exists": In(1),
                "active_factor": Out(signed(FRAME_CREDIT.width)),
                "selected": Out(signed(SUM_WIDTH)),
            }
        )
        self.entry = [getattr(self, f"entry_{n}") for n in range(self._tables)]
        self.sum = [getattr(self, f"sum_{n}") for n in range(self._tables)]

    @property
    def fill_ports(self) -> tuple[str, ...]:
        """Names of the ports through which the tables are filled."""
        return ("fill", "factor", *(f"{name}_{n}" for n in range(self._tables) for name in ("entry", "sum")))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        factor, active_factor = (
            Signal.like(self.factor, name=name, reset_less=True) for name in ("next_factor", "factor_in_use")
        )
        half = Signal(reset_less=True)
        m.d.sync += half.eq(half ^ self.load)
        with m.If(self.fill[0] & (self.entry[0] == ENTRIES - 1)):
            m.d.sync += factor.eq(self.factor)
        with m.If(self.load_factor):
            m.d.sync += active_factor.eq(Mux(self.exists, factor, 0))
        exists = Signal(EXISTS_CYCLES, reset_less=True)
        m.d.sync += exists.eq(Cat(self.exists, exists))

        sums = []
        for n in range(self._tables):
            table: memory.Memory = memory.Memory(shape=TABLE_SUM, depth=2 * ENTRIES, init=[])
            m.submodules[f"table_{n}"] = table
            read, write = table.read_port(domain="comb"), table.write_port()
            steps = self.history[TABLE_STEPS * n :][:TABLE_STEPS]
            chosen = Signal(TABLE_SUM, name=f"chosen_{n}", reset_less=True)
            m.d.comb += [
                write.addr.eq(Cat(self.entry[n], ~half)),
                write.data.eq(self.sum[n]),
                write.en.eq(self.fill[n]),
                read.addr.eq(Cat(steps, Signal(TABLE_STEPS - len(steps)), half)),
            ]
            m.d.sync += chosen.eq(Mux(exists[-1], read.data, 0))
            sums.append(chosen)
        selected = Signal.like(self.selected, reset_less=True)
        m.d.sync += selected.eq(sum(sums))
        m.d.comb += [self.selected.eq(selected), self.active_factor.eq(active_factor)]
        return m
