"""Number formats and arithmetic constants of the chip, shared by gateware, golden model and host.

All arithmetic is two's complement; ``>>`` floors. Formats are written Qm.n, the sign bit not counted.
"""

from dataclasses import dataclass
from math import log2


@dataclass(frozen=True)
class Fixed:
    """A signed fixed-point format Q``int_bits``.``frac_bits``."""

    int_bits: int
    frac_bits: int

    def __post_init__(self) -> None:
        if self.int_bits < 0 or self.frac_bits < 0 or self.width > 64:
            raise ValueError(f"Q{self.int_bits}.{self.frac_bits} is not a format of 1 to 64 bits")

    @property
    def width(self) -> int:
        """Bits, sign included."""
        return 1 + self.int_bits + self.frac_bits

    @property
    def min(self) -> int:
        """Smallest raw value."""
        return -(1 << (self.width - 1))

    @property
    def max(self) -> int:
        """Largest raw value."""
        return (1 << (self.width - 1)) - 1

    @property
    def one(self) -> int:
        """Raw value of 1.0."""
        return 1 << self.frac_bits


WEIGHT = Fixed(3, 12)
"""Weights and biases."""
ROW_LOW_BITS = {16: 0, 12: 2}
"""Bits of a row entry in memory: low bits of WEIGHT that a memory of that width leaves out.

12-bit weights are Q1.10. Outside the memory every row entry is a multiple of 2**low bits in the units of WEIGHT."""
MEMBRANE = Fixed(7, 12)
"""Membrane potentials, input currents and readout values ``o``; saturating."""
ACCUMULATOR = Fixed(20, 16)
"""Sum of weight x input; wide enough for 16,385 rows with four neurons each (a pool), so that it never wraps."""
THRESHOLD = MEMBRANE.one
"""Firing threshold: 1.0 in MEMBRANE."""

INPUT_BITS = 8
"""Input values are unsigned, value / 256."""
PRODUCT_SHIFT = WEIGHT.frac_bits + INPUT_BITS - ACCUMULATOR.frac_bits
"""Fraction bits of a product of weight and input that the accumulator drops."""
BIAS_INPUT = 255
"""Value of the bias row of a frame input, which is always on."""
SPIKE_INPUT = 1 << INPUT_BITS
"""Input value of a spike: 1.0."""

ERROR = Fixed(1, 8)
"""Error ``e`` of one class and time step; saturates symmetrically at +-ERROR.max."""
SCALED_ERROR = Fixed(9, 8)
"""Error times the 8-bit step size: the operand of Feedback."""
RATE_BITS = 8
"""Step size: unsigned mantissa; a weight moves by rate x credit / 2**16 raw units."""
LOSS_BITS = 16
"""Loss of one time step: unsigned, 8 fraction bits, in bits (log base 2); saturating."""
LOSS_FRAC_BITS = 8
ZO_LOSS_SHIFT = 2
"""The zero-order rule uses min(loss >> ZO_LOSS_SHIFT, ERROR.max)."""
ZO_FACTOR = 64
"""Constant in place of a feedback entry for the zero-order rule."""

FEEDBACK_ENTRY = Fixed(14, 1)
"""One entry of a feedback matrix M: half a readout unit, i.e. 2**11 raw units of ``o``."""
FEEDBACK_FACTOR_BITS = 9
"""M as used: entry >> feedback shift, saturated to this many bits, sign included."""
LOCAL_SHIFT = 4
"""Right shift of the entries of a local readout (WEIGHT) in Feedback; those of M have the feedback shift."""
BLOCK_SUM = Fixed(6, 11)
"""Feedback sum of a block of a convolution, without its BLOCK_SUM_SHIFT lowest bits; saturating."""
BLOCK_SUM_SHIFT = 8
FEEDBACK_SHIFT_MAX = 15
FEEDBACK_REFRESH = 64
"""Training runs between updates of the feedback shifts."""
FEEDBACK_MEAN_MAX = 64
"""A feedback shift is the smallest that brings the mean of abs(entry) >> shift below this."""

