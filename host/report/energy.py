"""Estimate of the energy of a sample on the chip, from the device's counters, beside the same network in float."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from opzo.host.report.units import compact
from opzo.spec.energy import (
    FLOAT_ADD,
    FLOAT_MULTIPLY,
    INTEGER_ADD,
    INTEGER_MULTIPLY,
    MEMORY_BITS,
    MEMORY_READ,
    SOURCE,
    Operation,
)
from opzo.spec.formats import GRADIENT, MEMBRANE
from opzo.spec.network import Network
from opzo.spec.registers import Counter
from opzo.spec.rules import Input

NOT_INCLUDED = (
    "static power, clock, control, wires, error unit and link of the chip; instructions, activations and memory beyond "
    "8 kB of the CPU"
)
SIZES = "layers x steps"
"""Origin of the counts of the network in float."""
FLOAT_BITS = 32
NEURON_ADDS = 3
"""Additions of a neuron and time step: leak, input current, comparison with the threshold."""
UPDATE_ADDS = 2
"""Additions of an updated weight: the update and the decay."""
UNITS = ((1e9, "mJ"), (1e6, "uJ"), (1e3, "nJ"), (1.0, "pJ"))


@dataclass(frozen=True)
class EnergyLine:
    """Energy of one kind of operation in a sample.

    Attributes
    ----------
    what : str
    origin : str
        Counter of the device from which the count follows, or SIZES.
    count : float
        Operations in a sample.
    operation : Operation
    """

    what: str
    origin: str
    count: float
    operation: Operation

    @property
    def picojoules(self) -> float:
        """Energy of all of them."""
        return self.count * self.operation.picojoules


def chip_energy(
    network: Network, counters: Sequence[int], samples: int, *, lanes: int, weight_bits: int
) -> list[EnergyLine]:
    """Energy of a sample on the chip; lines without operations are left out.

    Each row-word counts as an operation in each lane, also in lanes without a neuron, as the engine works. Values of a
    spike are not multiplied; values of input events are, at most once for each window that an event can lie in.
    Row-words of Feedback count as written back each time they are used, which is the most there can be.

    Parameters
    ----------
    counters : sequence of int
        Counters of the device over all samples, by `Counter`.
    samples : int
        Number of samples, of inference or of training.
    lanes, weight_bits : int
        Of the device.
    """
    words = {counter: int(counters[counter]) / max(1, samples) for counter in Counter}
    first = network.layers[0]
    products = (first.kernel**2 or 1) * ceil(first.map.channels / lanes)
    hidden = sum(layer.map.positions * ceil(layer.map.channels / lanes) for layer in network.layers[:-1])

    def lines() -> Iterator[tuple[str, Counter, float, Operation]]:
        for counter, what, bits, accesses, multiplies, adds in (
            (Counter.INTEGRATE, "weights", weight_bits, 1, 0, 1),
            (Counter.FIRE, "stored currents", MEMBRANE.width, 1, 0, 0),
            (Counter.FEEDBACK, "feedback entries", weight_bits, 2, 1, 1),
            (Counter.LEARN, "updated weights", weight_bits, 2, 1, UPDATE_ADDS),
            (Counter.ACCUMULATE, "gradients", GRADIENT.width, 2, 1, 1),
        ):
            entries = words[counter] * lanes
            yield f"{what}: memory", counter, accesses * entries * bits / MEMORY_BITS, MEMORY_READ
            yield f"{what}: multiplications", counter, multiplies * entries, INTEGER_MULTIPLY
            yield f"{what}: additions", counter, adds * entries, INTEGER_ADD
        if network.input is not Input.SPIKES:
            values = words[Counter.EVENTS] * products * lanes
            yield "input values: multiplications", Counter.EVENTS, values, INTEGER_MULTIPLY
        neurons = words[Counter.STEPS] * hidden * lanes
        yield "potentials: memory", Counter.STEPS, 2 * neurons * MEMBRANE.width / MEMORY_BITS, MEMORY_READ
        yield "potentials: additions", Counter.STEPS, NEURON_ADDS * neurons, INTEGER_ADD

    return [EnergyLine(what, counter.name, count, each) for what, counter, count, each in lines() if count]


def float_energy(network: Network) -> list[EnergyLine]:
    """Energy of an inference of the same network in 32-bit float: every weight, in every time step, without sparsity.

    Each multiplication reads its weight from a memory of 8 kB, which is the least there can be.
    """
    neurons = [layer.map.positions * layer.map.channels for layer in network.layers]
    products = network.steps * sum(count * layer.fan_in for count, layer in zip(neurons, network.layers, strict=True))
    return [
        EnergyLine("weights: memory", SIZES, products * FLOAT_BITS / MEMORY_BITS, MEMORY_READ),
        EnergyLine("weights: multiplications", SIZES, products, FLOAT_MULTIPLY),
        EnergyLine("weights, biases: additions", SIZES, products + network.steps * sum(neurons), FLOAT_ADD),
    ]


def energy_figures(chip: Sequence[EnergyLine], cpu: Sequence[EnergyLine]) -> dict[str, Any]:
    """Both estimates for JSON, in picojoules a sample."""
    return {
        "estimate": True,
        "unit": "pJ per sample",
        "source": SOURCE,
        "not_included": NOT_INCLUDED,
        **{
            name: {
                "total": total(lines),
                "parts": [
                    {"what": line.what, "from": line.origin, "count": line.count}
                    | {"operation": line.operation.name, "each": line.operation.picojoules, "energy": line.picojoules}
                    for line in lines
                ],
            }
            for name, lines in (("chip", chip), ("float_cpu", cpu))
        },
    }


def total(lines: Sequence[EnergyLine]) -> float:
    """Sum of the energy of all lines, in picojoules."""
    return sum(line.picojoules for line in lines)


def energy_table(chip: Sequence[EnergyLine], cpu: Sequence[EnergyLine]) -> Iterator[str]:
    """Lines of both estimates, within 80 columns."""
    yield "energy of a sample: an ESTIMATE, counted operations x energy of each in 45 nm"
    for title, lines in (("chip", chip), ("the same network in float on a CPU", cpu)):
        yield f"{title:45}{'from':16}{'count':>8} {'energy':>10}"
        for line in lines:
            each = f"{line.what} ({line.operation.picojoules:g} pJ)"
            yield f"  {each:43}{line.origin:16}{compact(round(line.count)):>8} {energy_text(line.picojoules):>10}"
        yield f"  {'total':67}{energy_text(total(lines)):>11}"
    yield f"source: {SOURCE}"
    yield f"not included: {NOT_INCLUDED}"


def energy_text(picojoules: float) -> str:
    """An energy with a suitable unit."""
    size, unit = next((entry for entry in UNITS if picojoules >= entry[0]), UNITS[-1])
    return f"{picojoules / size:.3g} {unit}"
