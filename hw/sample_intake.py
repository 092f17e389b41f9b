"""Samples through the link: EVENTS and RUN."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.executor import ExecutorSignature
from opzo.hw.interface import EVENT, RUN
from opzo.spec.network import Limits
from opzo.spec.protocol import Status
from opzo.spec.registers import Reg


class SampleIntake(wiring.Component):
    """Execute EVENTS and, as second command, RUN.

    Events go to the core as they are decoded; those outside the network do not, and make the sample invalid. RUN is
    ``done`` when it is clear that the sample will run, and ``busy`` until the core has taken it.

    Parameters
    ----------
    limits : Limits
        Of the device.

    Members
    -------
    command : In(ExecutorSignature)
        From the command processor.
    clear : In(1)
        Discard what was received of a sample; only while not busy.
    tag : In(2)
        Given to the core with the sample.
    register_addr, register_r_data
        Register port of the core, used while busy.
    event, run, discard
        Sample port of the core.
    """

    command: In(ExecutorSignature())
    clear: In(1)
    tag: In(2)
    register_addr: Out(8)
    register_r_data: In(32)
    event: Out(stream.Signature(EVENT))
    run: Out(stream.Signature(RUN))
    discard: Out(1)

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.decoder = decoder = EventDecoder(self.limits)
        command = self.command
        flags, label = command.operands[-16:-8], command.operands[-8:]
        left = Signal.like(command.size)
        bad_length = Signal()
        bad_label = Signal()
        # The core has events of this sample.
        filled = Signal()
        refused = Signal()
        taken = Signal()
        wiring.connect(m, decoder.event, wiring.flipped(self).event)
        m.d.comb += [
            decoder.bound.eq(self.register_r_data),
            decoder.pairs.p.eq(command.payload.p),
            decoder.restart.eq(taken | refused | self.clear),
            # Without events there may be no half that is being filled.
            self.discard.eq(filled & (refused | self.clear)),
            self.run.p.train.eq(flags[0]),
            self.run.p.outputs.eq(flags[1]),
            self.run.p.label.eq(label),
            self.run.p.tag.eq(self.tag),
        ]
        with m.If(decoder.restart):
            m.d.sync += filled.eq(0)
        with m.Elif(self.event.valid & self.event.ready):
            m.d.sync += filled.eq(1)
        with m.If(bad_length):
            m.d.comb += command.status.eq(Status.BAD_LENGTH)
        with m.Elif(command.second & decoder.invalid):
            m.d.comb += command.status.eq(Status.BAD_EVENT)
        with m.Elif(command.second & bad_label):
            m.d.comb += command.status.eq(Status.BAD_LABEL)
        with m.FSM() as fsm:
            with m.State("WAIT"):
                m.d.sync += [left.eq(command.size), bad_length.eq(command.short | command.size[0])]
                with m.If(command.start):
                    m.next = "INPUTS"
            with m.State("INPUTS"):
                m.d.comb += self.register_addr.eq(Reg.INPUTS)
                m.next = "CLASSES"
            with m.State("CLASSES"):
                m.d.comb += [self.register_addr.eq(Reg.CLASSES), decoder.bound_en.eq(1)]
                m.next = "LABEL"
            with m.State("LABEL"):
                m.d.sync += bad_label.eq((label >= self.register_r_data) | (label >= self.limits.classes))
                m.next = "DECODE"
                with m.If(bad_length):
                    m.next = "FINISH"
            with m.State("DECODE"):
                with m.If(left == 0):
                    m.next = "FINISH"
                with m.Else():
                    m.d.comb += [
                        decoder.pairs.valid.eq(command.payload.valid),
                        command.payload.ready.eq(decoder.pairs.ready),
                    ]
                with m.If(command.payload.valid & command.payload.ready):
                    m.d.sync += left.eq(left - 1)
            with m.State("FINISH"):
                with m.If(~self.event.valid):
                    m.d.comb += [command.done.eq(1), refused.eq(command.second & (command.status != Status.OK))]
                    m.next = "WAIT"
                    with m.If(command.second & (command.status == Status.OK)):
                        m.next = "SUBMIT"
            with m.State("SUBMIT"):
                m.d.comb += [self.run.valid.eq(1), taken.eq(self.run.ready)]
                with m.If(self.run.ready):
                    m.next = "WAIT"
        m.d.comb += command.busy.eq(~fsm.ongoing("WAIT"))
        return m


class EventDecoder(wiring.Component):
    """Decode pairs (gap, value) to events; a pair in 2 cycles.

    Golden twin: ``opzo.spec.protocol.decode_events``.

    Parameters
    ----------
    limits : Limits
        Of the device.

    Members
    -------
    pairs : In(stream)
        Bytes of the pairs.
    bound, bound_en : In(32), In(1)
        Set the number of inputs of the network.
    restart : In(1)
        Begin a sample, only between pairs.
    invalid : Out(1)
        There was an event outside the network since.
    event : Out(stream)
        ``EVENT``, those inside.
    """

    pairs: In(stream.Signature(8))
    bound: In(32)
    bound_en: In(1)
    restart: In(1)
    invalid: Out(1)
    event: Out(stream.Signature(EVENT))

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        byte = self.pairs.p
        bits = EVENT["address"].width
        inputs = Signal(range(self.limits.inputs + 1))
        # One bit more than an address: once past the last address they stay there.
        position, address, following = (Signal(bits + 1) for _ in range(3))
        is_value = Signal()
        take = Signal()
        inside = Signal()
        gone = position + byte
        after = address + 1
        m.d.comb += [
            self.pairs.ready.eq(~is_value | ~self.event.valid | self.event.ready),
            take.eq(self.pairs.valid & self.pairs.ready),
            inside.eq(address < inputs),
            following.eq(Cat(after[:bits], after[bits:].any())),
        ]
        with m.If(self.bound_en):
            m.d.sync += inputs.eq(Mux(self.bound > self.limits.inputs, self.limits.inputs, self.bound))
        with m.If(take & ~is_value):
            m.d.sync += [address.eq(Cat(gone[:bits], gone[bits:].any())), is_value.eq(1)]
        with m.If(self.event.ready):
            m.d.sync += self.event.valid.eq(0)
        with m.If(take & is_value):
            m.d.sync += [
                is_value.eq(0),
                position.eq(Mux(byte == 0, address, following)),
                self.invalid.eq(self.invalid | ((byte != 0) & ~inside)),
                self.event.p.address.eq(address),
                self.event.p.value.eq(byte),
                self.event.valid.eq((byte != 0) & inside),
            ]
        with m.If(self.restart):
            m.d.sync += [position.eq(0), self.invalid.eq(0)]
        return m