UPDATE_FRAC_BITS = 11
"""Fraction bits of an update below the least significant bit of a weight or feedback entry."""
DIFFERENCE_SHIFT = UPDATE_FRAC_BITS - (WEIGHT.frac_bits - FEEDBACK_ENTRY.frac_bits)
"""Left shift of a difference of readouts that makes it an update of M."""
CREDIT = Fixed(5, 11)
"""delta times step size of one neuron and time step, in weight units with UPDATE_FRAC_BITS more; saturating."""
FILTERED = Fixed(6, 11)
"""Credit filtered backwards in time, E[k] = delta[k] + E[k+1] / 2, the half rounded towards 0; never saturates."""
FRAME_CREDIT = FILTERED
"""Sum of E over the sample, for inputs that are constant over the sample; saturating."""
GRADIENT = Fixed(20, 11)
"""Gradient accumulator of a weight of a convolution: updates of all positions and runs of a batch; saturating."""
GRADIENT_STEP = Fixed(9, 11)
"""A gradient as it changes a weight: shifted right and rounded; saturating."""
GRADIENT_SHIFT_MAX = 31
"""Largest right shift of a gradient."""
CONVOLUTION_RATE_BITS = 12
"""Step size of convolutions: unsigned."""
MAGNITUDE_BITS = 32
"""Running sum of abs(gradient) of lane 0, in units of 2**MAGNITUDE_UNIT_BITS, times 2**MAGNITUDE_DECAY_BITS."""
MAGNITUDE_MAX = (1 << MAGNITUDE_BITS) - 1
"""Its initial value, at which it saturates too: steps are small until the device knows the size of gradients."""
MAGNITUDE_UNIT_BITS = 8
MAGNITUDE_DECAY_BITS = 6
"""The running sum forgets 2**-MAGNITUDE_DECAY_BITS of itself a batch."""
DELTA_SHIFT = 9
"""Credit = Feedback sum >> (DELTA_SHIFT + surrogate code), rounded half up."""
SURROGATE_OFF = 8
"""Surrogate code where abs(v - threshold) >= 2: derivative 0. Smaller codes: derivative 2**-code."""
SURROGATE_SHIFT = MEMBRANE.frac_bits - 2
"""Surrogate code = abs(v - threshold) >> SURROGATE_SHIFT: quarters of a threshold."""

ALPHA_BITS = 12
"""Noise amplitude alpha: unsigned, 12 fraction bits."""
ACTIVITY_BITS = 12
"""Activity cost as added to the credit of a neuron that spiked: unsigned, CREDIT units."""

HISTORY_STEPS = 8
"""Most time steps of a chunk: bits of a spike history and of a presynaptic trace."""
TRACE_FRAC_BITS = HISTORY_STEPS - 1
"""Fraction bits of a presynaptic trace, unsigned Q1.7: a spike in the previous step counts 1.0, one before half."""
MAX_STEPS = 4095
"""Most time steps T of an event sample, and of one decision."""
LFSR_BITS = 32
LFSR_TAPS = (0, 3, 10, 14)
"""b[n+32] is the XOR of b[n+tap]: x^32 + x^14 + x^10 + x^3 + 1 (primitive)."""
DRAW_BITS = 16
"""New bits that a lane's LFSR gives in each draw."""

OUTPUT_SUM = Fixed(19, 12)
"""Readout summed over the time steps of a decision; wide enough for MAX_STEPS."""
LOSS_SUM_BITS = 28
"""Loss summed over the time steps of a decision; wide enough for MAX_STEPS."""

EXP2_FRAC_BITS = 6
EXP2_ONE_BITS = 15
EXP2 = tuple(round(2 ** (EXP2_ONE_BITS - f / 64)) for f in range(1 << EXP2_FRAC_BITS))
"""2**-x for the fraction of x in 64ths, 15 fraction bits."""
LOG2 = tuple(round(256 * (log2(1 + f / 64))) for f in range(64))
"""log2(1 + f/64) with 8 fraction bits."""
LOG2E_NUMERATOR = 369
"""log2(e) = 369 / 2**8, rounded."""
LOG2E_FRAC_BITS = 8
