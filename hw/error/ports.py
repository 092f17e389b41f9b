"""Port groups of the error unit, shared with the units that it works with."""

from amaranth import signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out, Signature
from amaranth.utils import exact_log2

from opzo.spec.formats import (
    HISTORY_STEPS,
    LOSS_SUM_BITS,
    MEMBRANE,
    OUTPUT_SUM,
    RATE_BITS,
    SCALED_ERROR,
)
from opzo.spec.limits import MAX_CLASSES, Limits
from opzo.spec.registers import Reg

CLASS_BITS = exact_log2(MAX_CLASSES)
"""Bits of a class at the ports, the same for all devices."""
CLASS_COUNT_BITS = CLASS_BITS + 1
"""Bits of the number of classes."""
DIFFERENCE_BITS = MEMBRANE.width + 1


def sources(limits: Limits) -> range:
    """Whose readouts: those of a hidden layer (local readout), or the network's, source ``limits.layers``."""
    return range(limits.layers + 1)


class ErrorSettingsSignature(Signature):
    """Settings of the error unit, stable from the start of a step until it is done; ``learn``: compute errors, not only
    the loss; ``intermediate``: content of the register."""

    def __init__(self) -> None:
        super().__init__(
            {
                "classes": Out(CLASS_COUNT_BITS),
                "label": Out(CLASS_BITS),
                "rate": Out(RATE_BITS),
                "mse_shift": Out(Reg.MSE_SHIFT.bits),
                "learn": Out(1),
                "intermediate": Out(Reg.INTERMEDIATE.bits),
            }
        )


class ReadoutSignature(Signature):
    """Strobed readouts (MEMBRANE) of all classes of a step in order, one a cycle or slower."""

    def __init__(self) -> None:
        super().__init__({"valid": Out(1), "value": Out(signed(MEMBRANE.width))})


class ReadoutStepSignature(Signature):
    """The time step whose readouts follow.

    Members
    -------
    start : Out(1)
        Strobe; the others are valid in the same cycle. Not while there is no room, see `ErrorProgressSignature`.
    source : Out, step : Out
        Layer and time step of the readouts.
    last : Out(1)
        The run ends with it.
    odd : Out(1)
        It is the second of an antithetic pair.
    restart : Out(1)
        The sums over the steps begin with it.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            {
                "start": Out(1),
                "source": Out(sources(limits)),
                "step": Out(range(HISTORY_STEPS)),
                "last": Out(1),
                "odd": Out(1),
                "restart": Out(1),
            }
        )


class ErrorProgressSignature(Signature):
    """How far the error unit is.

    Members
    -------
    room : Out(1)
        Strobe, once a step: the next step may start CLOSING_CYCLES later.
    done : Out(1), source : Out
        Strobe: all results of a step with this source can be read.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__({"room": Out(1), "done": Out(1), "source": Out(sources(limits))})


ERROR_STROBE = data.StructLayout(
    {"valid": 1, "class_": CLASS_BITS, "value": signed(SCALED_ERROR.width), "step": range(HISTORY_STEPS)}
)
"""Strobed scaled error of a class and time step."""


class ErrorReadSignature(Signature):
    """Read port of errors and differences.

    Members
    -------
    source, step, class_ : Out
        What is read.
    error : In(signed)
        Scaled error (SCALED_ERROR), one cycle later.
    difference : In(signed)
        o[t-1] - o[t], one cycle later; ``source`` is the network, or the layer of the intermediate readout. Without
        convolutions that of the network's last odd t; with them that of ``step``, the second of a pair.
    loss : In(18)
        rate * min(loss >> ZO_LOSS_SHIFT, ERROR.max) of the last step as odd or even as ``step``; in the same cycle.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            {
                "source": Out(sources(limits)),
                "step": Out(range(HISTORY_STEPS)),
                "class_": Out(CLASS_BITS),
                "error": In(signed(SCALED_ERROR.width)),
                "difference": In(signed(DIFFERENCE_BITS)),
                "loss": In(SCALED_ERROR.width),
            }
        )


class AnswerSignature(Signature):
    """Answer of a run.

    Members
    -------
    prediction : Out(6), loss : Out(LOSS_SUM_BITS)
        From ``done`` of the last step of a run until that of the next run.
    sum_class : In(6)
        Class whose ``sum`` is valid one cycle later; only while no readouts come in.
    sum : Out(signed)
        OUTPUT_SUM, sum of the readouts of the class over the steps.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "prediction": Out(CLASS_BITS),
                "loss": Out(LOSS_SUM_BITS),
                "sum_class": In(CLASS_BITS),
                "sum": Out(signed(OUTPUT_SUM.width)),
            }
        )
