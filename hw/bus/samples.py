"""Samples from a bus: packets of words become events and runs of the core."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.decode import decode_input
from opzo.hw.interface import EVENT, RUN, TAG_BITS
from opzo.hw.lib.check import check_stream
from opzo.spec.bus import EVENT_FIELDS, RUN_FIELDS, BitField
from opzo.spec.bus import TAG_BITS as USER_TAG_BITS
from opzo.spec.commands import RunFlag, Status
from opzo.spec.events import SPIKE
from opzo.spec.limits import Limits
from opzo.spec.registers import Reg
from opzo.spec.rules import Input

WORD = data.StructLayout({"data": 32, "last": 1})
"""A word of a packet."""
ANSWER = data.StructLayout({"status": max(Status).bit_length(), "tag": USER_TAG_BITS, "outputs": 1})
"""What the result of a sample needs: the head's status and tag, and whether readouts follow."""


def fields(word: Any, columns: tuple[BitField, ...]) -> dict[str, Any]:
    """Fields of a word by name, in lower case."""
    return {field.name.lower(): word[field.low : field.low + field.bits] for field in columns}


class SampleIntake(wiring.Component):
    """Check the words of samples and pass them to the core, a word in two cycles.

    Golden twin: ``opzo.sim.golden.bus.GoldenBus``. A word that is not allowed does not go to the core, and its run is
    refused.

    Parameters
    ----------
    limits : Limits
        Limits of the device.

    Members
    -------
    word : In(stream of WORD)
        Samples; their last words are RUN_FIELDS, the others EVENT_FIELDS of ``opzo.spec.bus``.
    hold, stop : In(1)
        Take no first word of a sample; no word at all.
    discard : In(1)
        Strobe, only while not ``working``: forget the words of a sample that has begun.
    register_address : In(8), register_data : In(32), register_write : In(1)
        Registers as they are written; the intake follows those that it needs.
    begun : Out(1)
        Words of a sample were taken, and it was neither run, refused nor discarded.
    working : Out(1)
        A word is being checked or waits for the core.
    room, drained : In(1)
        There is room for another result, so a last word may be taken; all runs have given their results.
    classes : Out(7)
        Register CLASSES.
    event, run, core_discard
        Input port of the core.
    answer : Out(stream of ANSWER)
        One for each sample: with status OK together with its run, else the refusal, when ``drained``.
    """

    word: In(stream.Signature(WORD))
    hold: In(1)
    stop: In(1)
    discard: In(1)
    register_address: In(8)
    register_data: In(32)
    register_write: In(1)
    begun: Out(1)
    working: Out(1)
    room: In(1)
    drained: In(1)
    classes: Out(Reg.CLASSES.bits)
    event: Out(stream.Signature(EVENT))
    run: Out(stream.Signature(RUN))
    core_discard: Out(1)
    answer: Out(stream.Signature(ANSWER))

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        limits = self.limits
        settings = {reg: Signal(reg.bits, name=reg.name.lower()) for reg in (Reg.INPUT, Reg.INPUTS, Reg.CLASSES)}
        for reg, value in settings.items():
            with m.If(self.register_write & (self.register_address == reg)):
                m.d.sync += value.eq(self.register_data)
        inputs, classes = Signal(range(limits.inputs + 1)), Signal(range(limits.classes + 1))
        kind = decode_input(settings[Reg.INPUT])
        frame, spikes, graded = ~kind.events, ~kind.values, kind.graded
        for bound, reg, most in ((inputs, Reg.INPUTS, limits.inputs), (classes, Reg.CLASSES, limits.classes)):
            m.d.sync += bound.eq(Mux(settings[reg] > most, most, settings[reg]))

        word = Signal(32, reset_less=True)
        item, run = fields(word, EVENT_FIELDS), fields(word, RUN_FIELDS)
        # Lowest address that may follow; one bit more than an address.
        following = Signal(len(item["address"]) + 1)
        count = Signal(range(limits.events + 1))
        steps = Signal(range(limits.steps + 2))
        open_step, bad_event, full, ended = (Signal() for _ in range(4))
        filled = Signal()
        tag = Signal(TAG_BITS)

        is_end = item["ends"] != 0
        reserved_clear = item["reserved"] == 0
        in_order = (item["address"] >= following) & (item["address"] < inputs) & reserved_clear
        empty = frame & (item["value"] == 0)
        good = in_order & (spikes | (item["value"] != 0))
        space = count != limits.events
        total = steps + item["ends"]
        ends_fit = total <= limits.steps
        most_steps = Mux(graded, Input.GRADED.run_steps, limits.steps)
        bad_steps = Mux(frame, ended, (steps == 0) | (steps > most_steps) | open_step)
        status = Signal(ANSWER["status"].shape, reset_less=True)
        submitted, refused = Signal(), Signal()

        m.d.comb += [
            self.event.p.address.eq(item["address"]),
            self.event.p.value.eq(Mux(spikes, SPIKE, item["value"])),
            self.event.p.ends.eq(item["ends"]),
            self.run.p.label.eq(run["label"]),
            self.run.p.tag.eq(tag),
            self.classes.eq(settings[Reg.CLASSES]),
            *(self.run.p[flag.name.lower()].eq(run["flags"][flag.bit]) for flag in RunFlag if flag.name),
            self.answer.p.status.eq(status),
            self.answer.p.tag.eq(run["tag"]),
            self.answer.p.outputs.eq(run["flags"][RunFlag.OUTPUTS.bit]),
            # Without events the core may have no half of its buffer open.
            self.core_discard.eq(filled & (refused | self.discard)),
        ]
        errors = {
            Status.BAD_EVENT: bad_event,
            Status.FULL: full,
            Status.BAD_STEPS: bad_steps,
            Status.BAD_LABEL: run["label"] >= classes,
        }
        with m.FSM() as fsm:
            with m.State("TAKE"):
                m.d.comb += self.word.ready.eq(~self.stop & (self.begun | ~self.hold) & (self.room | ~self.word.p.last))
                with m.If(self.word.valid & self.word.ready):
                    m.d.sync += [word.eq(self.word.p.data), self.begun.eq(1)]
                    m.next = "CHECK"
                    with m.If(self.word.p.last):
                        m.next = "JUDGE"
            with m.State("CHECK"):
                m.d.comb += self.event.valid.eq(Mux(is_end, ends_fit & ~frame & reserved_clear, good & space & ~empty))
                with m.If(self.event.ready | ~self.event.valid):
                    m.d.sync += [
                        filled.eq(filled | self.event.valid),
                        bad_event.eq(bad_event | ~Mux(is_end, reserved_clear, good | (empty & in_order))),
                    ]
                    with m.If(is_end):
                        # Beyond the limit, the exact number does not matter.
                        m.d.sync += [
                            ended.eq(1),
                            open_step.eq(0),
                            following.eq(0),
                            steps.eq(Mux(ends_fit, total, limits.steps + 1)),
                        ]
                    with m.Else():
                        m.d.sync += following.eq(item["address"] + 1)
                        with m.If(~empty):
                            m.d.sync += [open_step.eq(1), full.eq(full | ~space), count.eq(count + space)]
                    m.next = "TAKE"
            with m.State("JUDGE"):
                m.d.sync += status.eq(Status.OK)
                m.next = "ACCEPT"
                # The first of several errors is the answer.
                for error, found in reversed(errors.items()):
                    with m.If(found):
                        m.d.sync += status.eq(error)
                        m.next = "REFUSE"
            with m.State("ACCEPT"):
                m.d.comb += self.answer.valid.eq(1)
                with m.If(self.answer.ready):
                    m.next = "SUBMIT"
            with m.State("SUBMIT"):
                m.d.comb += [self.run.valid.eq(1), submitted.eq(self.run.ready)]
                with m.If(self.run.ready):
                    m.d.sync += tag.eq(tag + 1)
                    m.next = "TAKE"
            with m.State("REFUSE"):
                # Results are in the order of the samples.
                m.d.comb += [self.answer.valid.eq(self.drained), refused.eq(self.answer.valid & self.answer.ready)]
                with m.If(refused):
                    m.next = "TAKE"
        m.d.comb += self.working.eq(~fsm.ongoing("TAKE"))
        for name in ("event", "run", "answer"):
            check_stream(m, name, getattr(self, name))
        with m.If(submitted | refused | self.discard):
            m.d.sync += [self.begun.eq(0), filled.eq(0), following.eq(0), count.eq(0), steps.eq(0)]
            m.d.sync += [flag.eq(0) for flag in (open_step, bad_event, full, ended)]
        return m
