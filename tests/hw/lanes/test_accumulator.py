import numpy as np
from amaranth import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lanes.accumulator import SUM_SHIFT, Accumulator
from opzo.hw.lib.multiplier import WIDTH, Multiplier
from opzo.hw.lib.saturate import Saturate
from opzo.sim.benches.bench import run_bench
from opzo.sim.golden.feedback import feedback_sum
from opzo.sim.golden.integrate import integrate
from opzo.spec.formats import ACCUMULATOR, MEMBRANE, WEIGHT


class MultiplyAccumulate(wiring.Component):
    """Multiplier and accumulator as a lane connects them, and the saturation that a group has for the sums."""

    a: In(signed(WIDTH))
    b: In(signed(WIDTH))
    product: Out(signed(2 * WIDTH))
    en: In(1)
    first: In(1)
    sum: Out(signed(ACCUMULATOR.width - SUM_SHIFT))
    current: Out(signed(MEMBRANE.width))
    saturated: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiplier = multiplier = Multiplier()
        m.submodules.accumulator = accumulator = Accumulator()
        m.submodules.saturate = saturate = Saturate(ACCUMULATOR.width - SUM_SHIFT, MEMBRANE.width)
        m.d.comb += [
            multiplier.a.eq(self.a),
            multiplier.b.eq(self.b),
            self.product.eq(multiplier.product),
            accumulator.product.eq(multiplier.product),
            accumulator.en.eq(self.en),
            accumulator.first.eq(self.first),
            self.sum.eq(accumulator.sum),
            saturate.i.eq(accumulator.sum),
            self.current.eq(saturate.o),
            self.saturated.eq(saturate.saturated),
        ]
        return m


def test_unit_matches_golden():
    run_bench(MultiplyAccumulate(), name="accumulate", test_module="opzo.sim.benches.lanes.accumulator")


def test_golden_integrate_by_hand():
    # Each product floors to units of 1/16 of a current's, the sum floors again.
    weights = np.array([[[100, -1], [7, -1], [-3, -1]]])
    current, saturated = integrate(weights, np.array([256, 8, 3]))
    # 1600 + 3 + -1 = 1602 and -16 + -1 + -1 = -18.
    assert current.tolist() == [[100, -2]]
    assert not saturated.any()
    current, saturated = integrate(np.full((1, 17, 1), WEIGHT.max), 256)
    assert current.tolist() == [[MEMBRANE.max]]
    assert saturated.tolist() == [[True]]


def test_golden_feedback_sum_by_hand():
    entries = np.array([[[-5, 2000], [3, -2000], [1, 1]]])
    # Halved: -3, 1, 0; and 255 and -256, saturated.
    assert feedback_sum(entries, 1, np.array([10, 100, 1000])).tolist() == [[70, 10 * 255 - 100 * 256]]
