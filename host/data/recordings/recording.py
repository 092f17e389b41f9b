"""One checked recording of an event camera: the result of all readers of recordings."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.recordings.clock import steady
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable

SENSOR_MAX = 1 << 16

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recording:
    """Events of one recording, in order of time; event i is at row ``y[i]``, column ``x[i]``.

    Attributes
    ----------
    t : int64 (events,)
        Sorted times in microseconds since the file's origin (start of the camera, Unix time), without jumps
        (``opzo.host.data.recordings.clock``).
    x, y : uint16 (events,)
        Column in 0..width-1 and row in 0..height-1, as in the file.
    polarity : bool (events,)
        True: brighter.
    width, height : int
        Sensor size in pixels.
    name : str
        File, for messages.
    named : bool
        Whether the sensor size is known. If not, ``width`` and ``height`` are the minimum for the events, and the
        recording can be displayed but not converted, because its event addresses depend on the size.
    """

    t: NDArray[np.int64]
    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    polarity: NDArray[np.bool_]
    width: int
    height: int
    name: str = "the recording"
    named: bool = True

    def __len__(self) -> int:
        return len(self.t)


@dataclass(frozen=True)
class RawEvents:
    """Unchecked events as in a file.

    Attributes
    ----------
    t, x, y, polarity : integers (events,)
        As in Recording; ``polarity`` is 1 for brighter, 0 or -1 for darker.
    sensor : (width, height) or None
        Sensor size in the file; None if it has none.
    place : function
        Text for the place in the file of the event with this index, such as "byte 12".
    """

    t: NDArray[Any]
    x: NDArray[Any]
    y: NDArray[Any]
    polarity: NDArray[Any]
    sensor: tuple[int, int] | None
    place: Callable[[int], str]


def byte_places(offsets: NDArray[np.int64]) -> Callable[[int], str]:
    """Function that describes the place of an event, for events that start at these bytes of the file."""
    return lambda index: f"byte {offsets[index]}"


def choose_camera(path: Path, found: Sequence[str], camera: str | None) -> str:
    """Choose one of the cameras ``found`` in a file; OpzoError if ``camera`` is not one of them.

    Without ``camera`` it is the first one, with a warning if there are others.
    """
    if camera is not None and camera not in found:
        raise OpzoError(
            f"{path}: there is no camera '{printable(camera)}' with events; choose {', '.join(map(printable, found))}"
        )
    if camera is None and len(found) > 1:
        logger.warning(
            "%s has events of %d cameras (%s); reading %s; choose another with --camera",
            printable(path),
            len(found),
            ", ".join(map(printable, found)),
            printable(found[0]),
        )
    return found[0] if camera is None else camera


def check(path: Path | str, raw: RawEvents, sensor: tuple[int, int] | None, *, mend_clock: bool = True) -> Recording:
    """Check events and sort them by time.

    The sensor size is that of the file, else ``sensor`` (width, height); without both, the recording is not ``named``.
    Jumps of the clock are removed. OpzoError if there are no events, if an address is outside the sensor, a polarity
    or time is invalid, the file and ``sensor`` disagree, or, without ``mend_clock``, if the clock jumps.
    """
    if not len(raw.t):
        raise OpzoError(f"{path}: no events; leave the file out or record it again")
    # Some programs write 0 x 0 for an unknown size.
    own = raw.sensor if raw.sensor != (0, 0) else None
    if sensor and own and sensor != own:
        raise OpzoError(f"{path}: the sensor has {_size(own)} pixels, not the given {_size(sensor)}; leave that out")
    named = bool(own or sensor)
    size = own or sensor or (int(raw.x.max()) + 1, int(raw.y.max()) + 1)
    if not all(0 < side <= SENSOR_MAX for side in size):
        raise OpzoError(f"{path}: a sensor of {_size(size)} pixels; width and height must be in 1..{SENSOR_MAX}")
    outside = (raw.x < 0) | (raw.x >= size[0]) | (raw.y < 0) | (raw.y >= size[1])
    if outside.any():
        first = int(outside.argmax())
        raise OpzoError(
            f"{path}: address x={raw.x[first]}, y={raw.y[first]} outside the sensor of {_size(size)} pixels at "
            f"{raw.place(first)}; the file is damaged, or from another camera: give the correct sensor size"
        )
    wrong = ~np.isin(raw.polarity, (-1, 0, 1))
    if wrong.any():
        first = int(wrong.argmax())
        raise OpzoError(
            f"{path}: polarity {raw.polarity[first]} at {raw.place(first)}; expected 1 for brighter, 0 or -1 for darker"
        )
    t, order = steady(str(path), raw.t.astype(np.int64), raw.place, mend=mend_clock)
    x, y = (values.astype(np.uint16)[order] for values in (raw.x, raw.y))
    return Recording(t, x, y, (raw.polarity > 0)[order], *size, str(path), named)


def _size(sensor: tuple[int, int]) -> str:
    return f"{sensor[0]} x {sensor[1]}"
