"""Neurons of a float network, and the nearest ones of the chip."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from opzo.spec.errors import OpzoError
from opzo.spec.network import Network
from opzo.spec.neurons import Leak, Reset, in_words

logger = logging.getLogger(__name__)
TOLERANCE = 1e-5
"""Difference of leaks that counts as none; tau and dt may have been stored in single precision."""


@dataclass(frozen=True)
class FloatNeurons:
    """Neurons of one hidden layer, with threshold 1; OpzoError, naming ``name``, if the leak is out of range.

    Parameters
    ----------
    name : str
        Name for messages.
    leak : float
        Fraction of the membrane potential that remains after a time step, 0 to 1.
    reset : Reset
    amount : float
        What a spike takes off the potential, in thresholds, where it does not set it to 0. On the chip 1; 1 / leak
        where the threshold is subtracted after the leak.
    """

    name: str
    leak: float = Leak.HALF.factor
    reset: Reset = Reset.SUBTRACT
    amount: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.leak <= 1:
            raise OpzoError(
                f"the neurons '{self.name}' keep {self.leak:g} of their potential per time step; the chip's keep 1/2 "
                "to 1: check the time constant and the length of a time step"
            )

    @property
    def nearest(self) -> Leak:
        """The chip's leak that is nearest."""
        return min(Leak, key=lambda leak: abs(leak.factor - self.leak))

    @property
    def exact(self) -> bool:
        """Whether the chip has these neurons."""
        return abs(self.nearest.factor - self.leak) < TOLERANCE and (self.amount == 1 or self.reset is Reset.ZERO)

    def warn(self) -> None:
        """Say how the chip's neurons differ, if they do."""
        if abs(self.nearest.factor - self.leak) >= TOLERANCE:
            logger.warning(
                "neurons '%s': leak %.4g becomes %s, the nearest of the chip; --data shows what it costs",
                self.name,
                self.leak,
                self.nearest.text,
            )
        if self.reset is Reset.SUBTRACT and self.amount != 1:
            logger.warning(
                "neurons '%s': a spike subtracts the threshold after the leak, on the chip before; --data shows what "
                "it costs",
                self.name,
            )


def of_chip(network: Network) -> list[FloatNeurons]:
    """Neurons of each hidden layer of the chip's network."""
    pairs = zip(network.leak, network.reset, strict=True)
    return [FloatNeurons(str(number), leak.factor, reset) for number, (leak, reset) in enumerate(pairs)]


def as_readout(neurons: FloatNeurons, what: str) -> None:
    """Check that neurons at the output decide by what the chip decides by, the sum of the readouts over the time steps.

    It is the potential of neurons without leak that never reset. OpzoError for others; ``what`` names them.
    """
    if abs(neurons.leak - 1) >= TOLERANCE:
        raise OpzoError(
            f"{what} keeps {neurons.leak:.4g} of its potential per time step; the chip decides by the sum of the "
            "readouts over the time steps, which is the potential of neurons that keep all: leave these neurons out, "
            "or train with a leak of 1 at the output"
        )
    logger.warning(
        "%s is left out: the chip decides by the largest potential without reset, not by the most spikes", what
    )


def texts(neurons: Sequence[FloatNeurons]) -> tuple[str, str]:
    """Leak and reset of the chip's network, as settings."""
    return in_words([some.nearest for some in neurons]), in_words([some.reset for some in neurons])
