"""Event samples of a data set, in common arrays, with a label each."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opzo.host.data.class_names import Names
from opzo.host.data.events.event_sample import EventSample, chunks, in_device_order
from opzo.host.data.events.strided import Strided
from opzo.host.data.labels import check_labels
from opzo.host.driver.input_order import Shape, check_shape
from opzo.host.driver.sample import Sample
from opzo.host.report.verbosity import messages
from opzo.spec.errors import OpzoError
from opzo.spec.events import SPIKE, encode_steps
from opzo.spec.messages import no_such
from opzo.spec.network import Network
from opzo.spec.rules import Input
from opzo.system.paths import file_path

VALUE_MAX = 255


@dataclass(frozen=True)
class Events:
    """Event samples of one shape and number of time steps, stored in common arrays.

    Event address = (channel * height + row) * width + column. OpzoError, naming ``name``, if the arrays are
    inconsistent.

    Parameters
    ----------
    addresses : uint16 (events,)
        Addresses of all samples, in order of sample and time step, strictly ascending within a time step.
    offsets : int64 (count, steps + 1)
        The events of step t of sample n are ``addresses[offsets[n, t]:offsets[n, t + 1]]``; there is no gap between
        samples.
    y : uint8 (count,)
        Labels.
    shape : (channels, height, width)
    values : uint8 (events,) or None
        Values 1..255 of graded events; None: all events are spikes.
    name : str
        For messages.
    names : tuple of str
        Class names in order of label; empty if unknown.
    labelled : bool
        False if the classes are unknown; ``y`` is then meaningless.
    """

    addresses: NDArray[np.uint16]
    offsets: NDArray[np.int64]
    y: NDArray[np.uint8]
    shape: tuple[int, int, int]
    values: NDArray[np.uint8] | None = None
    name: str = "the event data"
    names: Names = ()
    labelled: bool = True
    data_set: str = field(default="", init=False, compare=False)
    """Name of the data set that the events are part of, which selects its recipe; '' for none."""

    def __post_init__(self) -> None:
        self._require(self.offsets.ndim == 2 and len(self.offsets) > 0 and self.steps > 0, "no samples")
        self._require(self.y.shape == (len(self.offsets),), f"{len(self.offsets)} samples, but labels {self.y.shape}")
        self._require(self.addresses.ndim == 1, f"addresses of shape {self.addresses.shape}")
        self._require(self.addresses.dtype == np.uint16, f"addresses of type {self.addresses.dtype}")
        flat = np.concatenate([self.offsets[:, :-1].reshape(-1), self.offsets[-1:, -1]])
        self._require(
            flat[0] == 0
            and flat[-1] == len(self.addresses)
            and bool((flat[1:] >= flat[:-1]).all())
            and np.array_equal(self.offsets[1:, 0], self.offsets[:-1, -1]),
            "offsets that do not cover the events in order",
        )
        if len(self.addresses):
            self._require(
                int(self.addresses.max()) < self.inputs, f"address {self.addresses.max()} outside {self.shape}"
            )
            same_step = np.ones(len(self.addresses), bool)
            same_step[flat[:-1][flat[:-1] < len(self.addresses)]] = False
            ascending = self.addresses[1:] > self.addresses[:-1]
            self._require(bool((ascending | ~same_step[1:]).all()), "addresses that do not ascend within a time step")
        if self.names:
            self._require(
                self.y.max() < len(self.names), f"label {self.y.max()} but only {len(self.names)} class names"
            )
        if self.values is not None:
            self._require(self.values.shape == self.addresses.shape, f"{len(self.values)} values")
            self._require(self.values.dtype == np.uint8 and bool((self.values > 0).all()), "values outside 1..255")

    def _require(self, condition: bool, what: str) -> None:
        if not condition:
            raise OpzoError(f"{self.name} has {what}; change these arrays, or convert the recordings again")

    def __repr__(self) -> str:
        kind, size = self.input.name.lower(), " x ".join(map(str, self.shape))
        classes = f"{len(np.unique(self.y))} classes"
        return f"<Events: {len(self):,} samples of {self.steps} time steps, {kind} of {size} addresses, {classes}>"

    def __len__(self) -> int:
        return len(self.y)

    @overload
    def __getitem__(self, index: int) -> EventSample: ...

    @overload
    def __getitem__(self, index: slice | Sequence[int] | NDArray[Any]) -> Events: ...

    def __getitem__(self, index: int | slice | Sequence[int] | NDArray[Any]) -> EventSample | Events:
        """One sample, or the events of several: of a slice, of numbers of samples, or where a mask is True."""
        if not isinstance(index, int | np.integer):
            return self._some(np.arange(len(self))[index])
        offsets = self.offsets[index]
        part = slice(offsets[0], offsets[-1])
        values = None if self.values is None else self.values[part]
        return EventSample(self.addresses[part], offsets - offsets[0], values, int(self.y[index]))

    def _some(self, numbers: NDArray[np.intp]) -> Events:
        begins, ends = self.offsets[numbers, 0], self.offsets[numbers, -1]
        kept = np.concatenate([np.zeros(0, np.int64), *map(np.arange, begins, ends)])
        moved = np.cumsum(ends - begins) - ends
        part = replace(
            self,
            addresses=self.addresses[kept],
            offsets=self.offsets[numbers] + moved[:, None],
            y=self.y[numbers],
            values=None if self.values is None else self.values[kept],
        )
        # A part of a data set is trained by its recipe too.
        object.__setattr__(part, "data_set", self.data_set)
        return part

    def samples(self, order: NDArray[np.intp] | None = None, *, channel_last: Shape | None = None) -> Iterator[Sample]:
        """Samples in this order of indices, divided into chunks.

        ``channel_last`` is the shape of inputs that the device reads in that order (`channel_last_shape`), None for a
        network that takes the addresses as they are.
        """
        for index in range(len(self)) if order is None else order:
            sample = self[index] if channel_last is None else in_device_order(self[index], channel_last)
            parts = chunks(sample, self.inputs)
            yield Sample(tuple(encode_steps(part, graded=self.graded) for part in parts), sample.label)

    def dense(self, indices: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Values of the samples with these indices, (count, steps, inputs): 0 without an event, 1 for a spike."""
        dense = np.zeros((len(indices), self.steps, self.inputs), np.uint8)
        for values, index in zip(dense, indices.tolist(), strict=True):
            sample = self[index]
            steps = np.repeat(np.arange(self.steps), np.diff(sample.offsets))
            values[steps, sample.addresses] = SPIKE if sample.values is None else sample.values
        return dense

    def middle(self, side: int) -> Events:
        """The events of the ``side`` x ``side`` pixels in the middle; OpzoError if there are not so many.

        An odd margin is larger on the right and below, as in `opzo.host.data.events.binning.middle`.
        """
        channels, height, width = self.shape
        if not 0 < side <= min(height, width):
            raise OpzoError(
                f"{self.name} has {height} x {width} pixels, which cannot be cropped to {side} x {side}; give a "
                "smaller crop"
            )
        channel, position = np.divmod(self.addresses.astype(np.int64), height * width)
        y, x = np.divmod(position, width)
        y, x = y - (height - side) // 2, x - (width - side) // 2
        kept = (y >= 0) & (y < side) & (x >= 0) & (x < side)
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])
        return replace(
            self,
            addresses=((channel * side + y) * side + x)[kept].astype(np.uint16),
            offsets=before[self.offsets],
            shape=(channels, side, side),
            values=None if self.values is None else self.values[kept],
        )

    def rearranged(self, strided: Strided) -> Events:
        """The events as the first convolution of a network takes them that has a stride or a padding of its own."""
        addresses = strided.addresses(self.shape)[self.addresses]
        kept = addresses >= 0
        steps = np.repeat(np.arange(self.offsets[:, 1:].size), np.diff(self.offsets).reshape(-1))[kept]
        order = np.lexsort((addresses[kept], steps))
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])
        return replace(
            self,
            addresses=addresses[kept][order].astype(np.uint16),
            offsets=before[self.offsets],
            shape=strided.shape(self.shape),
            values=None if self.values is None else self.values[kept][order],
        )

    def check(self, network: Network, name: str, *, labels: bool = True) -> None:
        """Raise OpzoError if ``network`` does not fit the samples; without ``labels`` only their events matter."""
        if network.input is not self.input:
            raise OpzoError(
                f"{name} has events in time ({self.input.name.lower()}); the network takes "
                f"{network.input.name.lower()} input: --input {self.input.name.lower()}, in Python "
                f"opzo.Network(..., input='{self.input.name.lower()}'), makes one for these events"
            )
        check_shape(self.shape, network, name)
        if self.inputs != network.inputs:
            raise OpzoError(
                f"{name} has {self.inputs} addresses ({' x '.join(map(str, self.shape))}); network {network} has "
                f"{network.inputs} inputs"
            )
        if self.steps != network.steps:
            raise OpzoError(f"{name} has {self.steps} time steps per sample; the network has {network.steps}")
        if labels:
            check_labels(self.y, network, name, labelled=self.labelled)

    def __iter__(self) -> Iterator[EventSample]:
        return (self[index] for index in range(len(self)))

    @property
    def steps(self) -> int:
        """Time steps per sample."""
        return int(self.offsets.shape[1]) - 1

    @property
    def inputs(self) -> int:
        """Number of addresses, the product of ``shape``."""
        channels, height, width = self.shape
        return channels * height * width

    @property
    def graded(self) -> bool:
        """Whether events have values."""
        return self.values is not None

    @property
    def input(self) -> Input:
        """Input kind of the chip for these events."""
        return Input.GRADED if self.graded else Input.SPIKES

    @property
    def digest(self) -> int:
        """CRC-32 of all arrays and the shape."""
        parts: tuple[Any, ...] = (
            self.addresses,
            self.offsets,
            self.y,
            *(() if self.values is None else (self.values,)),
        )
        crc = zlib.crc32(repr(self.shape).encode())
        for part in parts:
            crc = zlib.crc32(np.ascontiguousarray(part).data, crc)
        return crc

    @classmethod
    def of(
        cls,
        samples: list[EventSample],
        shape: tuple[int, int, int],
        name: str = "the event data",
    ) -> Events:
        """Combine samples with equal numbers of time steps, either all graded or all spikes."""
        lengths = np.cumsum([0, *(len(sample.addresses) for sample in samples)])
        return cls(
            np.concatenate([sample.addresses for sample in samples]).astype(np.uint16),
            np.stack([sample.offsets + start for sample, start in zip(samples, lengths[:-1], strict=True)]),
            np.array([sample.label for sample in samples], np.uint8),
            shape,
            None
            if samples[0].values is None
            else np.concatenate([sample.values for sample in samples if sample.values is not None]).astype(np.uint8),
            name,
        )

    # What follows is imported when it is used, because these modules make events themselves.

    @classmethod
    def from_frames(
        cls, spikes: ArrayLike, y: ArrayLike | None = None, *, graded: bool = False, names: Sequence[str] = ()
    ) -> Events:
        """Make events of arrays with an entry for each time step and input, as snnTorch and tonic's ToFrame make them.

        Parameters
        ----------
        spikes : (count, steps, inputs) or (count, steps, channels, height, width)
            0 and 1; with ``graded`` whole numbers 0..255, such as counts of events.
        y : (count,)
            Labels; None: unknown, for samples to predict.
        graded : bool
            Keep the values, for a network with ``input="graded"``.
        names : sequence of str
            Class names in order of label.

        Raises OpzoError for another shape or other values.
        """
        from opzo.host.data.events.dense import dense_events

        labels = np.zeros(len(np.atleast_1d(spikes)), np.uint8) if y is None else y
        events = dense_events(spikes, labels, Input.GRADED if graded else Input.SPIKES, "spikes")
        return replace(events, names=tuple(names), labelled=y is not None)

    @classmethod
    def from_recordings(
        cls,
        recordings: Iterable[Any],
        y: ArrayLike | None = None,
        *,
        sensor: Sequence[int],
        steps: int,
        bin_us: int = 0,
        duration_us: int = 0,
        split: str = "time",
        size: tuple[int, int] | None = None,
        reduce: int = 1,
        crop: int = 0,
        graded: bool = False,
        names: Sequence[str] = (),
    ) -> Events:
        """Make events of recordings of an event camera, such as the samples of tonic's data sets.

        Polarities are two channels, OFF and then ON. Events are sorted by time, and jumps of the clock are removed with
        a warning.

        Parameters
        ----------
        recordings : iterable
            Of each recording x, y, t and p: a structured array, a dictionary or an object with these names. t is in
            whole microseconds, p is 1 for brighter, 0 or -1 for darker; y may be missing where the sensor has one row.
        y : (count,)
            Labels; None: unknown, for samples to predict.
        sensor : (width, height)
            Size in pixels; tonic's (width, height, polarities) as well.
        steps : int
            Time steps per sample.
        bin_us : int
            Duration of a time step; later events are dropped. 0: divide each recording into steps by ``split``.
        duration_us : int
            Use only this many microseconds from the first event; 0: all. Excludes ``bin_us``.
        split : "time" or "number"
            Steps of equal duration, or with equal numbers of events.
        size : (width, height) or None
            Size to which the sensor is downscaled.
        reduce : int
            Factor by which both sides are reduced, rounding up.
        crop : int
            Use only so many pixels in the middle, in both directions; 0: all.
        graded : bool
            Keep the number of events of an address in a step, up to 255, for a network with ``input="graded"``.
        names : sequence of str
            Class names in order of label.

        Raises OpzoError, which names the recording, where its arrays do not fit or lie outside the sensor.
        """
        from opzo.host.data.events.binning import Binning
        from opzo.host.data.events.recording_arrays import events_of

        binning = Binning(
            steps, bin_us, duration_us=duration_us, split=split, size=size, reduce=reduce, counts=graded, crop=crop
        )
        with messages():
            events = events_of(recordings, y, sensor, binning)
        return replace(events, names=tuple(names), labelled=y is not None)

    def save(self, path: str | Path, *, test: Events | None = None, description: str = "") -> None:
        """Write an event file (.npz), completely or not at all.

        With ``test``, events of the same shape, it is a data set for `opzo.load_data` and ``opzo train``; these events
        are its training part. ``description`` is free text on their origin.
        """
        from opzo.host.data.events.event_files import save_events

        save_events(file_path(path, "an event file"), self, test, description)

    @classmethod
    def load(cls, path: str | Path, part: str = "train") -> Events:
        """Read the part ``train`` or ``test`` of an event file; OpzoError where it is missing or damaged."""
        from opzo.host.data.events.event_files import PARTS, load_part

        if part not in PARTS:
            raise no_such("part of an event file", part, PARTS)
        return load_part(file_path(path, "an event file"), part)
