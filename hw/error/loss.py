"""Loss of one time step."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.exponential import EXPONENT_BITS
from opzo.spec.formats import EXP2_FRAC_BITS, EXP2_ONE_BITS, LOG2, LOSS_BITS, LOSS_FRAC_BITS

CYCLES = 3


class LossUnit(wiring.Component):
    """Compute ``exponent + log2(total)``, the negative logarithm of a probability, saturated; latency CYCLES.

    Golden twin: ``opzo.sim.golden.error.error_step``.

    Parameters
    ----------
    width : int
        Bits of the sum of powers.

    Members
    -------
    exponent : In
        Exponent of the power of the label's class.
    total : In(width)
        Sum of all powers, 2**EXP2_ONE_BITS or more.
    loss : Out(LOSS_BITS)
        LOSS_FRAC_BITS fraction bits, in bits.
    """

    exponent: Signal
    total: Signal
    loss: Signal

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__({"exponent": In(EXPONENT_BITS), "total": In(width), "loss": Out(LOSS_BITS)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        integer = Signal(range(self.width - EXP2_ONE_BITS), reset_less=True)
        fraction = Signal(EXP2_FRAC_BITS, reset_less=True)
        mantissa = Signal(LOSS_FRAC_BITS)
        log_total = Signal(len(integer) + LOSS_FRAC_BITS, reset_less=True)
        loss = Signal(EXPONENT_BITS + LOSS_FRAC_BITS - EXP2_FRAC_BITS + 1)
        # Ascending, so that the assignment for the highest bit that is set takes effect.
        for position in range(EXP2_ONE_BITS, self.width):
            with m.If(self.total[position]):
                m.d.sync += [
                    integer.eq(position - EXP2_ONE_BITS),
                    fraction.eq(self.total[position - EXP2_FRAC_BITS : position]),
                ]
        m.d.comb += mantissa.eq(Array(LOG2)[fraction])
        m.d.comb += loss.eq((self.exponent << (LOSS_FRAC_BITS - EXP2_FRAC_BITS)) + log_total)
        m.d.sync += [
            log_total.eq(Cat(mantissa, integer)),
            self.loss.eq(Mux(loss[LOSS_BITS:].any(), (1 << LOSS_BITS) - 1, loss)),
        ]
        return m
