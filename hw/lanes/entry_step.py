"""Step of a feedback entry that the neurons of a block share."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from opzo.hw.neurons.neuron_state import block_sums
from opzo.spec.formats import MEMBRANE
from opzo.spec.limits import Limits
from opzo.spec.registers import LayerReg

FACTOR_CYCLES = 2
"""From the sums of a block to the factor of its steps: choice, a register for the wires."""
ENTRY_STEP_CYCLES = FACTOR_CYCLES + 2
"""From the sums of a block to the step: product, shifted product."""


def entry_step_width(limits: Limits) -> int:
    """Bits of a step: a difference of readouts times the square root of the neurons of a block."""
    return MEMBRANE.width + 1 + exact_log2(limits.block)


class EntryStep(wiring.Component):
    """Multiply a difference of readouts, or an error, by the signs or spikes of a block.

    The step is subtracted from the entry. Latency ENTRY_STEP_CYCLES, one entry a cycle. Golden twin:
    ``_update_entries`` of ``opzo.sim.golden.run``.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    sums : In(block_sums)
    exists, local : In(1)
        With ``sums``: the lane holds neurons; the entry is one of the local readout.
    factor : Out(signed)
        FACTOR_CYCLES after ``sums``: ``spikes`` for a local readout, else ``noise`` negated. 0 where the lane holds no
        neurons.
    difference : In(signed)
        With ``factor``: difference of readouts, or error of the local readout.
    shift : In, shift_local : In(1)
        One cycle after ``factor``: log2 of the side of a block; the product is shifted right by it, or by twice as much
        for a local readout.
    step : Out(signed)
    """

    sums: data.View
    exists: Signal
    local: Signal
    factor: Signal
    difference: Signal
    shift: Signal
    shift_local: Signal
    step: Signal

    def __init__(self, limits: Limits) -> None:
        self._shift_max = exact_log2(limits.block)
        layout = block_sums(limits)
        super().__init__(
            {
                "sums": In(layout),
                "exists": In(1),
                "local": In(1),
                "factor": Out(layout["noise"].shape),
                "difference": In(signed(MEMBRANE.width + 1)),
                "shift": In(LayerReg.BLOCK_SHIFT.bits),
                "shift_local": In(1),
                "step": Out(signed(entry_step_width(limits))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        factor = Signal.like(self.factor, reset_less=True)
        product = Signal(signed(len(self.factor) + len(self.difference)), reset_less=True)
        shifted = Signal.like(product)
        m.d.sync += [
            factor.eq(Mux(self.exists, Mux(self.local, self.sums.spikes, -self.sums.noise), 0)),
            self.factor.eq(factor),
            product.eq(self.factor * self.difference),
            self.step.eq(shifted),
        ]
        m.d.comb += shifted.eq(product)
        for shift in range(1, self._shift_max + 1):
            with m.If(self.shift == shift):
                m.d.comb += shifted.eq(Mux(self.shift_local, product >> 2 * shift, product >> shift))
        return m
