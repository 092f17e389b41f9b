"""One event sample: the addresses with events in each time step, and its chunks for a device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opzo.host.driver.input_order import Shape, to_channel_last
from opzo.spec.events import SPIKE, Chunk
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.limits import chunk_events


@dataclass(frozen=True)
class EventSample:
    """One sample; the events of time step t are ``addresses[offsets[t]:offsets[t + 1]]``.

    Attributes
    ----------
    addresses : uint16 (events,)
        Strictly ascending within a time step.
    offsets : int64 (steps + 1,)
    values : uint8 (events,) or None
        Values 1..255 of graded events; None: all events are spikes.
    label : int
    """

    addresses: NDArray[np.uint16]
    offsets: NDArray[np.int64]
    values: NDArray[np.uint8] | None = None
    label: int = 0

    def __repr__(self) -> str:
        kind = "spikes" if self.values is None else "graded events"
        return (
            f"<EventSample: {len(self.addresses):,} {kind} in {len(self.offsets) - 1} time steps, label {self.label}>"
        )


def in_device_order(sample: EventSample, shape: Shape) -> EventSample:
    """The sample with addresses in the order of a device, ascending within a time step."""
    addresses = to_channel_last(sample.addresses.astype(np.int64), shape)
    steps = np.repeat(np.arange(len(sample.offsets) - 1), np.diff(sample.offsets))
    order = np.lexsort((addresses, steps))
    values = None if sample.values is None else sample.values[order]
    return EventSample(addresses[order].astype(np.uint16), sample.offsets, values, sample.label)


def chunks(sample: EventSample, inputs: int) -> Iterator[Chunk]:
    """Divide a sample for a network with ``inputs`` inputs into chunks, the same ones for every device.

    A chunk has HISTORY_STEPS time steps; fewer at the end, or if it would exceed the events that a chunk may have.
    Chunks of graded events have one time step.
    """
    steps, steps_max = len(sample.offsets) - 1, 1 if sample.values is not None else HISTORY_STEPS
    room, begin = chunk_events(inputs), 0
    while begin < steps:
        full = int(np.searchsorted(sample.offsets, sample.offsets[begin] + room, side="right")) - 1
        end = min(begin + steps_max, steps, full)
        part = slice(sample.offsets[begin], sample.offsets[end])
        addresses = sample.addresses[part].astype(np.int64)
        values = np.full(len(addresses), SPIKE) if sample.values is None else sample.values[part].astype(np.int64)
        yield Chunk(addresses, values, sample.offsets[begin + 1 : end + 1] - sample.offsets[begin])
        begin = end
