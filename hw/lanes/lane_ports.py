"""Ports that a group of lanes and all lanes together have in common."""

from collections.abc import Mapping
from typing import Any

from amaranth import Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from opzo.hw.lanes.lane_command import SUM, filter_command
from opzo.hw.neurons.neurons import SETTINGS
from opzo.hw.neurons.word_credits import error_command
from opzo.hw.neurons.word_results import WordResultsSignature
from opzo.spec.formats import GRADIENT, GRADIENT_SHIFT_MAX, WEIGHT
from opzo.spec.limits import Limits


class ShiftChainSignature(wiring.Signature):
    """Shift chain, seen from its user: a register per lane, from the last lane to the first.

    Sums leave the lanes through it; rows, random states and potentials move in the low bits of ``value``::

        input -> [lane P - 1] -> ... -> [lane 1] -> [lane 0] -> output

    Members
    -------
    shift : Out(1)
        Each lane takes the register of the lane before it in the sketch.
    input : Out(SUM)
        Taken by the last lane.
    output : In(SUM)
        Register of the first lane.
    """

    def __init__(self) -> None:
        super().__init__({"shift": Out(1), "input": Out(SUM), "output": In(SUM)})


def local_width(limits: Limits) -> int:
    """Bits of a row of a local readout times the spikes of a block in its lane."""
    return WEIGHT.width + 2 * exact_log2(limits.block)


class LanePorts(wiring.Component):
    """Ports of ``lanes`` lanes: those of a group, or all of a device.

    Parameters
    ----------
    limits : Limits
    lanes : int
    inputs : dict of str to layout
        Further ports, such as the command.

    Members
    -------
    filter : In(filter_command)
        Credit to filter.
    error : In(error_command)
        Credit of a readout neuron.
    settings : In(SETTINGS)
    take_credits : In(1)
        Strobe one cycle before the first command of a word with ``learn``: use the filtered credits of that word.
    shift_chain : In(ShiftChainSignature)
    results : Out(WordResultsSignature)
        Results of a word.
    row_saturated : Out(1)
        A row saturated in some lane; after stage RESULT.
    lane_0_row : Out(signed)
        Row of the first lane at stage ROW, in the units of WEIGHT.
    local_sum : Out(signed)
        Sum of the lanes' ``local``, one cycle later for each doubling of the lanes.

    In a build with convolutions that learns, also

    gradient_shift : In
        Right shift of the gradients that ``apply`` applies; constant meanwhile.
    lane_0_gradient : Out(signed)
        Gradient of the first lane at stage GRADIENT.
    gradient_saturated : Out(1)
        A gradient saturated in some lane; a stage before GRADIENT_SATURATED in a group, then in all of them.
    shared_saturated : Out(1)
        A credit of a word that shares feedback sums saturated in some lane, in one of the word's steps: a bit for each
        step, one a cycle, after the last credit of the word.
    """

    filter: data.View
    error: data.View
    settings: data.View
    take_credits: Signal
    shift_chain: Any
    results: Any
    row_saturated: Signal
    lane_0_row: Signal
    local_sum: Signal
    gradient_shift: Signal
    lane_0_gradient: Signal
    gradient_saturated: Signal
    shared_saturated: Signal

    def __init__(self, limits: Limits, lanes: int, inputs: Mapping[str, data.StructLayout | range]) -> None:
        of_convolutions = {
            "gradient_shift": In(range(GRADIENT_SHIFT_MAX + 1)),
            "lane_0_gradient": Out(signed(GRADIENT.width)),
            "gradient_saturated": Out(1),
            "shared_saturated": Out(1),
        }
        super().__init__(
            {
                **{name: In(layout) for name, layout in inputs.items()},
                "filter": In(filter_command(limits)),
                "error": In(error_command(limits)),
                "settings": In(SETTINGS),
                "take_credits": In(1),
                "shift_chain": In(ShiftChainSignature()),
                "results": Out(WordResultsSignature(lanes)),
                "row_saturated": Out(1),
                "lane_0_row": Out(signed(WEIGHT.width)),
                "local_sum": Out(signed(local_width(limits) + (lanes - 1).bit_length())),
                **(of_convolutions if limits.gradients and limits.learning else {}),
            }
        )
