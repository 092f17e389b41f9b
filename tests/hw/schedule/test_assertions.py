"""The assertions of schedule and input fire: units that are driven wrongly, in Amaranth's own simulator."""

from collections.abc import Callable
from typing import Any

import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from opzo.hw.input.event_buffer import EventBuffer
from opzo.hw.input.spike_lists import SpikeLists
from opzo.hw.input.traces import Traces
from opzo.hw.lib.check import check_stream
from opzo.hw.schedule.pass_gate import PassGate
from opzo.hw.schedule.passes import Kind
from opzo.hw.schedule.word_gate import WordGate
from opzo.spec.limits import Limits

LIMITS = Limits(lanes=4, rows=64, inputs=16, words=2, classes=4)
Test = Callable[[Any, Any], Any]


class Wire(wiring.Component):
    """A stream that is checked on its way."""

    i: In(stream.Signature(4))
    o: Out(stream.Signature(4))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        wiring.connect(m, wiring.flipped(self.i), wiring.flipped(self.o))
        check_stream(m, "wire", self.i)
        return m


async def _wait(ctx: Any, cycles: int) -> None:
    for _ in range(cycles):
        await ctx.tick()


def drive(unit: Any, test: Test) -> None:
    simulator = Simulator(unit)
    simulator.add_clock(1e-6)

    async def run(ctx: Any) -> None:
        await test(ctx, unit)

    simulator.add_testbench(run)
    simulator.run()


async def valid_falls(ctx: Any, unit: Any) -> None:
    ctx.set(unit.i.valid, 1)
    await ctx.tick()
    ctx.set(unit.i.valid, 0)
    await _wait(ctx, 2)


async def payload_changes(ctx: Any, unit: Any) -> None:
    ctx.set(unit.i.valid, 1)
    await ctx.tick()
    ctx.set(unit.i.payload, 3)
    await _wait(ctx, 2)


async def release_without_run(ctx: Any, unit: Any) -> None:
    ctx.set(unit.release, 1)
    await _wait(ctx, 2)


async def too_many_spikes(ctx: Any, unit: Any) -> None:
    ctx.set(unit.spike.valid, 1)
    await _wait(ctx, LIMITS.words * LIMITS.lanes + 2)


async def empty_while_appending(ctx: Any, unit: Any) -> None:
    ctx.set(unit.spike.valid, 1)
    ctx.set(unit.empty.valid, 1)
    await _wait(ctx, 2)


async def mark_in_a_walk(ctx: Any, unit: Any) -> None:
    ctx.set(unit.mark.valid, 1)
    await _wait(ctx, 2)


async def taken_with_another_permission(ctx: Any, unit: Any) -> None:
    # LEARN_INPUT needs nothing but the passes before it.
    ctx.set(unit.next_pass.kind, Kind.LEARN_INPUT)
    ctx.set(unit.waiting, 1)
    await _wait(ctx, 4)
    ctx.set(unit.next_pass.layer, 1)
    ctx.set(unit.start.taken, 1)
    await _wait(ctx, 2)


async def taken_before_inputs_are_complete(ctx: Any, unit: Any) -> None:
    ctx.set(unit.waiting, 1)
    await _wait(ctx, 4)
    ctx.set(unit.start.taken, 1)
    await _wait(ctx, 2)


async def learned_before_credits_are_filled(ctx: Any, unit: Any) -> None:
    for signal in (unit.op.valid, unit.op.first, unit.words.learns):
        ctx.set(signal, 1)
    await _wait(ctx, 2)


@pytest.mark.parametrize(
    ("unit", "test", "message"),
    [
        (Wire, valid_falls, "stream wire: valid fell before ready"),
        (Wire, payload_changes, "stream wire: the payload changed before ready"),
        (lambda: EventBuffer(LIMITS), release_without_run, "a half is released that is not closed"),
        (lambda: SpikeLists(LIMITS), too_many_spikes, "a step list overflows"),
        (lambda: SpikeLists(LIMITS), empty_while_appending, "a list is emptied while it grows"),
        (lambda: Traces(3, 1), mark_in_a_walk, "a row is marked during a walk"),
        (lambda: PassGate(LIMITS), taken_with_another_permission, "with the permission of the pass before it"),
        (lambda: PassGate(LIMITS), taken_before_inputs_are_complete, "a pass starts before its inputs are complete"),
        (lambda: WordGate(LIMITS), learned_before_credits_are_filled, "a word is learned before its filtered credits"),
    ],
)
def test_assertion_fires(unit: Callable[[], Any], test: Test, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        drive(unit(), test)
