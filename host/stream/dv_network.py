"""Camera events received over the network from the DV software, or from any program with dv-processing."""

import time
from collections.abc import Callable, Iterator
from math import prod

import numpy as np

from opzo.host.data.events.binning import Binning
from opzo.host.driver.input_order import check_shape
from opzo.host.stream.live_readers import WAIT
from opzo.host.stream.live_source import RECORD, RecordKind, Records
from opzo.spec.errors import OpzoError
from opzo.spec.network import Network

NOWHERE = 0xFFFF
"""An address outside every network."""


def read_dv(
    address: tuple[str, int], size: tuple[int, int] | None, network: Network, name: str, stop: Callable[[], bool]
) -> Iterator[Records]:
    """Records of the events from a DV network output, until it ends or ``stop``.

    The sensor is downscaled to ``size`` (width, height) unless that is None. OpzoError if there is no DV output or no
    stream of events, and if the sensor does not have the shape of the inputs of ``network``.
    """
    try:
        import dv_processing
    except ImportError as error:
        raise OpzoError(f"{name} needs the library dv-processing ({error}); pip install 'opzo[events]'") from None
    try:
        reader = dv_processing.io.NetworkReader(*address)
    except RuntimeError as error:
        if stop():
            # Ctrl-C during the wait for an answer.
            return
        reason = str(error).split(" [", 1)[0]
        raise OpzoError(f"no DV network output at {name} ({reason}); start it, or give its host and port") from None
    if not reader.isEventStreamAvailable():
        raise OpzoError(f"{name} sends no events; choose a network output of events in DV")
    width, height = reader.getEventResolution()
    _, rows, columns = shape = Binning(1, size=size).shape(width, height)
    if prod(shape) != network.inputs:
        raise OpzoError(
            f"{name} has {' x '.join(map(str, shape))} addresses; the network has {network.inputs} inputs: reduce the "
            "sensor with --size WxH"
        )
    check_shape(shape, network, name)
    while not stop():
        batch = reader.getNextEventBatch()
        if batch is None:
            if not reader.isRunning():
                return
            time.sleep(WAIT)
            continue
        events = batch.numpy()
        y, x = events["y"].astype(np.int64) * rows // height, events["x"].astype(np.int64) * columns // width
        records = np.zeros(len(events), RECORD)
        records["t"] = events["timestamp"] & 0xFFFFFFFF
        inside = (events["y"] >= 0) & (events["y"] < height) & (events["x"] >= 0) & (events["x"] < width)
        # An event outside the sensor gets an address outside the network, so that it is counted as malformed.
        records["address"] = np.where(inside, (events["polarity"].astype(np.int64) * rows + y) * columns + x, NOWHERE)
        records["value"], records["kind"] = 1, RecordKind.EVENT
        yield records
