"""The chip behind a bus: core, registers of the bus, samples, results, and the byte link through memory."""

from typing import Any

from amaranth import Cat, Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.bus.access import AccessSignature
from opzo.hw.bus.core_switch import CoreSwitch
from opzo.hw.bus.registers import BusRegisters
from opzo.hw.bus.results import ResultPackets
from opzo.hw.bus.rings import LinkRings
from opzo.hw.bus.rows import RowWindow
from opzo.hw.bus.samples import WORD, SampleIntake
from opzo.hw.interface import CoreSignature
from opzo.hw.link.link import Link
from opzo.spec.bus import Interrupt
from opzo.spec.limits import Limits


class BusPort(wiring.Component):
    """Serve a bus by means of the core.

    Golden twin: ``opzo.sim.golden.bus.GoldenBus``.

    Parameters
    ----------
    limits : Limits
        Limits of the device.
    clock_khz : int
        Clock that the identity reports, 0 for none.
    streams : bool
        Whether samples and results travel in streams of their own; else through SAMPLE, RUN and RESULT.

    Members
    -------
    access : In(AccessSignature)
    sample : In(stream of WORD), result : Out(stream of WORD)
        Only with ``streams``.
    interrupt : Out(1)
    core : In(CoreSignature)
        The core's side of `CoreSignature`, flipped.
    """

    access: Any
    sample: stream.Interface
    result: stream.Interface
    interrupt: Any
    core: Any

    def __init__(self, limits: Limits, clock_khz: int = 0, *, streams: bool) -> None:
        self.limits, self.clock_khz, self.streams = limits, clock_khz, streams
        packets = {"sample": In(stream.Signature(WORD)), "result": Out(stream.Signature(WORD))} if streams else {}
        super().__init__({"access": In(AccessSignature()), "interrupt": Out(1), "core": In(CoreSignature()), **packets})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.registers = registers = BusRegisters(self.limits, self.clock_khz, streams=self.streams)
        m.submodules.intake = intake = SampleIntake(self.limits)
        m.submodules.packets = packets = ResultPackets(self.limits)
        m.submodules.rows = rows = RowWindow(self.limits)
        m.submodules.rings = rings = LinkRings()
        m.submodules.switch = switch = CoreSwitch()
        link = Link(self.limits, self.clock_khz)
        # A session of the link ends when the core goes back to the bus.
        m.submodules.link = ResetInserter(~registers.link_owns)(link)
        core = switch.first

        connect(m, flipped(self.access), registers.access)
        connect(m, switch.core, flipped(self.core))
        connect(m, link.core, switch.second)
        connect(m, rings.to_link, link.rx)
        connect(m, link.tx, rings.from_link)
        connect(m, intake.event, core.event)
        connect(m, intake.run, core.run)
        connect(m, intake.answer, packets.answer)
        connect(m, core.result, packets.result)
        connect(m, rows.memory_command, core.memory_command)
        connect(m, rows.memory_w, core.memory_w)
        connect(m, core.memory_r, rows.memory_r)
        if self.streams:
            connect(m, flipped(self).sample, intake.word)
            connect(m, packets.packet, flipped(self).result)
        else:
            connect(m, registers.sample, intake.word)
            connect(m, packets.packet, registers.result)
        # Events of the link that no RUN followed are forgotten with it.
        was_link, filled = Signal(), Signal()
        m.d.sync += was_link.eq(registers.link_owns)
        with m.If(self.core.discard | (self.core.run.valid & self.core.run.ready)):
            m.d.sync += filled.eq(0)
        with m.Elif(self.core.event.valid & self.core.event.ready):
            m.d.sync += filled.eq(1)
        happened = {
            Interrupt.RESULT: packets.completed,
            Interrupt.REFUSED: packets.refused,
            Interrupt.LINK: rings.put,
        }
        m.d.comb += [
            self.interrupt.eq(registers.interrupt),
            core.register_addr.eq(registers.register_address),
            core.register_w_data.eq(registers.register_data),
            core.register_w_en.eq(registers.register_write),
            registers.register_r_data.eq(core.register_r_data),
            core.discard.eq(intake.core_discard | (filled & was_link & ~registers.link_owns)),
            # Whoever writes them.
            intake.register_address.eq(self.core.register_addr),
            intake.register_data.eq(self.core.register_w_data),
            intake.register_write.eq(self.core.register_w_en),
            intake.hold.eq(registers.hold | registers.link_owns),
            intake.stop.eq(registers.stop),
            intake.discard.eq(registers.discard),
            intake.room.eq(packets.room),
            intake.drained.eq(packets.drained),
            packets.classes.eq(intake.classes),
            registers.idle.eq(core.idle & packets.drained),
            registers.begun.eq(intake.begun),
            registers.working.eq(intake.working),
            registers.room.eq(packets.room),
            registers.ready.eq(~intake.working & core.event.ready),
            registers.happened.eq(Cat(happened.get(each, 0) for each in Interrupt)),
            registers.link_busy.eq(link.busy),
            switch.second_owns.eq(registers.link_owns),
            rows.address.eq(registers.window_address),
            rows.w_data.eq(self.access.w_data),
            rows.w_en.eq(registers.window_w_en),
            rows.space.eq(registers.space),
            rows.row.eq(registers.row),
            rows.write.eq(registers.row_write),
            rows.start.eq(registers.row_start),
            registers.row_exists.eq(rows.exists),
            registers.row_busy.eq(rows.busy),
            registers.window_r_data.eq(rows.r_data),
            rings.w_address.eq(self.access.address),
            rings.r_address.eq(self.access.address),
            rings.w_data.eq(self.access.w_data),
            rings.w_en.eq(registers.ring_w_en),
            rings.enable.eq(registers.link_owns),
            rings.in_put.eq(registers.in_put),
            rings.out_taken.eq(registers.out_taken),
            registers.ring_r_data.eq(rings.r_data),
            registers.in_taken.eq(rings.in_taken),
            registers.out_put.eq(rings.out_put),
        ]
        return m
