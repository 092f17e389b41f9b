"""Testing a network on a device."""

from collections.abc import Callable, Iterator

import numpy as np

from opzo.host.data.data_sets import Frames
from opzo.host.data.events.event_samples import Events
from opzo.host.driver.device import Device
from opzo.host.driver.input_order import channel_last_shape
from opzo.host.driver.sample import Sample
from opzo.host.driver.statistics import Tally, counter_array
from opzo.spec.network import Network

Samples = Frames | Events
"""Samples to train and to test with."""


def evaluate(
    device: Device,
    network: Network,
    samples: Samples,
    stop: Callable[[], bool] = lambda: False,
    answered: Callable[[int, int], None] = lambda prediction, label: None,
) -> Tally:
    """Test the network on a device that holds it, without noise and without learning.

    Parameters
    ----------
    stop : callable
        Ends the test early when it returns True.
    answered : callable
        Called with prediction and label of each sample.
    """
    tally = Tally()
    before, sent = counter_array(device.counters()), device.bytes_sent
    results = device.run(until(stop, samples.samples(channel_last=channel_last_shape(network))))
    for result, label in zip(results, samples.y.tolist(), strict=False):
        tally.add(result, label)
        answered(result.prediction, label)
    tally.sent = device.bytes_sent - sent
    tally.add_counters(before, counter_array(device.counters()))
    return tally


def until(stop: Callable[[], bool], samples: Iterator[Sample]) -> Iterator[Sample]:
    """Samples until ``stop`` returns True."""
    for sample in samples:
        if stop():
            return
        yield sample


def chance_accuracy(samples: Samples) -> float:
    """Accuracy of always predicting the most frequent class."""
    return float(np.bincount(samples.y).max()) / len(samples)
