"""Neurons of snnTorch in a state dict: ``NAME.beta``, ``NAME.threshold`` and others, of each ``snn.Leaky``."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from opzo.host.exchange.neurons import FloatNeurons
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable
from opzo.spec.neurons import Reset

ENTRIES = ("beta", "threshold", "graded_spikes_factor", "reset_mechanism_val")
"""Entries of `snn.Leaky`; the first is the leak."""
RESETS = {0: Reset.SUBTRACT, 1: Reset.ZERO}
"""Resets by the value of ``reset_mechanism_val``; 2 is none."""


class Leaky(NamedTuple):
    """Neurons of one layer, their thresholds, () or (n,), and whether a spike changes their potential."""

    neurons: FloatNeurons
    threshold: NDArray[np.float64]
    resets: bool


def snntorch_neurons(
    arrays: Mapping[str, NDArray[np.float64]],
) -> tuple[list[Leaky], dict[str, NDArray[np.float64]]]:
    """Neurons in their order, and the entries that are not theirs; OpzoError, naming the entry, for unknown ones."""
    found, others = [], dict(arrays)
    for name in [key.rpartition(".")[0] for key in arrays if key.rpartition(".")[2] == ENTRIES[0]]:
        values = {entry: others.pop(f"{name}.{entry}") for entry in ENTRIES if f"{name}.{entry}" in others}
        beta = values["beta"].clip(0, 1)
        if np.ptp(beta) > 0:
            raise OpzoError(
                f"'{printable(name)}.beta' is {beta.min():g} to {beta.max():g}; the neurons of a layer have one leak "
                "on the chip: train with one beta"
            )
        if (values.get("graded_spikes_factor", np.ones(1)) != 1).any():
            raise OpzoError(
                f"'{printable(name)}.graded_spikes_factor' is not 1; spikes of the chip are: train with that"
            )
        reset = RESETS.get(int(values.get("reset_mechanism_val", np.zeros(1)).ravel()[0]))
        leak = float(beta.ravel()[0])
        # snnTorch resets in the step after the spike, when the potential has leaked.
        known = Reset.SUBTRACT if reset is None else reset
        neurons = FloatNeurons(printable(name), leak, known, amount=1 / leak if leak else 1.0)
        found.append(Leaky(neurons, values.get("threshold", np.ones(1)).squeeze(), reset is not None))
    return found, others
