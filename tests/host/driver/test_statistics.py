"""Figures of a tally by hand, down to one sample and none."""

import numpy as np
import pytest

from opzo.host.driver.sample import Result
from opzo.host.driver.statistics import Tally
from opzo.spec.limits import Limits
from opzo.spec.network import Network
from opzo.spec.protocol import Identity
from opzo.spec.registers import Counter

NETWORK = Network((8, 10, 5, 4), 2)
LANES = 4


def tally(samples: int) -> Tally:
    """Samples of which the first one is wrong: 3 bits of loss a step, 6 and 2 spikes each."""
    found = Tally(sent=30 * samples)
    for number in range(samples):
        found.add(Result(number and 1, 2 * 3 * 256, np.zeros(0, np.int32)), 1)
    counts = {"SPIKES_1": 6, "SPIKES_2": 2, "TRAIN_CYCLES": 90, "TEST_CYCLES": 10, "EVENTS": 5, "INTEGRATE": 7}
    for name, count in (counts | {"LEARN": 3, "WEIGHT_SATURATIONS": 4}).items():
        found.counters[Counter[name]] = count * samples
    return found


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_figures_are_means_over_the_samples(samples: int) -> None:
    found = tally(samples).figures(NETWORK, Identity.of(Limits(LANES, 64, 8, 4, 4)))
    saturations = found.pop("saturations")
    assert saturations.pop("weight") == 4 * samples
    assert not any(saturations.values())
    assert found == {
        "samples": samples,
        "accuracy": (samples - 1) / samples,
        "loss": 3.0,
        "firing_rates": [6 / 20, 2 / 10],
        "cycles_per_sample": 100.0,
        "cycles": "counted",
        "events_per_sample": 5.0,
        "events_dropped": 0,
        "link_bytes_per_sample": 30.0,
        "synaptic_operations_per_sample": 7.0 * LANES,
        "weight_updates_per_sample": 3.0 * LANES,
    }


def test_figures_without_samples_are_zero() -> None:
    found = tally(0).figures(NETWORK, Identity.of(Limits(LANES, 64, 8, 4, 4)))
    assert found.pop("cycles") == "counted"
    assert found.pop("firing_rates") == [0, 0]
    assert not any(found.pop("saturations").values())
    assert not any(found.values())
