"""Units that are used against their rules: their assertions fire. Each case without its last cycle breaks no rule."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from opzo.hw.core import Core
from opzo.hw.error.error_unit import ErrorUnit
from opzo.hw.error.feedback_scale import ScaleEstimator
from opzo.hw.error.readout_shifter import ReadoutShifter
from opzo.hw.gradients.scale import GradientScale
from opzo.hw.input.active_rows import ActiveRows
from opzo.hw.input.event_ends import EventEnds
from opzo.hw.input.map_scan import MapScan
from opzo.hw.input.traces import Traces
from opzo.hw.registers import RegisterFile
from opzo.hw.results import Results
from opzo.hw.run_control import RunControl
from opzo.hw.schedule.row_order import check_local_rows
from opzo.hw.schedule.window_walk import WindowWalk
from opzo.spec.limits import Limits
from opzo.spec.registers import Reg

LIMITS = Limits(lanes=4, rows=64, inputs=16, words=2, classes=4)
MAPS = replace(LIMITS, gradients=16, blocks=4)
Cycle = dict[str, Any]


class RowOrder(wiring.Component):
    """The check of rows for local readouts, which has no ports."""

    command: In(data.StructLayout({"address": 4, "update": 1}))
    tag: In(data.StructLayout({"local": 1}))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        check_local_rows(m, self.command, self.tag)
        return m


def simulate(unit: Any, cycles: list[Cycle]) -> None:
    """Set ports by their dotted names, cycle after cycle; a strobe that a cycle does not name falls."""

    async def bench(ctx: Any) -> None:
        before: Cycle = {}
        for cycle in (*cycles, {}, {}):
            for name, value in (dict.fromkeys(before, 0) | cycle).items():
                port = unit
                for part in name.split("."):
                    port = getattr(port, part)
                ctx.set(port, value)
            await ctx.tick()
            before = {name: value for name, value in cycle.items() if value == 1}

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


WAIT: Cycle = {}
SETTLED = [WAIT] * 80
STEP, READOUT = {"step.start": 1}, {"readout.valid": 1}
EVENTS = {"start.valid": 1, "start.end": 5, "channels": 4, "positions": 4}
SCAN = {"start": 1, "map.channels": 4, "map.positions": 2}
UPDATE = {"command.address": 3, "command.update": 1}
QUEUED = {"queued.valid": 1}


@pytest.mark.parametrize(
    ("unit", "cycles", "text"),
    [
        (lambda: ActiveRows(LIMITS), [*SETTLED, {"clear": 1}, {"run.start": 1}], "run starts while traces are"),
        (lambda: ErrorUnit(LIMITS), [STEP, STEP], "step starts before the error unit has taken the step ahead"),
        (lambda: ErrorUnit(LIMITS), [WAIT, READOUT], "readout comes that belongs to no step"),
        (lambda: EventEnds(MAPS), [EVENTS, WAIT, EVENTS], "walk over events starts during another one"),
        (lambda: ScaleEstimator(LIMITS), [{"clear": 1}, {"clear": 1, "entry.valid": 1}], "together with a clear"),
        (lambda: GradientScale(MAPS), [{"start": 1}, WAIT, {"start": 1}], "search starts before the last one has"),
        (lambda: GradientScale(MAPS), [{"start": 1}, WAIT, {"gradient.valid": 1}], "before its shift is known"),
        (lambda: MapScan(6), [SCAN, WAIT, {"start": 1}], "scan starts before the last one has ended"),
        (lambda: ReadoutShifter(LIMITS), [{"soon": 1, "lanes": 4}, WAIT, {"soon": 1}], "while readouts are left"),
        (lambda: RegisterFile(LIMITS), [{"address": Reg.SAMPLES, "write_en": 1}, {"sample_done": 1}], "as a run ends"),
        (lambda: Results(), [{"start": 1}, {"start": 1}], "before the results of the last one were taken"),
        (RowOrder, [UPDATE, {"tag.local": 1}], "local readout reads a row before its update is written"),
        (RunControl, [QUEUED, QUEUED, QUEUED, QUEUED, {"blocked": 1}], "row or an answer is under way in a run"),
        (lambda: Traces(3, 1), [*SETTLED, {"mark.valid": 1}, {"begin": 1}], "a run begins while a mark is under way"),
        (lambda: WindowWalk(MAPS), [{"layer.valid": 1, "layer.p.kernel": 2}, *SETTLED], "layer that is no convolution"),
    ],
)
def test_assertion_fires(unit: Callable[[], Any], cycles: list[Cycle], text: str) -> None:
    if cycles[-1]:
        simulate(unit(), cycles[:-1])
    with pytest.raises(AssertionError, match=text):
        simulate(unit(), cycles)


def test_registers_are_written_in_a_run() -> None:
    begin, write = [*SETTLED, {"link.run.valid": 1}, *[WAIT] * 6], {"link.register_w_en": 1}
    simulate(Core(LIMITS), [*SETTLED, write])
    with pytest.raises(AssertionError, match="the host writes a register in a run"):
        simulate(Core(LIMITS), [*begin, write])
