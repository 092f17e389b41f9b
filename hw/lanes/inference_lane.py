"""One lane of a device that only infers: multiplier, accumulator, register of the shift chain."""

from typing import Any

from amaranth import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from opzo.hw.lanes.accumulator import Accumulator
from opzo.hw.lanes.lane_command import SUM, lane_fields, lane_stage
from opzo.hw.lanes.lane_ports import ShiftChainSignature
from opzo.hw.lib.primitives import primitives
from opzo.hw.lib.record import record
from opzo.hw.timing import ACCUMULATED, HISTORY, PRODUCT
from opzo.spec.formats import WEIGHT
from opzo.spec.limits import Limits


class InferenceLane(wiring.Component):
    """What `Lane` does for `integrate` and for the shift chain, in the same stages.

    Golden twin: ``opzo.sim.golden.integrate.integrate``.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    stage_S : In(lane_stage), for each S of `lane_fields`
        Fields of the command at stage S.
    row : In(signed)
        Row at stage ROW, in the units of WEIGHT.
    shift_chain : In(ShiftChainSignature)
        Register of the lane in the shift chain: ``input`` is the register of the next lane.
    """

    row: Signal
    shift_chain: Any

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            {
                **{f"stage_{s}": In(lane_stage(limits, s)) for s in lane_fields(limits)},
                "row": In(signed(WEIGHT.width)),
                "shift_chain": In(ShiftChainSignature()),
            }
        )
        self.stage: dict[int, data.View] = {s: getattr(self, f"stage_{s}") for s in lane_fields(limits)}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.multiplier = multiplier = primitives(platform).multiplier()
        m.submodules.accumulator = accumulator = Accumulator()
        # As many registers as in `Lane`: the shifted row, and one near the multiplier.
        shifted = Signal(signed(WEIGHT.width), reset_less=True)
        a = Signal.like(multiplier.a, reset_less=True)
        chain = record(SUM, "chain", reset_less=True)
        m.d.sync += [shifted.eq(self.row), a.eq(shifted)]
        m.d.comb += [
            multiplier.a.eq(a),
            multiplier.b.eq(self.stage[HISTORY].operand),
            accumulator.product.eq(multiplier.product),
            accumulator.en.eq(self.stage[PRODUCT].integrate),
            accumulator.first.eq(self.stage[PRODUCT].first),
            self.shift_chain.output.eq(chain),
        ]
        # No noise is drawn: ``negative`` stays 0.
        with m.If(self.shift_chain.shift):
            m.d.sync += chain.value.eq(self.shift_chain.input.value)
        with m.If(self.stage[ACCUMULATED].sums | self.stage[ACCUMULATED].load_row):
            m.d.sync += chain.value.eq(accumulator.sum)
        return m
