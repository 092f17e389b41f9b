"""Recordings in time steps: which addresses had events in each, and how many."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.events.event_files import ADDRESSES, STEPS_MAX
from opzo.host.data.events.event_samples import VALUE_MAX, Events, EventSample
from opzo.host.data.recordings.clock import TIME_MAX
from opzo.host.data.recordings.recording import Recording
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable

CHANNELS = 2
"""OFF, then ON."""
SPLITS = ("time", "number")
REPORT_S = 10.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Binning:
    """How a recording becomes the time steps of a sample; OpzoError where that cannot be.

    Parameters
    ----------
    steps : int
        Time steps of each sample.
    bin_us : int
        Microseconds of a time step; later events are left out. 0: the steps share the recording by ``split``.
    start_us : int or None
        Time of the recording's clock at which step 0 begins; earlier events are left out. None: its first event.
    duration_us : int
        Only the events of that many microseconds; 0: all. Not together with ``bin_us``.
    split : "time" or "number"
        Steps of equal duration, from first to last event (or of ``duration_us`` in all), or with the same number of
        events, as nearly as it goes.
    size : (width, height) or None
        Size to which the sensor is reduced, each pixel of it to one; None: as it is.
    reduce : int
        Factor by which both sides of the sensor are reduced, rounding up. Not together with ``size``.
    counts : bool
        Graded events, value min(255, events of the address in the step), instead of spikes.
    """

    steps: int
    bin_us: int = 0
    start_us: int | None = None
    duration_us: int = 0
    split: str = "time"
    size: tuple[int, int] | None = None
    reduce: int = 1
    counts: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.steps <= STEPS_MAX:
            raise OpzoError(f"a sample has 1..{STEPS_MAX} time steps, not {self.steps}")
        if self.bin_us < 0 or self.duration_us < 0:
            raise OpzoError(f"a time step of {self.bin_us} us, a recording of {self.duration_us} us: give 1 or more")
        if max(abs(self.start_us or 0), self.bin_us, self.duration_us) > TIME_MAX:
            raise OpzoError(f"a time beyond {TIME_MAX} us; give a smaller one")
        if self.split not in SPLITS:
            raise OpzoError(f"there is no split by '{self.split}'; choose {' or '.join(SPLITS)}")
        if self.bin_us and (self.duration_us or self.split != "time"):
            raise OpzoError("time steps of fixed length have a duration and a split already; give only one of them")
        if self.reduce < 1 or (self.size and (self.reduce > 1 or min(self.size) < 1)):
            raise OpzoError(f"a size of {self.size} and a reduction by {self.reduce}: give one of them, 1 or more")

    def shape(self, width: int, height: int) -> tuple[int, int, int]:
        """(channels, height, width) of the samples from a sensor of that size."""
        if self.size and (self.size[0] > width or self.size[1] > height):
            raise OpzoError(
                f"a sensor of {width} x {height} pixels cannot be reduced to {self.size[0]} x {self.size[1]}; give a "
                "smaller size"
            )
        columns, rows = self.size or (-(-width // self.reduce), -(-height // self.reduce))
        if CHANNELS * rows * columns > ADDRESSES:
            raise OpzoError(
                f"{CHANNELS} x {rows} x {columns} pixels are more than the {ADDRESSES} addresses that events have; "
                "give a smaller size"
            )
        return CHANNELS, rows, columns

    def sample(self, recording: Recording, label: int = 0) -> EventSample:
        """Sample of the recording: addresses in ascending order within each time step."""
        if not recording.named:
            raise OpzoError(
                f"{recording.name} does not say the size of its sensor, which decides the addresses of its events; "
                "give it with --sensor WxH"
            )
        _, rows, columns = self.shape(recording.width, recording.height)
        bounds = self._bounds(recording.t)
        kept = slice(int(bounds[0]), int(bounds[-1]))
        step = np.repeat(np.arange(self.steps), np.diff(bounds))
        y, x = recording.y[kept].astype(np.int64), recording.x[kept].astype(np.int64)
        if self.size:
            y, x = y * rows // recording.height, x * columns // recording.width
        else:
            y, x = y // self.reduce, x // self.reduce
        inputs = CHANNELS * rows * columns
        channel = recording.polarity[kept].astype(np.int64)
        places, counts = np.unique(((step * CHANNELS + channel) * rows + y) * columns + x, return_counts=True)
        return EventSample(
            (places % inputs).astype(np.uint16),
            np.searchsorted(places, np.arange(self.steps + 1) * inputs),
            np.minimum(counts, VALUE_MAX).astype(np.uint8) if self.counts else None,
            label,
        )

    def _bounds(self, t: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of the first event of each step, and of the first one behind the last step; ``t`` never descends."""
        if not len(t):
            return np.zeros(self.steps + 1, np.int64)
        start, last = int(t[0]) if self.start_us is None else self.start_us, int(t[-1])
        if self.split == "number":
            first = int(np.searchsorted(t, start))
            end = int(np.searchsorted(t, start + self.duration_us)) if self.duration_us else len(t)
            # Rounded up.
            return first - (np.arange(self.steps + 1) * (first - end) // self.steps)
        # One more than the last time, so that the last event is in the last step.
        span = self.steps * self.bin_us or self.duration_us or max(1, last + 1 - start)
        # In whole numbers of any size: times are up to 2**60.
        begins = [min(start - (-step * span // self.steps), last + 1) for step in range(self.steps + 1)]
        return np.searchsorted(t, np.array(begins, np.int64))


def bin_recordings(recordings: Iterable[tuple[Recording, int]], binning: Binning, name: str) -> Events:
    """Events of recordings with labels, all from sensors of one size; ``name`` is for messages."""
    samples: list[EventSample] = []
    sensor: tuple[int, int] | None = None
    empty, latest_empty = 0, ""
    reported = monotonic()
    for recording, label in recordings:
        found = recording.width, recording.height
        if sensor is not None and sensor != found:
            raise OpzoError(
                f"{name}: recording {len(samples)} has a sensor of {found[0]} x {found[1]} pixels, the others "
                f"{sensor[0]} x {sensor[1]} ({recording.name}); give recordings of one sensor, or its --sensor"
            )
        sensor = found
        samples.append(binning.sample(recording, label))
        if not len(samples[-1].addresses):
            empty += 1
            latest_empty = f"{recording.name} begins at {recording.t[0]} us of its clock"
        if monotonic() - reported > REPORT_S:
            reported = monotonic()
            logger.info("%s: converted %d recordings", name, len(samples))
    if sensor is None:
        raise OpzoError(f"{name}: there are no recordings; give some")
    if empty == len(samples):
        raise OpzoError(f"{name}: no event lies in a time step ({latest_empty}); give another --start-us, or none")
    if empty:
        logger.warning(
            "%s: %d of %d samples have no events, because none lies in a time step; the last one: %s",
            name,
            empty,
            len(samples),
            printable(latest_empty),
        )
    return Events.of(samples, binning.shape(*sensor), name)
