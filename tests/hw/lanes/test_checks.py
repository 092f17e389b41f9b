"""Each assertion of the lanes and neurons fires once the design around it breaks its rule."""

from dataclasses import replace

import pytest
from amaranth.sim import Simulator

from opzo.hw.lanes.lane_command import AfterWord
from opzo.hw.lanes.lanes import Lanes
from opzo.hw.neurons.neurons import Neurons
from opzo.spec.limits import Limits

LIMITS = Limits(lanes=4, rows=16, inputs=4, words=2, classes=4, steps=3)
CONVOLUTION = replace(LIMITS, gradients=4, blocks=2)


def run(unit, drive):
    async def bench(ctx):
        await drive(ctx)
        for _ in range(20):
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


def commands(*rows, limits=LIMITS):
    """Send commands to the lanes, one per cycle; then empty ones."""
    lanes = Lanes(limits)

    async def drive(ctx):
        for row in (*rows, {}):
            ctx.set(lanes.command, row)
            await ctx.tick()

    run(lanes, drive)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ({"integrate": 1, "learn": 1}, "two operations at once"),
        ({"update": 1}, "updates a row that it does not read"),
        ({"update": 1, "feedback": 1, "history": 1}, "with credits of a history"),
        ({"sums": 1}, "use of the sums"),
        # Without convolutions no neurons share a sum.
        ({"sums": 1, "after_word": AfterWord.SHARE}, "use of the sums"),
        ({"load_row": 1, "store_low": 1}, "two uses of the shift chain"),
        ({"store_low": 1, "draw": 1}, "random state"),
    ],
)
def test_fields_that_do_not_go_together(command, text):
    with pytest.raises(AssertionError, match=text):
        commands(command)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ({"apply": 1, "learn": 1}, "two operations at once"),
        ({"load_row": 1, "store_gradient_low": 1}, "two uses of the shift chain"),
        ({"accumulate": 1}, "no update of a learn operation"),
        ({"accumulate": 1, "learn": 1, "update": 1}, "it changes the row too"),
        ({"quarter": 1, "learn": 1}, "a quarter of an update"),
    ],
)
def test_fields_of_convolutions_that_do_not_go_together(command, text):
    with pytest.raises(AssertionError, match=text):
        commands(command, limits=CONVOLUTION)


def test_gradients_applied_before_the_last_update_is_added():
    add, apply = {"learn": 1, "accumulate": 1}, {"apply": 1}
    with pytest.raises(AssertionError, match="before the last update is added"):
        commands(add, *[{}] * 3, apply, limits=CONVOLUTION)
    commands(add, *[{}] * 4, apply, limits=CONVOLUTION)


def test_row_read_before_its_update_is_written():
    update, read, pause = {"address": 3, "learn": 1, "update": 1}, {"address": 3, "integrate": 1}, {}
    with pytest.raises(AssertionError, match="before its update is written"):
        commands(update, *[pause] * 9, read)
    commands(update, *[pause] * 10, read)
    commands(update, read | {"address": 2})


def neurons(*cycles):
    """Set inputs of the neurons of a group of two lanes, cycle after cycle."""
    unit = Neurons(LIMITS, 2)

    async def drive(ctx):
        for start, load, credit_filter, error in cycles:
            ctx.set(unit.word.start, start)
            ctx.set(unit.word.load, load)
            ctx.set(unit.word.command, {"after_word": AfterWord.FIRE})
            ctx.set(unit.filter, credit_filter)
            ctx.set(unit.error, error)
            await ctx.tick()

    run(unit, drive)


IDLE = (0, 0, {}, {})
START, LOAD = (1, 0, {}, {}), (0, 1, {}, {})


@pytest.mark.parametrize(
    ("cycles", "text"),
    [
        ([(1, 1, {}, {})], "started and loaded at once"),
        ([START, START], "before the last lane"),
        ([START, LOAD], "before the last lane"),
        ([START, IDLE, START], "while a new one is computed"),
        ([(0, 0, {"valid": 1, "readout": 1}, {"valid": 1})], "read in the cycle in which it is written"),
    ],
)
def test_words_that_come_too_early(cycles, text):
    with pytest.raises(AssertionError, match=text):
        neurons(*cycles, IDLE)


def test_credit_read_while_it_is_written():
    unit = Neurons(LIMITS, 2)

    async def drive(ctx):
        ctx.set(unit.filter, {"valid": 1})
        ctx.set(unit.word.command, {"after_word": AfterWord.CREDIT})
        ctx.set(unit.word.start, 1)
        await ctx.tick()
        ctx.set(unit.word.start, 0)

    with pytest.raises(AssertionError, match="read in the cycle in which it is written"):
        run(unit, drive)


def test_code_read_twice_at_once():
    limits = replace(LIMITS, gradients=4, blocks=2, block=2)

    async def drive(ctx):
        ctx.set(unit.filter, {"valid": 1, "shared": 1})
        ctx.set(unit.word.command, {"after_word": use})
        ctx.set(unit.word.start, 1)
        await ctx.tick()
        ctx.set(unit.word.start, 0)
        ctx.set(unit.filter, {})

    unit, use = Neurons(limits, 2), AfterWord.SHARE
    run(unit, drive)
    unit, use = Neurons(limits, 2), AfterWord.CREDIT
    with pytest.raises(AssertionError, match="code is read"):
        run(unit, drive)
