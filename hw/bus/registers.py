"""Registers of the chip behind a bus: carries out one access after the other."""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.bus.access import AccessSignature
from opzo.hw.bus.interrupts import KINDS, Interrupts
from opzo.hw.bus.place import Place
from opzo.hw.bus.samples import WORD
from opzo.hw.timing import REGISTER_CYCLES
from opzo.spec import bus
from opzo.spec.bus import Owner, StatusBit
from opzo.spec.limits import Limits
from opzo.spec.memories import Space

IDLE_LATE = 3
"""Cycles after a change of the core in which ``idle`` may still be high, and one more."""
STATUS = len(StatusBit)
COUNTS = ("LINK_IN_PUT", "LINK_IN_TAKEN", "LINK_OUT_PUT", "LINK_OUT_TAKEN")


class BusRegisters(wiring.Component):
    """Decode accesses and carry them out; ``opzo.spec.bus`` has the map and its rules.

    Parameters
    ----------
    limits : Limits
        Limits of the device.
    clock_khz : int
        Clock that the identity reports.
    streams : bool
        Whether samples and results travel in streams of their own.

    Members
    -------
    access : In(AccessSignature)
    interrupt : Out(1)
    register_address, register_data, register_write, register_r_data
        Register port of the core.
    idle : In(1)
        No run is under way, and the core is idle (up to two cycles late).
    begun, working, room, ready : In(1)
        Of the sample intake and the result packets.
    hold, stop, discard : Out(1)
        To the sample intake.
    sample : Out(stream of WORD), result : In(stream of WORD)
        Words that are written to SAMPLE and RUN; those that are read from RESULT.
    space, row, row_write, row_exists, row_start, row_busy, window_address, window_w_en, window_r_data
        Of the row window, which takes its data from the access.
    ring_w_en, ring_r_data, in_put, in_taken, out_put, out_taken
        Of the rings, which take address and data from the access.
    link_owns : Out(1)
        The core belongs to the link.
    link_busy : In(1)
        The link works on a frame, or has bytes to put.
    happened : In(len(Interrupt))
        Strobes, one for each interrupt but IDLE.
    """

    access: Any
    interrupt: Signal
    register_address: Signal
    register_data: Signal
    register_write: Signal
    register_r_data: Signal
    idle: Signal
    begun: Signal
    working: Signal
    room: Signal
    ready: Signal
    hold: Signal
    stop: Signal
    discard: Signal
    sample: stream.Interface
    result: stream.Interface
    space: Signal
    row: Signal
    row_write: Signal
    row_exists: Signal
    row_start: Signal
    row_busy: Signal
    window_address: Signal
    window_w_en: Signal
    window_r_data: Signal
    ring_w_en: Signal
    ring_r_data: Signal
    in_put: Signal
    in_taken: Signal
    out_put: Signal
    out_taken: Signal
    link_owns: Signal
    link_busy: Signal
    happened: Signal

    def __init__(self, limits: Limits, clock_khz: int, *, streams: bool) -> None:
        self.limits, self.clock_khz, self.streams = limits, clock_khz, streams
        inputs = {"register_r_data": 32, "window_r_data": 32, "ring_r_data": 32, "happened": KINDS}
        inputs |= dict.fromkeys(("in_taken", "out_put"), bus.COUNT_BITS)
        inputs |= dict.fromkeys(("idle", "begun", "working", "room", "ready", "row_exists", "row_busy", "link_busy"), 1)
        outputs = {"register_address": 8, "register_data": 32, "row": 32, "window_address": 6}
        outputs |= {"space": max(Space).bit_length()} | dict.fromkeys(("in_put", "out_taken"), bus.COUNT_BITS)
        outputs |= dict.fromkeys(
            ("interrupt", "register_write", "hold", "stop", "discard", "row_write", "row_start"), 1
        )
        outputs |= dict.fromkeys(("window_w_en", "ring_w_en", "link_owns"), 1)
        super().__init__(
            {
                "access": In(AccessSignature()),
                "sample": Out(stream.Signature(WORD)),
                "result": In(stream.Signature(WORD)),
                **{name: In(bits) for name, bits in inputs.items()},
                **{name: Out(bits) for name, bits in outputs.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        access, streams = self.access, self.streams
        status = Signal(STATUS)
        # A change of the core shows late, so that it is idle where it was for some cycles.
        quiet = Signal(range(IDLE_LATE + 1))
        value = Signal(32, reset_less=True)
        wait = Signal(range(REGISTER_CYCLES))
        m.d.comb += [
            status[StatusBit.IDLE].eq(self.idle & (quiet == 0) & ~self.begun & ~self.link_owns),
            status[StatusBit.BEGUN].eq(self.begun),
            status[StatusBit.RESULT].eq(self.result.valid & (not streams)),
            status[StatusBit.ROOM].eq(self.room & ~self.working),
            status[StatusBit.READY].eq(self.ready & ~self.link_owns),
            self.register_address.eq(access.address),
            self.register_data.eq(access.w_data),
            self.window_address.eq(access.address),
            self.row.eq(access.w_data),
            self.sample.p.data.eq(access.w_data),
        ]
        with m.If(~self.idle | self.register_write | self.row_start):
            m.d.sync += quiet.eq(IDLE_LATE)
        with m.Elif(quiet != 0):
            m.d.sync += quiet.eq(quiet - 1)
        m.submodules.interrupts = interrupts = Interrupts()
        m.d.comb += [
            interrupts.idle.eq(status[StatusBit.IDLE]),
            interrupts.happened.eq(self.happened),
            interrupts.new_enable.eq(access.w_data),
            self.interrupt.eq(interrupts.interrupt),
        ]

        place = Place.of(access.address)
        at = place.at
        contents = {
            "MAP": Const(bus.MAP_VERSION | streams << 16, 32),
            "STATUS": status,
            "INTERRUPT_PENDING": interrupts.pending,
            "INTERRUPT_ENABLE": interrupts.enable,
            "OWNER": self.link_owns,
            "MEMORY_SPACE": self.space,
            "RESULT": Mux(self.result.valid & (not streams), self.result.p.data, 0),
            **dict(zip(COUNTS, (self.in_put, self.in_taken, self.out_put, self.out_taken), strict=True)),
        }
        readable, identity = Signal(32), Signal(32)
        m.d.comb += [
            readable.eq(place.chosen(contents)),
            identity.eq(place.identified(self.limits, self.clock_khz)),
        ]

        # What a write does at once: registers of the bus itself.
        in_used, out_left = Signal(bus.COUNT_BITS), Signal(bus.COUNT_BITS)
        out_used = Signal(bus.COUNT_BITS)
        m.d.comb += [
            in_used.eq(access.w_data[: bus.COUNT_BITS] - self.in_taken),
            out_left.eq(self.out_put - access.w_data[: bus.COUNT_BITS]),
            out_used.eq(self.out_put - self.out_taken),
        ]
        fits = Signal()
        m.d.comb += fits.eq(
            Cat(
                at["INTERRUPT_PENDING"] | at["INTERRUPT_ENABLE"] | at["MEMORY_SPACE"] | place.row | place.to_ring,
                at["LINK_IN_PUT"] & (in_used <= bus.RING_BYTES),
                at["LINK_OUT_TAKEN"] & (out_left <= out_used),
                at["RESULT_TAKE"] & status[StatusBit.RESULT],
            ).any()
        )
        fail, succeed = Signal(), Signal()
        m.d.comb += [access.done.eq(fail | succeed), access.error.eq(fail), access.r_data.eq(value)]

        from_link = at["OWNER"] & self.link_owns
        exclusive = place.core | at["MEMORY_READ"] | at["MEMORY_WRITE"] | at["OWNER"]
        words = (at["SAMPLE"] | at["RUN"]) & (not streams)
        with m.FSM():
            with m.State("WAIT"):
                m.d.sync += [value.eq(0), wait.eq(REGISTER_CYCLES - 1), self.row_write.eq(at["MEMORY_WRITE"])]
                with m.If(access.valid):
                    m.next = "READ"
                    with m.If(access.write):
                        m.next = "WRITE"
            with m.State("READ"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(place.core):
                    with m.If(wait == 0):
                        m.d.sync += value.eq(self.register_r_data)
                        m.next = "ANSWER"
                with m.Else():
                    m.next = "ANSWER"
                    with m.If(place.identity):
                        m.d.sync += value.eq(identity)
                    with m.If(place.control):
                        m.d.sync += value.eq(readable)
                    with m.If(place.row):
                        m.d.sync += value.eq(self.window_r_data)
                    with m.If(place.from_ring):
                        m.d.sync += value.eq(self.ring_r_data)
                with m.If(place.core & self.link_owns):
                    m.next = "FAIL"
            with m.State("WRITE"):
                m.next = "FAIL"
                with m.If(access.complete):
                    with m.If(fits):
                        m.next = "SET"
                    with m.Elif(at["DISCARD"] & ~self.link_owns):
                        m.next = "DISCARD"
                    with m.Elif(words & ~self.link_owns):
                        m.next = "SAMPLE"
                        with m.If(at["RUN"]):
                            m.next = "ROOM"
                    with m.Elif(from_link):
                        # Writing what it is already changes nothing.
                        with m.If(access.w_data[0]):
                            m.next = "ANSWER"
                        with m.Elif(~self.link_busy & self.idle & (quiet == 0)):
                            m.next = "GIVE"
                    with m.Elif(exclusive & ~self.link_owns):
                        m.next = "GRANT"
            with m.State("SET"):
                m.d.comb += [
                    interrupts.clear.eq(Mux(at["INTERRUPT_PENDING"], access.w_data, 0)),
                    interrupts.enable_en.eq(at["INTERRUPT_ENABLE"]),
                    self.window_w_en.eq(place.row),
                    self.ring_w_en.eq(place.to_ring),
                    self.result.ready.eq(at["RESULT_TAKE"]),
                ]
                for name, register in (
                    ("MEMORY_SPACE", self.space),
                    ("LINK_IN_PUT", self.in_put),
                    ("LINK_OUT_TAKEN", self.out_taken),
                ):
                    with m.If(at[name]):
                        m.d.sync += register.eq(access.w_data)
                m.next = "ANSWER"
            with m.State("ROOM"):
                # The run before may be about to be refused, and needs room for that.
                with m.If(~self.working):
                    m.next = "FAIL"
                    with m.If(self.room):
                        m.next = "SAMPLE"
            with m.State("SAMPLE"):
                m.d.comb += [self.sample.valid.eq(1), self.sample.p.last.eq(at["RUN"])]
                with m.If(self.sample.ready):
                    m.next = "ANSWER"
            with m.State("DISCARD"):
                m.d.comb += [self.stop.eq(1), self.discard.eq(~self.working)]
                with m.If(~self.working):
                    m.next = "ANSWER"
            with m.State("GRANT"):
                m.d.comb += self.hold.eq(1)
                with m.If(self.begun & ~self.working):
                    m.next = "FAIL"
                with m.Elif(~self.begun & self.idle & (quiet == 0)):
                    m.next = "GIVE"
                    with m.If(place.core):
                        m.next = "CORE"
                    with m.Elif(~at["OWNER"]):
                        m.next = "ROW"
                        with m.If(~self.row_exists):
                            m.next = "FAIL"
            with m.State("CORE"):
                m.d.comb += [self.hold.eq(1), self.register_write.eq(1)]
                m.next = "ANSWER"
            with m.State("ROW"):
                m.d.comb += [self.hold.eq(1), self.row_start.eq(1)]
                m.next = "MOVE"
            with m.State("MOVE"):
                m.d.comb += self.hold.eq(1)
                with m.If(~self.row_busy):
                    m.next = "ANSWER"
            with m.State("GIVE"):
                m.d.comb += self.hold.eq(1)
                m.d.sync += self.link_owns.eq(access.w_data[: Owner.LINK.bit_length()])
                m.next = "ANSWER"
            with m.State("FAIL"):
                m.d.comb += fail.eq(1)
                m.next = "WAIT"
            with m.State("ANSWER"):
                m.d.comb += succeed.eq(1)
                m.next = "WAIT"
        return m
