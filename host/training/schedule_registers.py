"""Registers of the learning rule over a training run, from the hyper-parameters."""

from dataclasses import replace
from math import cos, log2, pi

from opzo.host.training.config import CONV_RATE_MAX, Hyperparameters
from opzo.spec.formats import (
    ACTIVITY_BITS,
    ALPHA_BITS,
    DELTA_SHIFT,
    UPDATE_FRAC_BITS,
)
from opzo.spec.registers import Reg
from opzo.spec.rules import Rule

BLOCK = 64
"""Training samples between changes of the registers. Part of the algorithm: all devices and resumed runs change them at
the same samples."""
STREAM_RATE = 20
"""Step size of learning in a stream, which has no end and so no schedule."""
SHIFT_MAX = 15
"""Largest DECAY_SHIFT and LEAK_SHIFT."""
# Kappa is in units of 2**4 Feedback sums (the prototype's delta), Credit in 2**DELTA_SHIFT of them with the step size.
ACTIVITY_SHIFT = DELTA_SHIFT - 4


def schedule_registers(hyper: Hyperparameters, sample: int, total: int) -> dict[int, int]:
    """Registers from training sample ``sample`` (a multiple of BLOCK) of ``total`` on: address -> value."""
    progress = sample / total
    share = (1 + cos(pi * progress)) / 2
    rate = round(hyper.rate * share)
    noise = Rule.parse(hyper.rule).noise
    alpha = (hyper.alpha + (hyper.alpha_end - hyper.alpha) * progress) if noise else 0.0
    activity = round(rate * hyper.kappa / (1 << ACTIVITY_SHIFT))
    return {
        Reg.ALPHA: round(alpha * (1 << ALPHA_BITS)),
        Reg.RATE: rate,
        Reg.ACTIVITY: min(activity, (1 << ACTIVITY_BITS) - 1),
        Reg.DECAY_SHIFT: decay_shift(hyper.decay, rate),
        Reg.LEAK_SHIFT: min(hyper.feedback_leak - UPDATE_FRAC_BITS, SHIFT_MAX) if hyper.feedback_leak else 0,
        Reg.MSE_SHIFT: hyper.mse,
        Reg.BATCH: hyper.batch,
        Reg.CONVOLUTION_RATE: round(hyper.conv_rate * share),
    }


def stream_registers(hyper: Hyperparameters, rate: int) -> dict[int, int]:
    """Registers for learning in a stream with step size ``rate``; that of convolutions keeps its ratio to it."""
    conv_rate = min(round(hyper.conv_rate * rate / hyper.rate) if hyper.rate else 0, CONV_RATE_MAX)
    return schedule_registers(replace(hyper, rate=rate, conv_rate=conv_rate), 0, 1)


def decay_shift(decay: int, rate: int) -> int:
    """Register DECAY_SHIFT for a decay of ``rate`` x 2**-``decay``; 0 where that is off or out of its range."""
    if not decay or not rate:
        return 0
    shift = max(1, round(decay - UPDATE_FRAC_BITS - log2(rate)))
    return shift if shift <= SHIFT_MAX else 0
