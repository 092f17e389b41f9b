"""Event decoder of the link: from the bytes of EVENTS and RUN to events and ends of time steps."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.interface import EVENT
from opzo.spec.events import END_STEPS, SKIP, SKIP_UNIT, SPIKE
from opzo.spec.network import Limits
from opzo.spec.rules import Input


class EventDecoder(wiring.Component):
    """Decode the input of a run; a code in 2 cycles, a pair in 3.

    Golden twins: ``opzo.spec.events.decode_frame_pairs``, ``decode_steps``.

    Parameters
    ----------
    limits : Limits
        Of the device.

    Members
    -------
    data : In(stream)
        Bytes.
    kind : In(2)
        Register INPUT; stable while ``busy``, set two cycles before the first byte or earlier.
    bound, bound_en : In(32), In(1)
        Set the number of inputs of the network.
    restart : In(1)
        Begin a run's input, only between codes.
    busy : Out(1)
        A byte was taken whose event has not been looked at.
    bad_event, full, bad_steps : Out(1)
        Since ``restart``: an event was outside the network or had value 0; there were more events than a chunk may
        have; a run with these time steps cannot be (where ``kind`` has time steps).
    event : Out(stream)
        ``EVENT``, those that can be.
    """

    data: In(stream.Signature(8))
    kind: In(2)
    bound: In(32)
    bound_en: In(1)
    restart: In(1)
    busy: Out(1)
    bad_event: Out(1)
    full: Out(1)
    bad_steps: Out(1)
    event: Out(stream.Signature(EVENT))

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        byte = self.data.p
        bits = EVENT["address"].width
        inputs = Signal(range(self.limits.inputs + 1))
        frame, spikes, graded = Signal(), Signal(), Signal()
        # Much hangs on them: flip-flops.
        m.d.sync += [
            frame.eq(self.kind == Input.FRAME),
            graded.eq(self.kind == Input.GRADED),
            spikes.eq((self.kind != Input.FRAME) & (self.kind != Input.GRADED)),
        ]

        # First byte: where it leads. The position has one bit more than an address: once past the last it stays there.
        position, following, stayed = (Signal(bits + 1, name=name) for name in ("position", "following", "stayed"))
        address = Signal(bits + 2)
        second = Signal()
        is_event, is_end = Signal(), Signal()
        ends = Signal(range(2 + 0xFF - END_STEPS))
        number = byte[:4] + 1
        moved = Signal(bits + 1)
        skipped = Array(SKIP_UNIT * (1 + n) for n in range(16))[byte[:4]]
        code_is_event, code_is_end = frame | (byte < SKIP), ~frame & (byte >= END_STEPS)
        gone = position + moved
        after = address + 1
        m.d.comb += [
            moved.eq(Mux(code_is_event, byte, Mux(code_is_end, 0, skipped))),
            following.eq(Cat(after[:bits], after[bits:].any())),
            stayed.eq(Cat(address[:bits], address[bits:].any())),
        ]

        # Second byte, which spikes do without; then all that is known of the event is in registers.
        known, free, settle = Signal(), Signal(), Signal()
        value, nonzero = Signal(8), Signal()
        lit, good, room, ends_fit = Signal(), Signal(), Signal(), Signal()
        count = Signal(range(self.limits.events + 1))
        steps = Signal(range(2 * (1 + 0xFF - END_STEPS)))
        # Events came since the last end of a time step.
        open_step = Signal()
        most = Mux(graded, 1, self.limits.steps)
        m.d.comb += [
            free.eq(~self.event.valid | self.event.ready),
            self.data.ready.eq(~known),
            settle.eq(known & free),
            self.busy.eq(second | known),
            # A pair with value 0 only skips; an event with value 0 cannot be.
            lit.eq(is_event & (~frame | nonzero)),
            good.eq((address < inputs) & nonzero),
            room.eq(count != self.limits.events),
            ends_fit.eq(steps + ends <= self.limits.steps),
            self.bad_steps.eq((steps == 0) | (steps > most) | open_step),
        ]
        with m.If(self.bound_en):
            m.d.sync += inputs.eq(Mux(self.bound > self.limits.inputs, self.limits.inputs, self.bound))
        with m.If(self.data.valid & ~known):
            m.d.sync += [
                value.eq(Mux(spikes, SPIKE, byte)),
                nonzero.eq(spikes | byte.any()),
                second.eq(~second & ~spikes),
                known.eq(second | spikes),
            ]
            with m.If(~second):
                m.d.sync += [address.eq(gone), is_event.eq(code_is_event), is_end.eq(code_is_end), ends.eq(number)]
        with m.If(self.event.ready):
            m.d.sync += self.event.valid.eq(0)
        with m.If(settle):
            m.d.sync += [
                known.eq(0),
                position.eq(Mux(is_end, 0, Mux(lit, following, stayed))),
                self.event.p.address.eq(address),
                self.event.p.value.eq(value),
                self.event.p.ends.eq(Mux(is_end, ends, 0)),
                self.event.valid.eq((is_event & good & room) | (is_end & ends_fit)),
            ]
            with m.If(lit):
                m.d.sync += [
                    open_step.eq(1),
                    self.bad_event.eq(self.bad_event | ~good),
                    self.full.eq(self.full | ~room),
                    count.eq(count + room),
                ]
            with m.If(is_end):
                # Beyond the limit it does not matter by how much.
                m.d.sync += [open_step.eq(0), steps.eq(Mux(ends_fit, steps + ends, self.limits.steps + 1))]
        with m.If(self.restart):
            m.d.sync += [position.eq(0), count.eq(0), steps.eq(0), open_step.eq(0)]
            m.d.sync += [flag.eq(0) for flag in (self.bad_event, self.full)]
        return m
