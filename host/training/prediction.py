"""Predictions for samples: readouts, probabilities and classes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opzo.host.driver.device import Device
from opzo.host.driver.input_order import channel_last_shape
from opzo.host.training.evaluation import Samples
from opzo.spec.formats import OUTPUT_SUM
from opzo.spec.network import Network


@dataclass(frozen=True)
class Prediction:
    """Answer of a network to one sample.

    Attributes
    ----------
    label : int
        Predicted class: that with the largest readout, the lowest number of equals.
    readouts : float64 (classes,)
        Readout of each class, mean over the time steps, in units of the threshold.
    """

    label: int
    readouts: NDArray[np.float64]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Probability of each class, (classes,), by `probabilities`."""
        return probabilities(self.readouts)


def probabilities(readouts: ArrayLike) -> NDArray[np.float64]:
    """Softmax of readouts over the last axis, to base e: that of the device's loss in one time step, without rounding.

    ``readouts`` (..., classes) are means over the time steps, in units of the threshold.
    """
    values = np.asarray(readouts, np.float64)
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return result


def predictions(device: Device, network: Network, samples: Samples) -> Iterator[Prediction]:
    """Prediction for each sample, in order, from a device that holds the network; labels are not used."""
    scale = OUTPUT_SUM.one * network.steps
    for result in device.run(samples.samples(channel_last=channel_last_shape(network)), outputs=True):
        yield Prediction(result.prediction, result.outputs / scale)
