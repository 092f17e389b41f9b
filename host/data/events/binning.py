"""Conversion of recordings to event samples: the addresses with events in each time step, and their counts."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import median
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.events.event_files import ADDRESSES, STEPS_MAX
from opzo.host.data.events.event_sample import EventSample
from opzo.host.data.events.event_samples import VALUE_MAX, Events
from opzo.host.data.recordings.clock import TIME_MAX
from opzo.host.data.recordings.recording import Recording
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable

CHANNELS = 2
"""Polarities: OFF, then ON."""
SPLITS = ("time", "number")
REPORT_S = 10.0
ODD_SPAN = 20
"""Time steps that cover so many times more or less than a recording may have a wrong unit."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Binning:
    """Division of a recording into the time steps of a sample; OpzoError if the parameters are invalid.

    Parameters
    ----------
    steps : int
        Time steps per sample.
    bin_us : int
        Duration of a time step in microseconds; events after the last step are dropped. 0: divide the recording by
        ``split``.
    start_us : int or None
        Start of step 0 on the recording's clock; earlier events are dropped. None: the first event.
    duration_us : int
        Use only this many microseconds from the start; 0: all. Excludes ``bin_us``.
    split : "time" or "number"
        Steps of equal duration, which cover ``duration_us`` or the time from first to last event, or steps with equal
        numbers of events (as nearly as possible).
    size : (width, height) or None
        Size to which the sensor is downscaled; None: keep its size.
    reduce : int
        Factor by which both sides of the sensor are reduced, rounding up. Excludes ``size``.
    crop : int
        Use only the ``crop`` x ``crop`` pixels in the middle of the sensor, before it is reduced; 0: all. The other
        events are dropped first, so they do not count for start, duration and split.
    counts : bool
        Make graded events with value min(255, events of the address in the step) instead of spikes.
    """

    steps: int
    bin_us: int = 0
    start_us: int | None = None
    duration_us: int = 0
    split: str = "time"
    size: tuple[int, int] | None = None
    reduce: int = 1
    counts: bool = False
    crop: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.steps <= STEPS_MAX:
            raise OpzoError(f"the number of time steps of a sample must be in 1..{STEPS_MAX}, not {self.steps}")
        if self.bin_us < 0 or self.duration_us < 0:
            raise OpzoError(
                f"a time step of {self.bin_us} us in a recording of {self.duration_us} us: durations must be 1 or more"
            )
        if max(abs(self.start_us or 0), self.bin_us, self.duration_us) > TIME_MAX:
            raise OpzoError(f"a start or duration is larger than {TIME_MAX} us; give a smaller one")
        if self.split not in SPLITS:
            raise OpzoError(f"there is no split by '{self.split}'; choose {' or '.join(SPLITS)}")
        if self.bin_us and (self.duration_us or self.split != "time"):
            raise OpzoError(
                "a fixed length of the time steps excludes a duration and a split by number; give only one of them"
            )
        if self.reduce < 1 or (self.size and (self.reduce > 1 or min(self.size) < 1)):
            raise OpzoError(f"size {self.size} and reduction by {self.reduce}: give only one of them, 1 or more")
        if self.crop < 0:
            raise OpzoError(f"a crop to {self.crop} pixels: give 1 or more, or 0 for the complete sensor")

    def shape(self, width: int, height: int) -> tuple[int, int, int]:
        """Shape (channels, height, width) of the samples from a sensor of this size."""
        if self.crop > min(width, height):
            raise OpzoError(
                f"a sensor of {width} x {height} pixels cannot be cropped to {self.crop} x {self.crop}; give a smaller "
                "crop"
            )
        if self.crop:
            width = height = self.crop
        if self.size and (self.size[0] > width or self.size[1] > height):
            raise OpzoError(
                f"a sensor of {width} x {height} pixels cannot be reduced to {self.size[0]} x {self.size[1]}; give a "
                "smaller size"
            )
        columns, rows = self.size or (-(-width // self.reduce), -(-height // self.reduce))
        if CHANNELS * rows * columns > ADDRESSES:
            raise OpzoError(
                f"{CHANNELS} x {rows} x {columns} pixels exceed the {ADDRESSES} addresses of events; give a smaller "
                "size"
            )
        return CHANNELS, rows, columns

    def sample(self, recording: Recording, label: int = 0) -> EventSample:
        """Convert a recording to a sample with ascending addresses in each time step."""
        if not recording.named:
            raise OpzoError(
                f"{recording.name} does not give the size of its sensor, which determines the addresses of its events; "
                "give it with --sensor WxH"
            )
        _, rows, columns = self.shape(recording.width, recording.height)
        if self.crop:
            recording = middle(recording, self.crop)
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
        # Step and address in one number, so that sorting orders events by step, then by address.
        keys, counts = np.unique(((step * CHANNELS + channel) * rows + y) * columns + x, return_counts=True)
        return EventSample(
            (keys % inputs).astype(np.uint16),
            np.searchsorted(keys, np.arange(self.steps + 1) * inputs),
            np.minimum(counts, VALUE_MAX).astype(np.uint8) if self.counts else None,
            label,
        )

    def _bounds(self, t: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of the first event of each step, and of the first one after the last step; ``t`` is sorted."""
        if not len(t):
            return np.zeros(self.steps + 1, np.int64)
        start, last = int(t[0]) if self.start_us is None else self.start_us, int(t[-1])
        if self.split == "number":
            first = int(np.searchsorted(t, start))
            end = int(np.searchsorted(t, start + self.duration_us)) if self.duration_us else len(t)
            # The quotient rounds up.
            return first - (np.arange(self.steps + 1) * (first - end) // self.steps)
        # One more than the last time, which puts the last event in the last step.
        span = self.steps * self.bin_us or self.duration_us or max(1, last + 1 - start)
        # Python integers: times up to 2**60 times the step would overflow int64.
        begins = [min(start - (-step * span // self.steps), last + 1) for step in range(self.steps + 1)]
        return np.searchsorted(t, np.array(begins, np.int64))


def middle(recording: Recording, side: int) -> Recording:
    """The ``side`` x ``side`` pixels in the middle of the sensor; an odd margin is larger on the right and below."""
    left, top = (recording.width - side) // 2, (recording.height - side) // 2
    x, y = recording.x.astype(np.int64) - left, recording.y.astype(np.int64) - top
    kept = np.flatnonzero((x >= 0) & (x < side) & (y >= 0) & (y < side))
    return replace(
        recording,
        t=recording.t[kept],
        x=x[kept].astype(np.uint16),
        y=y[kept].astype(np.uint16),
        polarity=recording.polarity[kept],
        width=side,
        height=side,
    )


def bin_recordings(recordings: Iterable[tuple[Recording, int]], binning: Binning, name: str) -> Events:
    """Convert labelled recordings to events; all sensors must have the same size. ``name`` is for messages."""
    samples: list[EventSample] = []
    sensor: tuple[int, int] | None = None
    empty, latest_empty = 0, ""
    durations: list[int] = []
    total = inside = 0
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
        durations.append(int(recording.t[-1] - recording.t[0]))
        if binning.crop:
            total += len(recording)
            inside += len(middle(recording, binning.crop))
        if not len(samples[-1].addresses):
            empty += 1
            latest_empty = f"{recording.name} starts at {recording.t[0]} us on its clock"
        if monotonic() - reported > REPORT_S:
            reported = monotonic()
            logger.info("%s: converted %d recordings", name, len(samples))
    if sensor is None:
        raise OpzoError(f"{name}: there are no recordings; give at least one")
    if empty == len(samples):
        raise OpzoError(f"{name}: no event is in a time step ({latest_empty}); change or leave out --start-us")
    if empty:
        logger.warning(
            "%s: %d of %d samples have no events, because none is in a time step; the last one: %s",
            name,
            empty,
            len(samples),
            printable(latest_empty),
        )
    _check_span(binning, median(durations), name)
    if binning.crop:
        share, pixels = 100 * (total - inside) / total, f"{binning.crop} x {binning.crop}"
        logger.info("%s: %.2f %% of the events are outside the middle %s pixels and dropped", name, share, pixels)
    return Events.of(samples, binning.shape(*sensor), name)


def _check_span(binning: Binning, duration: float, name: str) -> None:
    """Warn where the time steps of a given length cover almost nothing of a recording, or far more than all of it."""
    span = binning.steps * binning.bin_us
    if span and duration and max(span / duration, duration / span) > ODD_SPAN:
        logger.warning(
            "%s: %d time steps of %d us cover %d us, but half of the recordings last %s than %d us; the length of a "
            "time step and the times of events are in microseconds",
            name,
            binning.steps,
            binning.bin_us,
            span,
            "longer" if duration > span else "less",
            duration,
        )
