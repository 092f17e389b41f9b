"""Sources of a stream (event data sets, recordings, pipes, datagrams, cameras) as time steps and changes."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from pathlib import Path

import numpy as np

from opzo.host.data.class_names import Names
from opzo.host.data.data_sets import load_data
from opzo.host.data.events.binning import Binning
from opzo.host.data.events.event_files import load_events
from opzo.host.data.events.event_sample import EventSample
from opzo.host.data.events.event_samples import Events
from opzo.host.data.recordings.readers import SUFFIXES, read_recording
from opzo.host.data.recordings.recording import Recording
from opzo.host.driver.input_order import check_shape
from opzo.host.stream.dv_network import read_dv
from opzo.host.stream.live_counts import LiveCounts
from opzo.host.stream.live_readers import parse_address, read_pipe, read_udp
from opzo.host.stream.live_source import Change, RecordKind, Records, TimeStep, TimeSteps
from opzo.spec.errors import OpzoError
from opzo.spec.network import Network
from opzo.system.interrupt import Interrupt

BLOCK = 1000
"""Time steps of a recording that are binned together."""
NETWORK_KINDS = ("udp:", "dv:")
STDIN = "-"


@dataclass(frozen=True)
class Begin:
    """Start of a recording; ``label`` is its class, None if unknown."""

    sample: int | None = None
    label: int | None = None
    names: Names = ()
    """Class names of its data set."""


Items = Iterator[TimeStep | Change | Begin]


@dataclass(frozen=True)
class Sources:
    """Opens sources of a stream.

    Parameters
    ----------
    network : Network
    counts : LiveCounts
        Counters of problems.
    interrupt : Interrupt
        Ends live sources, and interrupts the reading of files immediately.
    data_root : str
        Folder of named data sets.
    bin_us : int
        Duration of a time step in microseconds.
    max_gap : int
        Maximum number of consecutive empty time steps.
    size, sensor : (width, height) or None
        Size to downscale sensors to, and sensor size for files that do not give it.
    camera : str or None
        Camera of a file with several.
    reset : bool
        Whether each recording starts with a reset.
    crop : int
        Side of the square in the middle of the sensor that is used; 0: all. Live sources are not cropped.
    """

    network: Network
    counts: LiveCounts
    interrupt: Interrupt
    data_root: str
    bin_us: int
    max_gap: int
    size: tuple[int, int] | None
    sensor: tuple[int, int] | None
    camera: str | None
    reset: bool
    crop: int = 0

    def items(self, source: str) -> Items:
        """Time steps and changes of a source; the user can interrupt the reading of a file."""
        if source == STDIN:
            return self._live("stdin", read_pipe(sys.stdin.buffer, "stdin", self._stop, self.counts))
        if source.startswith("udp:"):
            return self._live(source, read_udp(parse_address(source), source, self._stop, self.counts))
        if source.startswith("dv:"):
            address = parse_address(source)
            return self._live(source, read_dv(address, self.size, self.network, source, self._stop))
        with self.interrupt.at_once():
            if Path(source).suffix.lower() in SUFFIXES:
                return self._recording(read_recording(Path(source), self.sensor, self.camera), source)
            if Path(source).suffix.lower() == ".npz":
                events = load_events(Path(source), labels=False)[1]
                return self._recordings(events.middle(self.crop) if self.crop else events, source)
            return self._recordings(load_data(source, self.data_root, crop=self.crop).test, source)

    def _stop(self) -> bool:
        return self.interrupt.requested

    def _live(self, name: str, blocks: Iterator[Records]) -> Items:
        network = self.network
        steps = TimeSteps(
            *(network.inputs, self.bin_us, name),
            counts=self.counts,
            classes=network.classes,
            max_gap=self.max_gap,
            graded=network.input.graded,
        )
        yield Begin()
        for records in blocks:
            yield from steps.feed(records)
        yield from steps.finish()

    def _recording(self, recording: Recording, name: str) -> Items:
        """One recording of an event camera, in blocks of time steps."""
        network = self.network
        binning = Binning(BLOCK, self.bin_us, 0, size=self.size, counts=network.input.graded, crop=self.crop)
        shape = binning.shape(recording.width, recording.height)
        # Binning rejects recordings without a sensor size.
        if recording.named and prod(shape) != network.inputs:
            raise OpzoError(
                f"{name} has {' x '.join(map(str, shape))} addresses; network {network} has {network.inputs} inputs: "
                "reduce the sensor with --size WxH or --crop N"
            )
        if recording.named:
            check_shape(shape, network, name)
        recording = self._without_gaps(recording, name)
        return self._blocks(recording, binning)

    def _blocks(self, recording: Recording, binning: Binning) -> Items:
        yield Begin()
        if self.reset:
            yield Change(RecordKind.RESET, 0)
        first, end = int(recording.t[0]), int(recording.t[-1]) + 1
        for begin in range(first, end, BLOCK * self.bin_us):
            sample = replace(binning, start_us=begin).sample(recording)
            yield from _time_steps(sample, min(BLOCK, -(-(end - begin) // self.bin_us)))

    def _without_gaps(self, recording: Recording, name: str) -> Recording:
        """Shorten gaps that are too long; later events keep their position within a time step."""
        pauses = np.diff(recording.t)
        long = np.flatnonzero(pauses > (self.max_gap + 1) * self.bin_us)
        if not len(long):
            return recording
        left_out = np.zeros(len(recording), np.int64)
        left_out[long + 1] = pauses[long] // self.bin_us - 1
        for at in long.tolist():
            self.counts.gap(f"{name}: no events for {int(pauses[at]):,} us at event {at + 1}", int(left_out[at + 1]))
        return replace(recording, t=recording.t - np.cumsum(left_out) * self.bin_us)

    def _recordings(self, data: object, name: str) -> Items:
        """Recordings of a data set in order, each with its label."""
        network = self.network
        if not isinstance(data, Events):
            raise OpzoError(f"{name} has frames; a stream needs events in time")
        if data.inputs != network.inputs or data.input is not network.input:
            raise OpzoError(
                f"{name} has {data.inputs} inputs ({data.input.name.lower()}); network {network} takes "
                f"{network.inputs} ({network.input.name.lower()})"
            )
        check_shape(data.shape, network, name)
        if data.y.max() >= network.classes:
            raise OpzoError(f"{name} has label {data.y.max()}; network {network} has classes 0..{network.classes - 1}")
        return self._samples(data)

    def _samples(self, data: Events) -> Items:
        for index, sample in enumerate(data):
            yield Begin(index, sample.label if data.labelled else None, data.names)
            if self.reset:
                yield Change(RecordKind.RESET, 0)
            yield from _time_steps(sample, data.steps)


def check_sources(sources: list[str]) -> None:
    """Raise OpzoError for sources that are invalid or missing, before the stream starts."""
    if sources.count(STDIN) > 1:
        raise OpzoError("stdin (-) can be read only once; give it once")
    for source in sources:
        if source.startswith(NETWORK_KINDS):
            parse_address(source)
        elif Path(source).suffix.lower() in (*SUFFIXES, ".npz") and not Path(source).exists():
            raise OpzoError(f"there is no {source}; give a recording, a data set, udp:PORT, dv:PORT or -")


def _time_steps(sample: EventSample, steps: int) -> Iterator[TimeStep]:
    for begin, end in pairwise(sample.offsets[: steps + 1].tolist()):
        addresses = sample.addresses[begin:end].astype(np.int64)
        values = np.ones(len(addresses), np.int64) if sample.values is None else sample.values[begin:end]
        yield TimeStep(addresses, values.astype(np.int64))
