"""Credit filter: credits of a neuron filtered backwards in time."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.saturate import Saturate
from opzo.spec.formats import CREDIT, FILTERED, FRAME_CREDIT, HISTORY_STEPS

TOTAL_WIDTH = FILTERED.width + (HISTORY_STEPS - 1).bit_length()


def filtered_credit(size: int) -> data.StructLayout:
    """Layout of the filtered credit of one time step of a neuron in one of ``size`` lanes.

    - ``valid``: there is one.
    - ``lane``, ``step``: its place. The steps of a lane come in descending order.
    - ``credit``: the filtered credit E[step], FILTERED.
    - ``factor``: with step 0, the credit factor (FRAME_CREDIT) by which the values or traces of rows are multiplied.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "lane": range(size),
            "step": range(HISTORY_STEPS),
            "credit": signed(FILTERED.width),
            "factor": signed(FRAME_CREDIT.width),
        }
    )


class CreditFilter(wiring.Component):
    """``E[k] = credit[k] + E[k+1] / 2``, neuron after neuron, each from its last time step to its first.

    Latency 1 cycle, one credit a cycle. Golden twins: ``opzo.sim.golden.credit.filter_credit``, ``frame_update``.

    Members
    -------
    credit : In(signed)
        CREDIT, taken where ``en``.
    en : In(1)
    first : In(1)
        With the credit of a neuron's last time step: a new neuron begins.
    frame : In(1)
        With the credit of a neuron's first time step: the presynaptic rows of its word are values of a frame.
    filtered : Out(signed)
        E, FILTERED.
    factor : Out(signed)
        Credit factor of a row's value or trace: for a frame the sum of E over all steps, saturated to FRAME_CREDIT,
        else E.
    """

    credit: In(signed(CREDIT.width))
    en: In(1)
    first: In(1)
    frame: In(1)
    filtered: Out(signed(FILTERED.width))
    factor: Out(signed(FRAME_CREDIT.width))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        last = Signal(signed(FILTERED.width), reset_less=True)
        frame = Signal(reset_less=True)
        total = Signal(signed(TOTAL_WIDTH), reset_less=True)
        filtered = Signal(signed(FILTERED.width))
        half = Signal(signed(FILTERED.width - 1))
        carry = Signal()
        m.submodules.saturate = saturate = Saturate(TOTAL_WIDTH, FRAME_CREDIT.width)
        m.d.comb += [
            # Half of the last E rounds toward 0: a negative odd number needs a carry. A bit below the sum holds it, so
            # that one adder is enough.
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
