"""What a device answers to one sample, with the spikes that led to it."""

from base64 import b64encode
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.images.frames import PIXEL_MAX, Frames
from opzo.host.driver.device import Device
from opzo.host.driver.input_order import channel_last_shape
from opzo.host.driver.statistics import Tally, counter_array, cycles_are
from opzo.host.training.prediction import probabilities
from opzo.spec.formats import OUTPUT_SUM
from opzo.spec.network import Network

ROWS_MAX = 256
"""Most rows of a layer in a spike raster; more neurons share rows."""


def answer(device: Device, network: Network, frames: Frames) -> dict[str, Any]:
    """Answer to the first of ``frames``, without noise and without learning, ready for JSON."""
    tally = Tally()
    before = counter_array(device.counters())
    (result,) = device.run(frames.samples(channel_last=channel_last_shape(network)), outputs=True)
    tally.add(result, int(frames.y[0]))
    tally.add_counters(before, counter_array(device.counters()))
    readouts = result.outputs / (OUTPUT_SUM.one * network.steps)
    return {
        "prediction": result.prediction,
        "probabilities": probabilities(readouts).round(4).tolist(),
        "image": image(frames),
        "spikes": spikes(device, network),
        **work(tally, device),
    }


def work(tally: Tally, device: Device) -> dict[str, Any]:
    """Cycles and operations of the samples of a tally."""
    count = max(1, tally.samples)
    figures = tally.figures(device.network, device.identity) if device.network else {}
    return {
        "cycles": tally.cycles,
        "cycles_are": cycles_are(device.identity),
        "synaptic_operations": round(figures["synaptic_operations_per_sample"] * count),
        "weight_updates": round(figures["weight_updates_per_sample"] * count),
    }


def spikes(device: Device, network: Network) -> list[dict[str, Any]]:
    """Spikes of each hidden layer in the last run: share of the neurons of each row that fired, by time step."""
    layers = []
    for layer, neurons in enumerate(network.hidden):
        histories = device.read_histories(layer)
        fired = (histories[:, None] >> np.arange(network.steps)) & 1
        rows = min(neurons, ROWS_MAX)
        first = np.linspace(0, neurons, rows, endpoint=False).astype(int)
        counts = np.diff(np.append(first, neurons))[:, None]
        shares = np.rint(PIXEL_MAX * np.add.reduceat(fired, first, axis=0) / counts)
        layers.append({"neurons": neurons, "rows": rows, "spikes": int(fired.sum()), "data": encoded(shares)})
    return layers


def image(frames: Frames, index: int = 0) -> dict[str, Any]:
    """An image as the device gets it, its channels side by side."""
    assert frames.shape is not None
    channels, height, width = frames.shape
    planes = frames.planes(frames.x[index : index + 1])[0]
    return {"height": height, "width": channels * width, "data": encoded(np.concatenate(planes, axis=1))}


def encoded(values: NDArray[np.generic]) -> str:
    """Bytes 0..255, or -128..127, in base64."""
    return b64encode((values.astype(np.int64) & 0xFF).astype(np.uint8).tobytes()).decode()
