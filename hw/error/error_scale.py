"""Error of one class from its probability and a share of squared error, times the step size."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, Signature

from opzo.hw.lib.multiplier import WIDTH
from opzo.hw.lib.primitives import primitives
from opzo.spec.formats import ERROR, MEMBRANE, RATE_BITS, SCALED_ERROR
from opzo.spec.registers import Reg

PROBABILITY_CYCLES = 2
CYCLES = 5
_PROBABILITY_ONE = 32
_HALF = _PROBABILITY_ONE - ERROR.frac_bits - 1
"""Position of half an error unit in a probability."""
_LABEL_SHIFT = MEMBRANE.frac_bits - ERROR.frac_bits


class AuxMultiplierSignature(Signature):
    """Multiply a factor of another unit with the step size: while ``enable``, 2 cycles later ``factor * rate`` is
    ``scaled``."""

    def __init__(self) -> None:
        super().__init__({"enable": Out(1), "factor": Out(ERROR.width - 1)})


class ErrorScaler(wiring.Component):
    """Compute ``sat(round(probability) - y + ((o - y) >> mse_shift)) * rate``, one class a cycle, CYCLES after
    ``readout``.

    Golden twin: ``opzo.sim.golden.error.error_step``.

    Members
    -------
    readout : In(signed), is_label : In(1)
        Readout o (MEMBRANE) and target y of a class.
    probability : In
        32 fraction bits; PROBABILITY_CYCLES after ``readout``.
    mse_shift, rate : In
        Settings, stable.
    aux : In(AuxMultiplierSignature)
        Auxiliary port of the multiplier.
    scaled : Out(signed)
        SCALED_ERROR.
    """

    readout: In(signed(MEMBRANE.width))
    is_label: In(1)
    probability: In(2 * WIDTH)
    mse_shift: In(Reg.MSE_SHIFT.bits)
    rate: In(RATE_BITS)
    aux: In(AuxMultiplierSignature())
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
        # The half unit and the offset are added below the point in one operation: one carry chain that rounds.
        rounded = Signal(signed(len(error) + 1))
        target = Mux(self.is_label, ERROR.one, 0)
        m.d.sync += [
            distance.eq((self.readout >> _LABEL_SHIFT) - target),
            is_label.eq(self.is_label),
            offset.eq(share - Mux(is_label, ERROR.one, 0)),
            error.eq(rounded >> 1),
        ]
        m.d.comb += [
            share.eq(Mux(self.mse_shift == 0, 0, distance >> self.mse_shift)),
            rounded.eq(self.probability[_HALF : _PROBABILITY_ONE + 1] + Cat(1, offset).as_signed()),
            multiplier.a.eq(Mux(self.aux.enable, self.aux.factor, limited)),
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
