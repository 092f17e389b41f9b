import numpy as np
import pytest
from amaranth import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lanes.selector import SUM_WIDTH, CreditSelector, TableSums, tables
from opzo.hw.neurons.credit_filter import CreditFilter
from opzo.sim.benches.bench import run_bench
from opzo.sim.benches.neurons.credit_filter import LANES
from opzo.sim.golden.credit import filter_credit, frame_update, spike_update, trace_update
from opzo.spec.formats import CREDIT, FRAME_CREDIT, HISTORY_STEPS, TRACE_FRAC_BITS
from opzo.spec.limits import Limits


def by_step(*credits):
    """Credits of one neuron: (steps, 1, 1)."""
    return np.array(credits)[:, None, None]


class FilterAndSelect(wiring.Component):
    """Credit filter, sums for tables, and the selectors of LANES lanes, one cycle behind the sums, as in a group.

    All lanes have the same ``take_factor``, ``take_tables`` and ``history``.
    """

    def __init__(self, steps):
        self._limits = Limits(lanes=4, rows=16, inputs=4, words=4, classes=4, steps=steps)
        super().__init__(
            {
                "credit": In(signed(CREDIT.width)),
                "en": In(1),
                "lane": In(range(LANES)),
                "step": In(range(HISTORY_STEPS)),
                "first": In(1),
                "frame": In(1),
                "take_factor": In(1),
                "take_tables": In(1),
                "history": In(HISTORY_STEPS),
                "exists": In(LANES),
                **{f"factor_{n}": Out(signed(FRAME_CREDIT.width)) for n in range(LANES)},
                **{f"selected_{n}": Out(signed(SUM_WIDTH)) for n in range(LANES)},
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.filter = filter_ = CreditFilter()
        m.submodules.sums = sums = TableSums(self._limits, LANES)
        filtered = sums.filtered
        m.d.sync += [filtered.valid.eq(self.en), filtered.lane.eq(self.lane), filtered.step.eq(self.step)]
        m.d.comb += [
            *(getattr(filter_, name).eq(getattr(self, name)) for name in ("credit", "en", "first", "frame")),
            filtered.credit.eq(filter_.filtered),
            filtered.factor.eq(filter_.factor),
        ]
        for lane in range(LANES):
            m.submodules[f"selector_{lane}"] = selector = CreditSelector(self._limits)
            write = selector.write
            for n in range(tables(self._limits)):
                m.d.sync += [write.en[n].eq(sums.table_lanes[n][lane]), write.entry[n].eq(sums.entry[n])]
                m.d.comb += write.sum[n].eq(sums.sum[n])
            m.d.comb += [
                write.factor.eq(sums.factor),
                selector.take_factor.eq(self.take_factor),
                selector.take_tables.eq(self.take_tables),
                selector.history.eq(self.history),
                selector.exists.eq(self.exists[lane]),
                getattr(self, f"factor_{lane}").eq(selector.active_factor),
                getattr(self, f"selected_{lane}").eq(selector.selected),
            ]
        return m


@pytest.mark.parametrize("steps", [1, 3, 5, 6, HISTORY_STEPS])
def test_unit_matches_golden(steps):
    run_bench(
        FilterAndSelect(steps),
        name=f"filter-{steps}",
        test_module="opzo.sim.benches.neurons.credit_filter",
        parameters={"steps": steps},
    )


def test_golden_by_hand():
    # Halves round towards 0.
    filtered = filter_credit(by_step(10, -3, 5))
    assert filtered[:, 0, 0].tolist() == [10, -1, 5]
    assert spike_update(filtered, np.array([0b000, 0b001, 0b010, 0b100, 0b111, 0b101]))[0, :, 0].tolist() == [
        0,
        10,
        -1,
        5,
        14,
        15,
    ]
    # 14 * 255 / 256 = 13.95, 14 * 10 / 256 = 0.55, 14 * 9 / 256 = 0.49.
    assert frame_update(filtered, np.array([255, 10, 9, 0]))[0, :, 0].tolist() == [14, 1, 0, 0]
    # E[0] = 10: 10 * 128 / 256 = 5; 10 * 13 / 256 = 0.51, 10 * 12 / 256 = 0.47; graded inputs have 9 bits.
    assert trace_update(filtered, np.array([128, 13, 12, 0, 510]))[0, :, 0].tolist() == [5, 1, 0, 0, 20]
    for end, sign in ((CREDIT.max, 1), (CREDIT.min, -1)):
        filtered = filter_credit(by_step(*[end] * 8))
        assert sign * filtered[0, 0, 0] > 2 * CREDIT.max - CREDIT.max // 64
        limit = FRAME_CREDIT.max if sign > 0 else FRAME_CREDIT.min
        assert frame_update(filtered, np.array([256]))[0, 0, 0] == limit


def test_filter_is_the_trace_seen_from_the_other_side():
    # Credits whose halves are whole: the sum over steps of trace times credit, trace = trace / 2 + spike.
    rng = np.random.default_rng(3)
    for _ in range(200):
        steps = int(rng.integers(1, 9))
        credits = rng.integers(-100, 101, steps) << 8
        history = int(rng.integers(1 << steps))
        trace, expected = 0.0, 0.0
        for step in range(steps):
            trace = trace / 2 + (history >> step & 1)
            expected += trace * credits[step]
        assert spike_update(filter_credit(by_step(*credits)), np.array([history]))[0, 0, 0] == expected


def test_runs_in_a_row_are_one_long_run():
    # What spikes of earlier runs add through the trace: half of it, times E[0]; credits and traces without remainders.
    rng = np.random.default_rng(4)
    for _ in range(200):
        steps = int(rng.integers(1, 9))
        credits = rng.integers(-50, 51, steps) << 10
        history = int(rng.integers(1 << steps))
        before = int(rng.integers(8)) << TRACE_FRAC_BITS - 2
        trace, expected = before / (1 << TRACE_FRAC_BITS), 0.0
        for step in range(steps):
            trace = trace / 2 + (history >> step & 1)
            expected += trace * credits[step]
        filtered = filter_credit(by_step(*credits))
        update = spike_update(filtered, np.array([history])) + trace_update(filtered, np.array([before]))
        assert update[0, 0, 0] == expected
