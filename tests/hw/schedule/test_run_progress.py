"""Progress of a run, and the passes that wait for it, in Amaranth's own simulator."""

from collections.abc import Callable
from typing import Any

import pytest
from amaranth.sim import Simulator

from opzo.hw.schedule.pass_gate import PassGate
from opzo.hw.schedule.passes import Kind
from opzo.hw.schedule.progress import RunProgress
from opzo.hw.timing import QUIET_CYCLES, credits_written
from opzo.spec.limits import Limits

LIMITS = Limits(lanes=4, rows=64, inputs=16, words=2, classes=4)


def drive(unit: Any, test: Callable[[Any, Any], Any]) -> None:
    simulator = Simulator(unit)
    simulator.add_clock(1e-6)

    async def run(ctx: Any) -> None:
        await test(ctx, unit)

    simulator.add_testbench(run)
    simulator.run()


async def counts_by_layer(ctx: Any, unit: Any) -> None:
    progress = unit.progress
    for layer in range(LIMITS.layers):
        await ctx.tick().repeat(credits_written(LIMITS))
        assert ctx.get(progress.feedback_quiet) == (1 << LIMITS.layers) - 1
        for valid in (1, 0):
            ctx.set(unit.op, {"valid": valid, "kind": Kind.FEEDBACK, "layer": layer})
            await ctx.tick()
        # One cycle has passed since the op.
        for cycle in range(1, credits_written(LIMITS)):
            quiet = cycle >= QUIET_CYCLES
            assert ctx.get(progress.feedback_quiet) == (1 << LIMITS.layers) - 1 - (not quiet) * (1 << layer), cycle
            assert not ctx.get(progress.credits_written)
            await ctx.tick()
        assert ctx.get(progress.credits_written)


async def waits_for_its_own_layer(ctx: Any, unit: Any, kind: Kind) -> None:
    ctx.set(unit.waiting, 1)
    for layer in range(LIMITS.layers):
        ctx.set(unit.next_pass, {"kind": kind, "layer": layer})
        ctx.set(unit.progress.error_steps, 1)
        ctx.set(unit.progress.fired_steps[layer], 1)
        for quiet in range(1 << LIMITS.layers):
            ctx.set(unit.progress.feedback_quiet, quiet)
            await ctx.tick().repeat(3)
            assert ctx.get(unit.start.may_start) == (quiet >> layer & 1), f"layer {layer}, quiet {quiet:b}"


async def waits_for_room(ctx: Any, unit: Any, kind: Kind) -> None:
    ctx.set(unit.waiting, 1)
    ctx.set(unit.next_pass, {"kind": kind, "readout": kind is Kind.SPIKES})
    ctx.set(unit.progress.fired_steps, [1] * LIMITS.layers)
    ctx.set(unit.progress.feedback_quiet, 1)
    for reading_out in (1, 0, 1):
        ctx.set(unit.progress.reading_out, reading_out)
        await ctx.tick().repeat(3)
        assert ctx.get(unit.start.may_start) == (not reading_out)


async def gives_room_once_announced(ctx: Any, unit: Any) -> None:
    for kind, readout, taken in ((Kind.SPIKES, 1, 1), (Kind.LOCAL, 0, 1), (Kind.SPIKES, 0, 0), (Kind.FIRE, 0, 0)):
        ctx.set(unit.next_pass, {"kind": kind, "readout": readout})
        ctx.set(unit.taken, 1)
        await ctx.tick()
        ctx.set(unit.taken, 0)
        for room in (0, 0, 1):
            assert ctx.get(unit.progress.reading_out) == taken, kind
            ctx.set(unit.error.room, room)
            await ctx.tick()
        ctx.set(unit.error.room, 0)
        assert not ctx.get(unit.progress.reading_out)


def test_feedback_is_quiet_by_layer() -> None:
    drive(RunProgress(LIMITS), counts_by_layer)


def test_readouts_wait_until_room_is_announced() -> None:
    drive(RunProgress(LIMITS), gives_room_once_announced)


@pytest.mark.parametrize("kind", [Kind.LOCAL, Kind.FEEDBACK])
def test_entries_of_the_own_layer_must_be_written(kind: Kind) -> None:
    drive(PassGate(LIMITS), lambda ctx, unit: waits_for_its_own_layer(ctx, unit, kind))


@pytest.mark.parametrize("kind", [Kind.LOCAL, Kind.SPIKES])
def test_readouts_need_room(kind: Kind) -> None:
    drive(PassGate(LIMITS), lambda ctx, unit: waits_for_room(ctx, unit, kind))
