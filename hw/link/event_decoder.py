"""Event decoder of the link: turns the bytes of EVENTS and RUN into events and ends of time steps."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.decode import decode_input
from opzo.hw.interface import EVENT
from opzo.spec.events import END_STEPS, SKIP, SKIP_UNIT, SPIKE
from opzo.spec.limits import Limits
from opzo.spec.rules import Input


class EventDecoder(wiring.Component):
    """Decode the input of a run, a code in 2 cycles, a pair in 3.

    Golden twins: ``opzo.spec.events.decode_frame_pairs``, ``decode_steps``.

    Parameters
    ----------
    limits : Limits
        Limits of the device.

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
        A byte was taken whose event has not been checked yet.
    bad_event, full, bad_steps : Out(1)
        Since ``restart``: an event was outside the network or had value 0; there were more events than a chunk can
        have; the time steps are not those of a valid run (where ``kind`` has time steps).
    event : Out(stream)
        ``EVENT``, only those that are allowed.
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
        kind = decode_input(self.kind)
        frame = Signal()
        spikes = Signal()
        graded = Signal()
        # High fan-out, so registered.
        m.d.sync += [
            frame.eq(~kind.events),
            graded.eq(kind.graded),
            spikes.eq(~kind.values),
        ]

        # First byte: the address that it moves to. The position has one bit more than an address, which stays set once
        # the position is beyond the last address.
        position, next_address, repeat_address = (
            Signal(bits + 1, name=name) for name in ("position", "next_address", "repeat_address")
        )
        address = Signal(bits + 2)
        # The first byte of a pair was taken.
        half = Signal()
        is_event = Signal()
        is_end = Signal()
        ends = Signal(range(2 + 0xFF - END_STEPS))
        number = byte[:4] + 1
        moved = Signal(bits + 1)
        skipped = Array(SKIP_UNIT * (1 + n) for n in range(16))[byte[:4]]
        code_is_event, code_is_end = frame | (byte < SKIP), ~frame & (byte >= END_STEPS)
        taken = position + moved
        after = address + 1
        m.d.comb += [
            moved.eq(Mux(code_is_event, byte, Mux(code_is_end, 0, skipped))),
            next_address.eq(Cat(after[:bits], after[bits:].any())),
            repeat_address.eq(Cat(address[:bits], address[bits:].any())),
        ]

        # Second byte, which spikes do not have. With it the event is complete, in registers.
        complete = Signal()
        free = Signal()
        settle = Signal()
        value = Signal(8)
        nonzero = Signal()
        is_set = Signal()
        good = Signal()
        room = Signal()
        ends_fit = Signal()
        count = Signal(range(self.limits.events + 1))
        steps = Signal(range(2 * (1 + 0xFF - END_STEPS)))
        # There were events since the last end of a time step.
        open_step = Signal()
        most = Mux(graded, Input.GRADED.run_steps, self.limits.steps)
        m.d.comb += [
            free.eq(~self.event.valid | self.event.ready),
            self.data.ready.eq(~complete),
            settle.eq(complete & free),
            self.busy.eq(half | complete),
            # In a frame a pair with value 0 only skips; an event with value 0 is invalid.
            is_set.eq(is_event & (~frame | nonzero)),
            good.eq((address < inputs) & nonzero),
            room.eq(count != self.limits.events),
            ends_fit.eq(steps + ends <= self.limits.steps),
            self.bad_steps.eq((steps == 0) | (steps > most) | open_step),
        ]
        with m.If(self.bound_en):
            m.d.sync += inputs.eq(Mux(self.bound > self.limits.inputs, self.limits.inputs, self.bound))
        with m.If(self.data.valid & ~complete):
            m.d.sync += [
                value.eq(Mux(spikes, SPIKE, byte)),
                nonzero.eq(spikes | byte.any()),
                half.eq(~half & ~spikes),
                complete.eq(half | spikes),
            ]
            with m.If(~half):
                m.d.sync += [address.eq(taken), is_event.eq(code_is_event), is_end.eq(code_is_end), ends.eq(number)]
        with m.If(self.event.ready):
            m.d.sync += self.event.valid.eq(0)
        with m.If(settle):
            m.d.sync += [
                complete.eq(0),
                position.eq(Mux(is_end, 0, Mux(is_set, next_address, repeat_address))),
                self.event.p.address.eq(address),
                self.event.p.value.eq(value),
                self.event.p.ends.eq(Mux(is_end, ends, 0)),
                self.event.valid.eq((is_event & good & room) | (is_end & ends_fit)),
            ]
            with m.If(is_set):
                m.d.sync += [
                    open_step.eq(1),
                    self.bad_event.eq(self.bad_event | ~good),
                    self.full.eq(self.full | ~room),
                    count.eq(count + room),
                ]
            with m.If(is_end):
                # Beyond the limit, the exact number does not matter.
                m.d.sync += [open_step.eq(0), steps.eq(Mux(ends_fit, steps + ends, self.limits.steps + 1))]
        with m.If(self.restart):
            m.d.sync += [position.eq(0), count.eq(0), steps.eq(0), open_step.eq(0)]
            m.d.sync += [flag.eq(0) for flag in (self.bad_event, self.full)]
        return m
