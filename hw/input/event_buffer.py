"""Double buffer of input events between link and engine."""

from typing import Any

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, Signature
from amaranth.utils import exact_log2

from opzo.hw.input.traces import STEPS_BITS
from opzo.hw.interface import EVENT, RUN
from opzo.hw.lib.check import check, check_stream
from opzo.hw.lib.record import record
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.limits import Limits


class EventCountSignature(Signature):
    """Events of a run: their number, and their number up to the end of each time step."""

    def __init__(self, limits: Limits) -> None:
        count = exact_log2(limits.events) + 1
        super().__init__({"count": Out(count), "ends": Out(data.ArrayLayout(count, HISTORY_STEPS))})


class EventReadSignature(Signature):
    """Read port of the events of a run, as seen from its reader.

    Members
    -------
    index : Out, address : In, value : In
        Event whose address and value are valid one cycle later.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            {
                "index": Out(exact_log2(limits.events)),
                "address": In(EVENT["address"].shape),
                "value": In(EVENT["value"].shape),
            }
        )


class EventBuffer(wiring.Component):
    """Collect the events of one run while the engine reads those of the run before.

    There are two halves: ``run`` closes the one that is being filled, ``release`` opens the oldest closed one again.
    Inputs are registered first, so that ``ready`` is all that their source waits for. An event in the same cycle as
    ``run`` still belongs to the half that ``run`` closes. Events beyond the depth of a half are dropped. Memory word:
    address and value of an event; address: half, index.

    Parameters
    ----------
    limits : Limits
        Depth of a half: ``limits.events``.

    Members
    -------
    event, run, discard
        As in CoreSignature: not ready while both halves are closed. ``discard`` empties the half that is being filled,
        including an event of the same cycle, and does nothing while both are closed.
    sample_valid : Out(1)
        A half is closed; the following ports describe the oldest one.
    sample : Out(RUN), steps : Out
        Its run, and how many time steps have ended in it.
    counts : Out(EventCountSignature), read : In(EventReadSignature)
        Its events.
    dropped : Out(1)
        Strobe: an event found the half full.
    release : In(1)
        Strobe: the oldest closed half is free. Only while ``sample_valid``.
    queued : Out(1)
        Some half is closed; rises one cycle before ``sample_valid``.
    """

    event: stream.Interface
    run: stream.Interface
    discard: Signal
    sample_valid: Signal
    sample: data.View
    steps: Signal
    counts: Any
    read: Any
    dropped: Signal
    release: Signal
    queued: Signal

    def __init__(self, limits: Limits) -> None:
        self.index_bits = exact_log2(limits.events)
        super().__init__(
            {
                "event": In(stream.Signature(EVENT)),
                "run": In(stream.Signature(RUN)),
                "discard": In(1),
                "sample_valid": Out(1),
                "sample": Out(RUN),
                "steps": Out(STEPS_BITS),
                "counts": Out(EventCountSignature(limits)),
                "read": In(EventReadSignature(limits)),
                "dropped": Out(1),
                "release": In(1),
                "queued": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word = data.StructLayout({name: EVENT[name].shape for name in ("address", "value")})
        memory: Memory = Memory(shape=word, depth=2 << self.index_bits, init=[])
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()

        filling = Signal()
        oldest = Signal()
        closed = Array(Signal(name=f"closed_{half}") for half in range(2))
        counts = Array(Signal(self.index_bits + 1, name=f"count_{half}") for half in range(2))
        samples = Array(Signal(RUN, name=f"sample_{half}", reset_less=True) for half in range(2))
        steps = Array(Signal(STEPS_BITS, name=f"steps_{half}") for half in range(2))
        ends = [
            [Signal(self.index_bits + 1, name=f"end_{half}_{step}", reset_less=True) for step in range(HISTORY_STEPS)]
            for half in range(2)
        ]
        # Runs that were accepted and not released; from their number follows whether a half is open.
        runs = Signal(2)
        next_runs = Signal(2)
        is_open = Signal(init=1)
        m.d.comb += next_runs.eq(runs + (self.run.valid & is_open) - self.release)
        m.d.sync += [runs.eq(next_runs), is_open.eq(next_runs != 2), self.queued.eq(next_runs != 0)]

        # Inputs of the last cycle.
        taken = record(EVENT, "taken", reset_less=True)
        ended = record(RUN, "ended", reset_less=True)
        event = Signal()
        mark = Signal()
        end = Signal()
        discard = Signal()
        fill = Signal.like(self.counts.count)
        m.d.sync += [
            taken.eq(self.event.p),
            event.eq(self.event.valid & is_open & (self.event.p.ends == 0)),
            mark.eq(self.event.valid & is_open & (self.event.p.ends != 0)),
            ended.eq(self.run.p),
            end.eq(self.run.valid & is_open),
            discard.eq(self.discard & is_open),
        ]

        m.d.comb += [
            self.dropped.eq(event & fill[-1]),
            fill.eq(counts[filling]),
            self.event.ready.eq(is_open),
            self.run.ready.eq(is_open),
            write.addr.eq(fill[:-1] | (filling << self.index_bits)),
            write.data.address.eq(taken.address),
            write.data.value.eq(taken.value),
            write.en.eq(event & ~fill[-1]),
            read.addr.eq(self.read.index | (oldest << self.index_bits)),
            self.read.address.eq(read.data.address),
            self.read.value.eq(read.data.value),
            self.sample_valid.eq(closed[oldest]),
            self.sample.eq(samples[oldest]),
            self.counts.count.eq(counts[oldest]),
            self.steps.eq(steps[oldest]),
            [self.counts.ends[step].eq(Mux(oldest, ends[1][step], ends[0][step])) for step in range(HISTORY_STEPS)],
        ]
        for half in range(2):
            with m.If(filling == half):
                with m.If(discard):
                    m.d.sync += [counts[half].eq(0), steps[half].eq(0)]
                with m.Elif(write.en):
                    m.d.sync += counts[half].eq(counts[half] + 1)
                with m.Elif(mark):
                    m.d.sync += steps[half].eq(steps[half] + taken.ends)
            # All later steps end here as well, until a later mark.
            for step in range(HISTORY_STEPS):
                with m.If(mark & (filling == half) & (steps[half] <= step)):
                    m.d.sync += ends[half][step].eq(fill)
        with m.If(end):
            m.d.sync += [samples[filling].eq(ended), closed[filling].eq(1), filling.eq(~filling)]
        # Never the half that is being filled, because that one is open.
        with m.If(self.release):
            m.d.sync += [closed[oldest].eq(0), counts[oldest].eq(0), steps[oldest].eq(0), oldest.eq(~oldest)]
        check(m, "release", ~self.release | closed[oldest], "a half is released that is not closed")
        check(m, "half", ~end | ~closed[filling], "a run ends in a half that is closed")
        check(m, "room", ~write.en | ~closed[filling], "an event is written to a half that is closed")
        check_stream(m, "event", self.event)
        check_stream(m, "run", self.run)
        return m
