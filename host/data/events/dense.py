"""Events from dense arrays with an entry for each time step and input, the form used by other frameworks."""

import numpy as np
from numpy.typing import ArrayLike

from opzo.host.data.events.event_samples import Events
from opzo.host.data.images.frames import CHANNELS_MAX, PIXEL_MAX
from opzo.host.data.labels import labels_of
from opzo.spec.errors import OpzoError
from opzo.spec.limits import MAX_INPUTS
from opzo.spec.rules import Input


def dense_events(
    x: ArrayLike, y: ArrayLike, kind: Input = Input.SPIKES, name: str = "x", label_name: str = "y"
) -> Events:
    """Convert all nonzero entries of ``x`` to events.

    Parameters
    ----------
    x : (count, steps, inputs) or (count, steps, channels, height, width)
        0 and 1 for spikes; whole numbers 0..255 for graded events.
    y : (count,) or (count, 1)
        Labels.
    kind : Input
        SPIKES or GRADED.
    name, label_name : str
        Names of ``x`` and ``y`` for messages.

    Raises OpzoError if an array has another shape or other values.
    """
    array = np.asarray(x)
    if array.ndim not in (3, 5) or not array.size:
        raise OpzoError(
            f"{name} has shape {array.shape}; events are (count, steps, inputs) or (count, steps, channels, height, "
            "width)"
        )
    count, steps, *shape = array.shape
    if len(shape) == 3 and shape[2] <= CHANNELS_MAX < min(shape[:2]):
        raise OpzoError(
            f"{name} has shape {array.shape}, which looks channel-last; events are (count, steps, channels, height, "
            "width): numpy.moveaxis(x, -1, 2)"
        )
    if np.prod(shape) > MAX_INPUTS:
        raise OpzoError(f"{name} has {np.prod(shape)} inputs per time step; the chip has at most {MAX_INPUTS}")
    top = 1 if kind is Input.SPIKES else PIXEL_MAX
    # The comparisons also reject NaN.
    if array.dtype.kind not in "buif" or not ((array >= 0) & (array <= top) & (array == np.floor(array))).all():
        hint = "; give (x > 0) for spikes, or keep counts with graded" if kind is Input.SPIKES else ""
        raise OpzoError(f"{name} must have whole numbers from 0 to {top}, as {kind.name.lower()} in time{hint}")
    flat = array.reshape(count, steps, -1)
    is_event = flat != 0
    ends = np.cumsum(np.count_nonzero(is_event, axis=2).reshape(-1), dtype=np.int64)
    begins = np.concatenate([np.zeros(1, np.int64), ends])[:-1:steps]
    return Events(
        addresses=np.nonzero(is_event)[2].astype(np.uint16),
        offsets=np.hstack([begins[:, None], ends.reshape(count, steps)]),
        y=labels_of(y, count, label_name, name),
        shape=(shape[0], shape[1], shape[2]) if len(shape) == 3 else (1, 1, shape[0]),
        values=None if kind is Input.SPIKES else flat[is_event].astype(np.uint8),
        name=name,
    )
