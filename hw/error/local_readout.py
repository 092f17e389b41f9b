"""Local readout: sum of the entries of the neurons that spiked."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from opzo.hw.lanes.lane_ports import local_width
from opzo.hw.lib.saturate import Saturate
from opzo.spec.formats import MEMBRANE
from opzo.spec.limits import Limits
from opzo.spec.registers import LayerReg


class LocalReadout(wiring.Component):
    """Add up the words of a class and saturate the sum to a readout. With convolutions it is a mean over blocks.

    Golden twin: ``opzo.sim.golden.local_readout.local_readout``. One word a cycle; ``o`` one cycle after the last word.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    valid : In(1), first : In(1), last : In(1), sum : In(signed)
        Strobed sum over the lanes of a word, and whether it is the first or last word of a class.
    o_valid : Out(1), o : Out(signed)
        Strobed readout of a class, MEMBRANE.
    block_shift : In
        With convolutions: log2 of the side of a block, with the readout; it is shifted right by twice as much.
    """

    valid: Signal
    first: Signal
    last: Signal
    sum: Signal
    o_valid: Signal
    o: Signal
    block_shift: Signal

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "sum": In(signed(local_width(limits) + limits.lane_bits)),
                "o_valid": Out(1),
                "o": Out(signed(MEMBRANE.width)),
                **({"block_shift": In(LayerReg.BLOCK_SHIFT.bits)} if limits.gradients else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = max(len(self.sum) + self._limits.block_bits, MEMBRANE.width)
        total = Signal(signed(width), reset_less=True)
        m.submodules.saturate = saturate = Saturate(width, MEMBRANE.width)
        m.d.comb += [saturate.i.eq(total), self.o.eq(saturate.o)]
        if self._limits.block > 1:
            with m.Switch(self.block_shift):
                for shift in range(1, exact_log2(self._limits.block) + 1):
                    with m.Case(shift):
                        m.d.comb += saturate.i.eq(total >> 2 * shift)
        m.d.sync += self.o_valid.eq(self.valid & self.last)
        with m.If(self.valid):
            m.d.sync += total.eq(Mux(self.first, 0, total) + self.sum)
        return m
