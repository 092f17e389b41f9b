"""Window of one memory row, and the checks of a row's number."""

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from opzo.hw.interface import MEMORY_COMMAND
from opzo.spec.bus import ROW_BYTES
from opzo.spec.limits import MAX_ROWS, Limits
from opzo.spec.memories import ENTRY_BITS, Space

_WORDS = ROW_BYTES // 4


class RowWindow(wiring.Component):
    """Keep a row between a bus and the core.

    Parameters
    ----------
    limits : Limits
        Limits of the device.

    Members
    -------
    address : In, w_data : In(32), w_en : In(1)
        Word of the window that the bus reads, or writes; only while not ``busy``.
    r_data : Out(32)
        That word, valid one cycle after ``address``; 0 beyond the lanes.
    space : In(3), row : In(32), write : In(1)
        Row to move, stable until ``busy`` falls.
    exists : Out(1)
        The row can be moved; valid one cycle after it was given.
    start : In(1)
        Strobe, only where it ``exists`` and while not ``busy``.
    busy : Out(1)
        The row moves.
    memory_command, memory_w, memory_r
        Memory port of the core.
    """

    address: In(range(_WORDS))
    w_data: In(32)
    w_en: In(1)
    r_data: Out(32)
    space: In(max(Space).bit_length())
    row: In(32)
    write: In(1)
    exists: Out(1)
    start: In(1)
    busy: Out(1)
    memory_command: Out(stream.Signature(MEMORY_COMMAND))
    memory_w: Out(stream.Signature(ENTRY_BITS))
    memory_r: In(stream.Signature(ENTRY_BITS))

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self.limits.lanes
        window: Memory = Memory(shape=32, depth=lanes // 2, init=[])
        m.submodules.window = window
        read, write = window.read_port(), window.write_port(granularity=ENTRY_BITS)
        lane = Signal(range(lanes))
        inside = Signal()
        end = Signal(range(MAX_ROWS + 1))
        with m.Switch(self.space):
            for each in Space:
                with m.Case(each):
                    m.d.comb += end.eq(Mux(self.write & ~Const(each.writable), 0, each.rows(self.limits)))
        m.d.sync += [self.exists.eq(self.row < end), inside.eq(self.address < lanes // 2)]
        m.d.comb += [
            self.r_data.eq(Mux(inside, read.data, 0)),
            self.memory_command.p.space.eq(self.space),
            self.memory_command.p.address.eq(self.row),
            self.memory_command.p.write.eq(self.write),
            self.memory_w.p.eq(read.data.word_select(lane[0], ENTRY_BITS)),
            read.addr.eq(self.address),
            write.addr.eq(self.address),
            write.data.eq(self.w_data),
            write.en.eq((self.w_en & (self.address < lanes // 2)).replicate(2)),
        ]
        with m.FSM() as fsm:
            with m.State("WAIT"):
                with m.If(self.start):
                    m.next = "COMMAND"
            with m.State("COMMAND"):
                m.d.comb += self.memory_command.valid.eq(1)
                m.d.sync += lane.eq(0)
                with m.If(self.memory_command.ready):
                    m.next = "GATHER"
                    with m.If(self.write):
                        m.next = "FETCH"
            with m.State("GATHER"):
                m.d.comb += [
                    self.memory_r.ready.eq(1),
                    write.addr.eq(lane >> 1),
                    write.data.eq(self.memory_r.p.replicate(2)),
                    write.en.eq(Mux(self.memory_r.valid, 1 << lane[0], 0)),
                ]
                with m.If(self.memory_r.valid):
                    m.d.sync += lane.eq(lane + 1)
                    with m.If(lane == lanes - 1):
                        m.next = "WAIT"
            with m.State("FETCH"):
                m.d.comb += read.addr.eq(lane >> 1)
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [self.memory_w.valid.eq(1), read.addr.eq(lane >> 1)]
                with m.If(self.memory_w.ready):
                    m.d.sync += lane.eq(lane + 1)
                    m.next = "FETCH"
                    with m.If(lane == lanes - 1):
                        m.next = "WAIT"
        m.d.comb += self.busy.eq(~fsm.ongoing("WAIT"))
        return m
