"""Error of one class from its probability, with squared error, times the step size."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.multiplier import WIDTH
from opzo.hw.lib.primitives import primitives
from opzo.spec.formats import ERROR, MEMBRANE, RATE_BITS, SCALED_ERROR

PROBABILITY_CYCLES = 2
CYCLES = 5
_PROBABILITY_ONE = 32
_HALF = _PROBABILITY_ONE - ERROR.frac_bits - 1
"""Position of half an error unit in a probability."""
_LABEL_SHIFT = MEMBRANE.frac_bits - ERROR.frac_bits


class ErrorScaler(wiring.Component):
    """Compute ``sat(round(probability) - y + ((o - y) >> mse_shift)) * rate``, one class a cycle, CYCLES after ``o``.

    Golden twin: ``opzo.sim.golden.error.error_step``.

    Members
    -------
    o : In(signed), is_label : In(1)
        Read-out (MEMBRANE) and y of a class.
    probability : In
        32 fraction bits; PROBABILITY_CYCLES after ``o``.
    mse_shift, rate : In
        Settings, stable.
    loan : In(1), loan_factor : In
        While ``loan``, ``scaled`` is ``loan_factor * rate``, with 2 cycles.
    scaled : Out(signed)
        SCALED_ERROR.
    """

    o: In(signed(MEMBRANE.width))
    is_label: In(1)
    probability: In(2 * WIDTH)
    mse_shift: In(4)
    rate: In(RATE_BITS)
    loan: In(1)
    loan_factor: In(ERROR.width - 1)
    scaled: Out(signed(SCALED_ERROR.width))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.multiplier = multiplier = primitives(platform).multiplier()
        distance = Signal(signed(MEMBRANE.width - _LABEL_SHIFT + 1), reset_less=True)
        is_label = Signal(reset_less=True)
        share = Signal(signed(len(distance)))
        offset = Signal(signed(len(distance) + 1), reset_less=True)
        error = Signal(signed(len(distance) + 2), reset_less=True)
        limited = Signal(signed(ERROR.width))
        # The half unit and the offset are added below the point in one go, so that only one carry chain rounds.
        rounded = Signal(signed(len(error) + 1))
        target = Mux(self.is_label, ERROR.one, 0)
        m.d.sync += [
            distance.eq((self.o >> _LABEL_SHIFT) - target),
            is_label.eq(self.is_label),
            offset.eq(share - Mux(is_label, ERROR.one, 0)),
            error.eq(rounded >> 1),
        ]
        m.d.comb += [
            share.eq(Mux(self.mse_shift == 0, 0, distance >> self.mse_shift)),
            rounded.eq(self.probability[_HALF : _PROBABILITY_ONE + 1] + Cat(1, offset).as_signed()),
            multiplier.a.eq(Mux(self.loan, self.loan_factor, limited)),
            multiplier.b.eq(self.rate),
            self.scaled.eq(multiplier.product),
        ]
        with m.If(error > ERROR.max):
            m.d.comb += limited.eq(ERROR.max)
        with m.Elif(error < -ERROR.max):
            m.d.comb += limited.eq(-ERROR.max)
        with m.Else():
            m.d.comb += limited.eq(error)
        return m
