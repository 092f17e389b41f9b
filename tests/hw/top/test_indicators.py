"""The device without its line: what its indicators are told, in Amaranth's simulator."""

from collections import Counter
from typing import Any

import pytest
from amaranth.sim import Simulator

from opzo.hw.top import Top
from opzo.spec.commands import Command, RunFlag
from opzo.spec.frames import Frame
from opzo.spec.limits import Limits
from opzo.spec.registers import Reg

LIMITS = Limits(lanes=4, rows=64, inputs=16, words=2, classes=4)
STROBES = ("received", "refused", "training")
SYNC = Frame(0, Command.SYNC, bytes(4))
CLASSES = bytes((Reg.CLASSES, 2, 0, 0, 0))
RUN = bytes((RunFlag.TRAIN, 0))
LONGEST = 250
"""Cycles in which a frame is received and done."""


@pytest.fixture(scope="module")
def counted() -> list[Counter[str]]:
    """Strobes of a good frame, of one refused because of its number, of a setting, of a run with learning."""
    found: list[Counter[str]] = []
    top = Top(LIMITS)

    async def bench(ctx: Any) -> None:
        ctx.set(top.tx.ready, 1)
        settings = Frame(1, Command.WRITE_REGISTERS, CLASSES)
        for frame in (SYNC, Frame(7, Command.RESET, b""), settings, Frame(2, Command.RUN, RUN)):
            counts: Counter[str] = Counter()
            todo = [*frame.encode()]
            cycles = 0
            while todo or cycles < LONGEST:
                ctx.set(top.rx.valid, bool(todo))
                if todo:
                    ctx.set(top.rx.payload, todo[0])
                _, _, *sampled = await ctx.tick().sample(*(getattr(top, name) for name in STROBES), top.rx.ready)
                *strobes, taken = sampled
                if todo and taken:
                    todo.pop(0)
                counts.update(name for name, strobe in zip(STROBES, strobes, strict=True) if strobe)
                cycles += 1
            found.append(counts)

    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def test_good_frame_is_told(counted: list[Counter[str]]) -> None:
    assert counted[0] == {"received": 1}


def test_refused_frame_is_told(counted: list[Counter[str]]) -> None:
    assert counted[1] == {"received": 1, "refused": 1}


def test_run_with_learning_is_told(counted: list[Counter[str]]) -> None:
    assert counted[3] == {"received": 1, "training": 1}
