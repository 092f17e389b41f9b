"""Events of a camera that the DV software, or any program with dv-processing, sends over the network."""

import time
from collections.abc import Callable, Iterator
from math import prod

import numpy as np

from opzo.host.data.events.binning import Binning
from opzo.host.stream.live_source import RECORD, WAIT, Kind, Records
from opzo.spec.errors import OpzoError

NOWHERE = 0xFFFF
"""An address that no network has."""


def read_dv(
    address: tuple[str, int], size: tuple[int, int] | None, inputs: int, name: str, stop: Callable[[], bool]
) -> Iterator[Records]:
    """Records of the events that a DV network output sends, until it ends or ``stop``.

    ``size`` (width, height) is what the sensor is reduced to, None: as it is. OpzoError where nobody sends, where there
    is no stream of events, and where the sensor does not make ``inputs`` addresses.
    """
    try:
        import dv_processing
    except ImportError as error:
        raise OpzoError(f"{name} is read by dv-processing ({error}); pip install 'opzo[events]'") from None
    try:
        reader = dv_processing.io.NetworkReader(*address)
    except RuntimeError as error:
        if stop():
            # Ctrl-C ends the waiting for somebody who does not answer.
            return
        reason = str(error).split(" [", 1)[0]
        raise OpzoError(f"no DV network output at {name} ({reason}); start it, or give its host and port") from None
    if not reader.isEventStreamAvailable():
        raise OpzoError(f"{name} sends no events; choose a network output of events in DV")
    width, height = reader.getEventResolution()
    _, rows, columns = shape = Binning(1, size=size).shape(width, height)
    if prod(shape) != inputs:
        raise OpzoError(
            f"{name} has {' x '.join(map(str, shape))} addresses; the network has {inputs} inputs: reduce the sensor "
            "with --size WxH"
        )
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
        # Outside of the sensor is outside of the network, too.
        records["address"] = np.where(inside, (events["polarity"].astype(np.int64) * rows + y) * columns + x, NOWHERE)
        records["value"], records["kind"] = 1, Kind.EVENT
        yield records
