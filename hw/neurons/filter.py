"""Credit filter: credits of a neuron filtered backwards in time."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.saturate import Saturate
from opzo.spec.formats import CREDIT, FILTERED, FRAME_CREDIT, HISTORY_STEPS

TOTAL_WIDTH = FILTERED.width + (HISTORY_STEPS - 1).bit_length()


def fill_layout(size: int) -> data.StructLayout:
    """E of one step of a neuron, for one of ``size`` lanes.

    ``factor``: what a row's value is multiplied with, if it is the first step.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "lane": range(size),
            "step": range(HISTORY_STEPS),
            "filtered": signed(FILTERED.width),
            "factor": signed(FRAME_CREDIT.width),
        }
    )


class CreditFilter(wiring.Component):
    """``E[k] = credit[k] + E[k+1] / 2``, one neuron after the other, each from its last time step to its first.

    Results come one cycle later. Golden twins: ``opzo.sim.golden.credit.filter_credit``, ``frame_update``.

    Members
    -------
    credit : In(signed)
        CREDIT, taken when ``en``; ``first`` starts a neuron.
    frame : In(1)
        With the neuron's last credit: its presynaptic rows are those of a frame.
    filtered : Out(signed)
        FILTERED.
    factor : Out(signed)
        What a row's value or trace is multiplied with: for a frame the saturated sum of E over all steps
        (FRAME_CREDIT), else E.
    """

    credit: In(signed(CREDIT.width))
    en: In(1)
    first: In(1)
    frame: In(1)
    filtered: Out(signed(FILTERED.width))
    factor: Out(signed(FRAME_CREDIT.width))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        last, frame = Signal(signed(FILTERED.width), reset_less=True), Signal(reset_less=True)
        total = Signal(signed(TOTAL_WIDTH), reset_less=True)
        filtered = Signal(signed(FILTERED.width))
        half, carry = Signal(signed(FILTERED.width - 1)), Signal()
        m.submodules.saturate = saturate = Saturate(TOTAL_WIDTH, FRAME_CREDIT.width)
        m.d.comb += [
            # Half of what came before rounds towards 0: a negative odd number brings a carry, which a bit below the
            # sum holds so that one adder does all.
            half.eq(Mux(self.first, 0, last >> 1)),
            carry.eq(~self.first & last[0] & last[-1]),
            filtered.eq((Cat(1, self.credit).as_signed() + Cat(carry, half).as_signed()) >> 1),
            saturate.i.eq(total),
            self.filtered.eq(last),
            self.factor.eq(Mux(frame, saturate.o, last)),
        ]
        with m.If(self.en):
            m.d.sync += [
                last.eq(filtered),
                total.eq(Mux(self.first, 0, total) + filtered),
                frame.eq(self.frame),
            ]
        return m
