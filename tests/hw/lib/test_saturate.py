import numpy as np
import pytest
from amaranth import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.saturate import Saturate
from opzo.sim.benches.bench import run_bench
from opzo.sim.golden.saturate import saturate

WIDTH = 7


class Saturations(wiring.Component):
    """One value saturated to all widths from 2 bits on."""

    def __init__(self):
        outputs = {f"o_{width}": Out(signed(width)) for width in range(2, WIDTH + 1)}
        flags = {f"saturated_{width}": Out(1) for width in range(2, WIDTH + 1)}
        super().__init__({"i": In(signed(WIDTH))} | outputs | flags)

    def elaborate(self, platform):
        m = Module()
        # The bench runs on a clock.
        ticks = Signal()
        m.d.sync += ticks.eq(~ticks)
        for width in range(2, WIDTH + 1):
            m.submodules[f"to_{width}"] = unit = Saturate(WIDTH, width)
            m.d.comb += [
                unit.i.eq(self.i),
                getattr(self, f"o_{width}").eq(unit.o),
                getattr(self, f"saturated_{width}").eq(unit.saturated),
            ]
        return m


def test_unit_matches_golden():
    run_bench(Saturations(), name="saturate", test_module="opzo.sim.benches.lib.saturate", parameters={"width": WIDTH})


@pytest.mark.parametrize("width_out", [0, 1, 8])
def test_rejects_widths(width_out):
    with pytest.raises(ValueError, match=f"not {width_out}"):
        Saturate(WIDTH, width_out)


def test_golden_by_hand():
    clipped, saturated = saturate(np.array([-5, -4, -1, 0, 3, 4]), 3)
    assert clipped.tolist() == [-4, -4, -1, 0, 3, 3]
    assert saturated.tolist() == [True, False, False, False, False, True]
