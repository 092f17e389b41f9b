"""One recording of an event camera, checked: what all readers of files of events return."""

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
        Microseconds, never descending; counted from where the file counts (start of the camera, Unix time), without its
        jumps (``opzo.host.data.recordings.clock``).
    x, y : uint16 (events,)
        Column in 0..width-1 and row in 0..height-1, as in the file.
    polarity : bool (events,)
        True: brighter.
    width, height : int
        Size of the sensor in pixels.
    name : str
        For messages: the file.
    named : bool
        False: nobody has told the size of the sensor, ``width`` and ``height`` are only what the events need. Such a
        recording is for looking at: its addresses are not known.
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
    """Events as a file has them, not yet checked.

    Attributes
    ----------
    t, x, y, polarity : integers (events,)
        As in Recording; ``polarity`` is 1 for brighter, 0 or -1 for darker.
    sensor : (width, height) or None
        Size of the sensor that the file names; None: it names none.
    place : function
        Words for the place in the file of the event with this index, such as "byte 12".
    """

    t: NDArray[Any]
    x: NDArray[Any]
    y: NDArray[Any]
    polarity: NDArray[Any]
    sensor: tuple[int, int] | None
    place: Callable[[int], str]


def byte_places(offsets: NDArray[np.int64]) -> Callable[[int], str]:
    """Words for the places of events that begin at these bytes of the file."""
    return lambda index: f"byte {offsets[index]}"


def choose_camera(path: Path, found: Sequence[str], camera: str | None) -> str:
    """The one of the cameras ``found`` in a file that is meant; OpzoError where ``camera`` is not one of them.

    Without ``camera`` it is the first one, with a warning where there are others.
    """
    if camera is not None and camera not in found:
        raise OpzoError(
            f"{path}: there is no camera '{printable(camera)}' with events; choose {', '.join(map(printable, found))}"
        )
    if camera is None and len(found) > 1:
        logger.warning(
            "%s holds the events of %d cameras (%s); taken: %s; choose with --camera",
            printable(path),
            len(found),
            ", ".join(map(printable, found)),
            printable(found[0]),
        )
    return found[0] if camera is None else camera


def check(path: Path, raw: RawEvents, sensor: tuple[int, int] | None, *, mend_clock: bool = True) -> Recording:
    """Recording with these events, in order of time.

    OpzoError where there are none, where an address lies outside the sensor, a polarity is none, or the times are those
    of no clock; jumps of it are taken out, or, without ``mend_clock``, an OpzoError too. The size of the sensor is
    that of the file, else ``sensor``, (width, height); where both are None, the recording is not ``named``. OpzoError
    also where the file and ``sensor`` disagree.
    """
    if not len(raw.t):
        raise OpzoError(f"{path}: no events; leave the file out or record it again")
    # Programs that do not know the size write 0 x 0.
    own = raw.sensor if raw.sensor != (0, 0) else None
    if sensor and own and sensor != own:
        raise OpzoError(f"{path}: its sensor has {_size(own)} pixels, not the {_size(sensor)} given; leave it out")
    named = bool(own or sensor)
    size = own or sensor or (int(raw.x.max()) + 1, int(raw.y.max()) + 1)
    if not all(0 < side <= SENSOR_MAX for side in size):
        raise OpzoError(f"{path}: a sensor of {_size(size)} pixels; sides from 1 to {SENSOR_MAX} work")
    outside = (raw.x < 0) | (raw.x >= size[0]) | (raw.y < 0) | (raw.y >= size[1])
    if outside.any():
        first = int(outside.argmax())
        raise OpzoError(
            f"{path}: address x={raw.x[first]}, y={raw.y[first]} outside the sensor of {_size(size)} pixels at "
            f"{raw.place(first)}; the file is damaged, or from another camera: give the size of its sensor"
        )
    wrong = ~np.isin(raw.polarity, (-1, 0, 1))
    if wrong.any():
        first = int(wrong.argmax())
        raise OpzoError(
            f"{path}: polarity {raw.polarity[first]} at {raw.place(first)}; 1 for brighter, 0 or -1 for darker"
        )
    t, order = steady(str(path), raw.t.astype(np.int64), raw.place, mend=mend_clock)
    x, y = (values.astype(np.uint16)[order] for values in (raw.x, raw.y))
    return Recording(t, x, y, (raw.polarity > 0)[order], *size, str(path), named)


def _size(sensor: tuple[int, int]) -> str:
    return f"{sensor[0]} x {sensor[1]}"
