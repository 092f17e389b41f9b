"""Input of runs through the link: EVENTS and RUN."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.decode import decode_input
from opzo.hw.interface import EVENT, RUN
from opzo.hw.link.event_decoder import EventDecoder
from opzo.hw.link.executor import ExecutorSignature, fields
from opzo.hw.timing import REGISTER_CYCLES, require
from opzo.spec.commands import Command, RunFlag, Status
from opzo.spec.limits import Limits
from opzo.spec.registers import Reg


class SampleIntake(wiring.Component):
    """Execute EVENTS and, as second command, RUN.

    Events go to the core as they are decoded. An event that is not allowed does not, and makes the input invalid. RUN
    is ``done`` when it is certain to run, and ``busy`` until the core has taken it.

    Parameters
    ----------
    limits : Limits
        Limits of the device.

    Members
    -------
    command : In(ExecutorSignature)
        From the command processor.
    clear : In(1)
        Discard unfinished input; only while not busy.
    tag : In(2)
        Passed to the core with the run.
    register_addr, register_r_data
        Register port of the core, used while busy.
    event, run, discard
        Input port of the core.
    """

    command: In(ExecutorSignature())
    clear: In(1)
    tag: In(RUN["tag"].width)
    register_addr: Out(8)
    register_r_data: In(32)
    event: Out(stream.Signature(EVENT))
    run: Out(stream.Signature(RUN))
    discard: Out(1)

    def __init__(self, limits: Limits) -> None:
        if REGISTER_CYCLES != 3:
            raise AssertionError("the states take register contents three cycles after their addresses")
        self.limits = limits
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        require(REGISTER_CYCLES == 3, "the states of SampleIntake take registers after three cycles")
        m = Module()
        m.submodules.decoder = decoder = EventDecoder(self.limits)
        command, is_run = self.command, self.command.is_second
        run = fields(command.operands, Command.RUN)
        remaining = Signal.like(command.size)
        # Bytes remain to be decoded.
        empty = Signal()
        decoding = Signal()
        bad_length = Signal()
        bad_label = Signal()
        kind = Signal(Reg.INPUT.bits)
        # Inputs with values travel in pairs of bytes.
        pairs, frame = decode_input(kind).values, ~decode_input(kind).events
        # The core has events of this run.
        filled = Signal()
        status = Signal.like(command.status)
        bad = Signal()
        refused = Signal()
        taken = Signal()
        wiring.connect(m, decoder.event, wiring.flipped(self).event)
        m.d.comb += [
            decoder.bound.eq(self.register_r_data),
            decoder.kind.eq(kind),
            decoder.data.p.eq(command.payload.p),
            decoder.restart.eq(taken | refused | self.clear),
            # Without events the core may have no half of its buffer open.
            self.discard.eq(filled & (refused | self.clear)),
            command.status.eq(status),
            *(self.run.p[str(flag.name).lower()].eq(run.flags[flag.bit]) for flag in RunFlag),
            self.run.p.label.eq(run.label),
            self.run.p.tag.eq(self.tag),
        ]
        with m.If(decoder.restart):
            m.d.sync += filled.eq(0)
        with m.Elif(self.event.valid & self.event.ready):
            m.d.sync += filled.eq(1)
        # High fan-out, so the status is registered, then whether it is an error.
        m.d.sync += [status.eq(Status.OK), bad.eq(status != Status.OK)]
        errors = {
            Status.BAD_LENGTH: bad_length,
            Status.BAD_EVENT: is_run & decoder.bad_event,
            Status.FULL: is_run & decoder.full,
            Status.BAD_STEPS: is_run & decoder.bad_steps & ~frame,
            Status.BAD_LABEL: is_run & bad_label,
        }
        if not self.limits.learning:
            errors[Status.NO_LEARNING] = is_run & run.flags[RunFlag.TRAIN.bit]
        # The first of several errors is the answer.
        for error, found in reversed(errors.items()):
            with m.If(found):
                m.d.sync += status.eq(error)
        m.d.comb += [
            decoder.data.valid.eq(decoding & command.payload.valid),
            command.payload.ready.eq(decoding & decoder.data.ready),
        ]
        with m.If(decoder.data.valid & decoder.data.ready):
            m.d.sync += [remaining.eq(remaining - 1), decoding.eq(remaining != 1)]
        with m.FSM() as fsm:
            with m.State("WAIT"):
                m.d.sync += [remaining.eq(command.size), empty.eq(command.size == 0)]
                with m.If(command.start):
                    m.next = "KIND"
            with m.State("KIND"):
                m.d.comb += self.register_addr.eq(Reg.INPUT)
                m.next = "INPUTS"
            with m.State("INPUTS"):
                m.d.comb += self.register_addr.eq(Reg.INPUTS)
                m.next = "CLASSES"
            with m.State("CLASSES"):
                m.d.comb += self.register_addr.eq(Reg.CLASSES)
                m.next = "TAKE_KIND"
            with m.State("TAKE_KIND"):
                # Register contents are valid REGISTER_CYCLES after their addresses, one in each cycle.
                m.d.sync += kind.eq(self.register_r_data)
                m.next = "TAKE_INPUTS"
            with m.State("TAKE_INPUTS"):
                m.d.comb += decoder.bound_en.eq(1)
                m.d.sync += bad_length.eq(command.short | (pairs & command.size[0]))
                m.next = "LABEL"
            with m.State("LABEL"):
                m.d.sync += bad_label.eq((run.label >= self.register_r_data) | (run.label >= self.limits.classes))
                m.d.sync += decoding.eq(~bad_length & ~empty)
                m.next = "DECODE"
            with m.State("DECODE"):
                with m.If(~decoding):
                    m.next = "FINISH"
            with m.State("FINISH"):
                with m.If(~self.event.valid & ~decoder.busy):
                    m.next = "JUDGE"
            with m.State("JUDGE"):
                m.next = "DECIDE"
            with m.State("DECIDE"):
                m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += [command.done.eq(1), refused.eq(is_run & bad)]
                m.next = "WAIT"
                with m.If(is_run & ~bad):
                    m.next = "SUBMIT"
            with m.State("SUBMIT"):
                m.d.comb += [self.run.valid.eq(1), taken.eq(self.run.ready)]
                with m.If(self.run.ready):
                    m.next = "WAIT"
        m.d.comb += command.busy.eq(~fsm.ongoing("WAIT"))
        return m
