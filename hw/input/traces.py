"""Presynaptic traces: spikes of inputs or hidden neurons before and in this run, and lists of the active ones."""

from amaranth import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from opzo.hw.input.map_scan import MapScan, scan_layout, scanned_layout
from opzo.hw.lib.check import check
from opzo.hw.lib.record import record
from opzo.hw.timing import TRACE_SETTLE
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.geometry import CELL

STEPS_BITS = HISTORY_STEPS.bit_length()
ENTRY = data.StructLayout({"history": HISTORY_STEPS, "trace": HISTORY_STEPS})
"""Entry of a row: history (for graded inputs the value) of this run, and trace of the time before it."""


class Traces(wiring.Component):
    """Keep a trace and a history for each row, and lists of the rows whose trace or history is not 0.

    Two memories. Entries: word ENTRY, address ``base`` of the layer + row. Lists: word row, address ``base`` + index,
    so that each layer has room for all its rows. Rows that are not in a list have entry 0. Golden twin:
    ``opzo.sim.golden.traces``.

    A mark is a read-modify-write in 4 cycles; one mark per cycle, also of the same row in consecutive cycles. ``begin``
    starts a walk through the lists, one row per cycle: traces advance by the run before, histories become 0, rows with
    entry 0 leave the list. After a reset, and on ``clear``, a walk through all entries sets them to 0. A scan goes
    through all rows of the layers that are maps, and brings their lists into the order of positions.

    Parameters
    ----------
    bits : int
        Bits of an address.
    layers : int
    rows : int
        Depth of both memories; 0: all addresses.
    scans : bool
        Whether there are scans.

    Members
    -------
    base : In(array of layers)
        First entry of each layer; constant from ``clear`` to ``clear``.
    begin : In(1), fresh : In(1), graded : In(1), steps : In(4)
        Strobe, while not ``busy``: a run begins. ``steps``: time steps of the run before; ``fresh``: forget all earlier
        spikes; ``graded``: histories are values of inputs. All are stable while ``busy``.
    clear : In(1)
        Strobe, ignored while ``walking``.
    scan : In(1), maps : In(array of scan_layout)
        Strobe, while not ``busy``; ``maps`` are constant while ``busy``.
    mark : In({valid, layer, row, bits})
        Strobe, while not ``walking``: bits are or-ed into the history of a row.
    first : Out({valid, layer})
        Strobe: a mark was the first of its row in this run.
    walking : Out(1)
        Entries are not yet those of this run; rises the cycle after ``begin`` or ``clear``.
    busy : Out(1)
        Walking, or a mark is under way.
    list_index : In, row : Out
        Row in a list (at an index with the base of its layer added), one cycle later; only while not ``busy``.
    ends_layer : Out, ends : Out({en, place, count})
        In a scan: rows of the layer's list before the end of a position, or of a cell where a pool follows.
    part_ends : Out(array)
        Rows before the ends of the first parts of the map that was scanned by parts.
    index : In, entry : Out(ENTRY)
        Entry of a row (with the base added), two cycles later; only while not ``busy``.
    counts : Out(array of layers)
        Rows in each list, while not ``busy``.
    """

    base: data.View
    begin: Signal
    fresh: Signal
    graded: Signal
    steps: Signal
    clear: Signal
    mark: data.View
    first: data.View
    walking: Signal
    busy: Signal
    list_index: Signal
    row: Signal
    scan: Signal
    maps: data.View
    ends_layer: Signal
    ends: data.View
    part_ends: data.View
    index: Signal
    entry: data.View
    counts: data.View

    def __init__(self, bits: int, layers: int, *, rows: int = 0, scans: bool = False) -> None:
        self._bits, self._layers, self._scans = bits, layers, scans
        self._rows = rows or 1 << bits
        self._layer = layer = range(max(layers, 2))
        scanned = scanned_layout(bits)
        self._operation = data.StructLayout(
            {
                **dict.fromkeys(("valid", "walk", "wipe", "scan"), 1),
                "layer": layer,
                "row": bits,
                "address": bits,
                "bits": HISTORY_STEPS,
                **{name: scanned[name].shape for name in ("ends", "place", "ends_part", "part")},
            }
        )
        super().__init__(
            {
                "base": In(data.ArrayLayout(bits, layers)),
                "begin": In(1),
                "fresh": In(1),
                "graded": In(1),
                "steps": In(STEPS_BITS),
                "clear": In(1),
                "mark": In(data.StructLayout({"valid": 1, "layer": layer, "row": bits, "bits": HISTORY_STEPS})),
                "first": Out(data.StructLayout({"valid": 1, "layer": layer})),
                "walking": Out(1),
                "busy": Out(1),
                "list_index": In(bits),
                "row": Out(bits),
                "scan": In(1),
                "maps": In(data.ArrayLayout(scan_layout(), layers)),
                "ends_layer": Out(layer),
                "ends": Out(data.StructLayout({"en": 1, "place": scanned["place"].shape, "count": bits + 1})),
                "part_ends": Out(data.ArrayLayout(bits + 1, CELL - 1)),
                "index": In(bits),
                "entry": Out(ENTRY),
                "counts": Out(data.ArrayLayout(bits + 1, layers)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lists: Memory = Memory(shape=self._bits, depth=self._rows, init=[])
        m.submodules.lists = lists
        list_write = lists.write_port()
        list_read = lists.read_port()
        bases = Array(self.base[n] for n in range(self._layers))
        counts = Array(Signal(self._bits + 1, name=f"count_{n}") for n in range(self._layers))

        # A walk asks for a row of a list, or for an entry, each cycle.
        asked = record(self._operation, "asked")
        read, fetched = record(self._operation, "read"), record(self._operation, "fetched")
        layer = Signal(self._layer)
        index = Signal(self._bits)
        left = Signal(self._bits + 1)
        # The walk itself, and the cycles until its last row is in a list, but for one.
        walking = Signal()
        begins = Signal()
        settling = Signal(TRACE_SETTLE - 1)
        # After a reset the unit wipes.
        any_walking = Signal(init=1)
        m.d.comb += [
            asked.layer.eq(layer),
            asked.address.eq(index),
            self.walking.eq(any_walking),
            [self.counts[n].eq(counts[n]) for n in range(self._layers)],
        ]
        m.d.sync += [
            read.eq(asked),
            fetched.eq(read),
            settling.eq(settling << 1 | walking),
            any_walking.eq(begins | walking | settling.any()),
        ]
        with m.If(~read.scan):
            m.d.sync += fetched.row.eq(list_read.data)
        with m.FSM() as fsm:
            with m.State("WIPE"):
                m.d.comb += [asked.valid.eq(1), asked.wipe.eq(1)]
                m.d.sync += [index.eq(index + 1), *(count.eq(0) for count in counts)]
                with m.If(index == self._rows - 1):
                    m.next = "IDLE"
            with m.State("IDLE"):
                m.d.comb += begins.eq(self.clear | self.begin | (self.scan if self._scans else 0))
                m.d.sync += [layer.eq(0), index.eq(0)]
                with m.If(self.clear):
                    m.next = "WIPE"
                with m.Elif(self.begin):
                    m.next = "START"
                if self._scans:
                    with m.Elif(self.scan):
                        m.next = "SCAN_START"
            with m.State("START"):
                # Rows that stay are appended to the emptied list, behind the place that is read.
                m.d.sync += [left.eq(counts[layer]), index.eq(0), counts[layer].eq(0)]
                m.next = "WALK"
            with m.State("WALK"):
                m.d.comb += [asked.valid.eq(left != 0), asked.walk.eq(1)]
                m.d.sync += [index.eq(index + 1), left.eq(left - 1)]
                with m.If(left[1:] == 0):
                    m.d.sync += layer.eq(layer + 1)
                    m.next = "START"
                    with m.If(layer == self._layers - 1):
                        m.next = "IDLE"
            if self._scans:
                self._scan(m, asked, layer, counts, bases)
        m.d.comb += walking.eq(~fsm.ongoing("IDLE"))

        append = record(
            data.StructLayout({"valid": 1, "layer": self._layer, "row": self._bits}),
            "append",
        )
        taken, operation = record(self._operation, "taken"), record(self._operation, "operation")
        m.d.sync += operation.eq(taken)
        with m.If(fetched.valid):
            m.d.comb += taken.eq(fetched)
            with m.If(fetched.walk):
                m.d.comb += taken.address.eq(bases[fetched.layer] + fetched.row)
        with m.Else():
            m.d.comb += [taken[name].eq(self.mark[name]) for name in ("valid", "layer", "row", "bits")]
            m.d.comb += taken.address.eq(bases[self.mark.layer] + self.mark.row)
        pending = self._modify(m, operation, append, counts)
        check(m, "room", ~append.valid | ~counts[append.layer][-1], "a list of active rows overflows")
        check(m, "mark", ~self.mark.valid | ~any_walking, "a row is marked during a walk")
        check(m, "begin", ~self.begin | ~self.busy | any_walking, "a run begins while a mark is under way")
        m.d.comb += [
            list_read.addr.eq(
                Mux(walking, bases[layer] + index, self.list_index),
            ),
            self.row.eq(list_read.data),
            self.busy.eq(any_walking | taken.valid | pending | list_write.en),
        ]
        m.d.sync += [
            list_write.addr.eq(bases[append.layer] + counts[append.layer]),
            list_write.data.eq(append.row),
            list_write.en.eq(append.valid),
        ]
        with m.If(append.valid):
            m.d.sync += counts[append.layer].eq(counts[append.layer] + 1)
        return m

    def _scan(self, m: Module, asked: data.View, layer: Signal, counts: Array, bases: Array) -> None:
        """States of a scan: rows with an entry are appended to the emptied list."""
        m.submodules.scan = scan = MapScan(self._bits)
        map, last_layer = Array(self.maps)[layer], layer == self._layers - 1
        # Registered, because the scan compares what it counts with it.
        held = record(scan_layout(), "held", reset_less=True)
        m.d.comb += scan.map.eq(held)
        with m.State("SCAN_START"):
            m.d.comb += scan.start.eq(map.is_map)
            m.d.sync += held.eq(map)
            with m.If(map.is_map):
                m.d.sync += counts[layer].eq(0)
                m.next = "SCAN"
            with m.Else():
                m.d.sync += layer.eq(layer + 1)
                with m.If(last_layer):
                    m.next = "IDLE"
        with m.State("SCAN"):
            m.d.comb += [
                asked.valid.eq(1),
                asked.scan.eq(1),
                asked.address.eq(bases[layer] + scan.neuron.row),
                *(asked[name].eq(scan.neuron[name]) for name in ("row", "ends", "place", "ends_part", "part")),
            ]
            with m.If(scan.last):
                m.d.sync += layer.eq(layer + 1)
                m.next = "SCAN_START"
                with m.If(last_layer):
                    m.next = "IDLE"

    def _modify(self, m: Module, operation: data.View, append: data.View, counts: Array) -> Value:
        """Read, modify and write an entry for an operation a cycle; whether one is under way."""
        entries: Memory = Memory(shape=ENTRY, depth=self._rows, init=[])
        m.submodules.entries = entries
        write = entries.write_port()
        read = entries.read_port()
        # Stages: 0 operation, 1 reading: old entry at the memory's output, 2 writing, 3 written.
        reading, writing = (record(self._operation, name) for name in ("reading", "writing"))
        written = record(self._operation, "written")
        was_empty = Signal(reset_less=True)
        old, new, new_1, new_2 = (record(ENTRY, name, reset_less=True) for name in ("old", "new", "new_1", "new_2"))
        # What stage 0 read was too old if one of the two operations before it has the same entry: the first of them was
        # not written yet, the second is written in the same cycle. So a word that is read while it is written is never
        # used, which the synthesis script relies on. The same is true of the lists: rows are appended behind the place
        # that a walk has read, and others read while nothing is appended.
        same_1 = Signal(reset_less=True)
        same_2 = Signal(reset_less=True)
        present = record(ENTRY, "present")
        aged = Signal(HISTORY_STEPS)
        m.d.sync += [
            reading.eq(operation),
            writing.eq(reading),
            written.eq(writing),
            was_empty.eq(present.as_value() == 0),
            old.eq(read.data),
            same_1.eq(writing.valid & (reading.address == writing.address)),
            same_2.eq(written.valid & (reading.address == written.address)),
            new_1.eq(new),
            new_2.eq(new_1),
        ]
        with m.If(same_1):
            m.d.comb += present.eq(new_1)
        with m.Elif(same_2):
            m.d.comb += present.eq(new_2)
        with m.Else():
            m.d.comb += present.eq(old)
        # A spike of step k is bit k of the history, and that of the last step becomes the highest bit of the trace.
        # A walk comes to each row once, and long after the last mark.
        with m.If(self.graded):
            m.d.comb += aged.eq((old.trace >> 1) + ((old.history + 1) >> 1))
        with m.Else():
            m.d.comb += aged.eq(Cat(old.trace, old.history) >> self.steps)
        with m.If(writing.walk):
            m.d.comb += new.trace.eq(Mux(self.fresh, 0, aged))
        with m.Elif(~writing.wipe):
            m.d.comb += [new.trace.eq(present.trace), new.history.eq(present.history | writing.bits)]
        m.d.comb += [
            read.addr.eq(Mux(operation.valid, operation.address, self.index)),
            self.entry.eq(old),
            write.addr.eq(writing.address),
            write.data.eq(new),
            write.en.eq(writing.valid),
        ]
        # The new entry decides whether its row is appended to a list.
        some = Mux(written.scan, ~was_empty, Mux(written.walk, new_1.trace != 0, was_empty))
        m.d.comb += [
            append.valid.eq(written.valid & ~written.wipe & some),
            append.layer.eq(written.layer),
            append.row.eq(written.row),
        ]
        is_mark = writing.valid & ~writing.walk & ~writing.wipe & ~writing.scan
        m.d.sync += [
            self.first.valid.eq(is_mark & (present.history == 0)),
            self.first.layer.eq(writing.layer),
        ]
        if self._scans:
            after = Signal.like(self.ends.count)
            m.d.comb += after.eq(counts[written.layer] + append.valid)
            m.d.sync += [
                self.ends_layer.eq(written.layer),
                self.ends.en.eq(written.valid & written.scan & written.ends),
                self.ends.place.eq(written.place),
                self.ends.count.eq(after),
            ]
            for part in range(CELL - 1):
                with m.If(written.valid & written.scan & written.ends_part & (written.part == part)):
                    m.d.sync += self.part_ends[part].eq(after)
        pending: Value = operation.valid | reading.valid | writing.valid | written.valid
        return pending
