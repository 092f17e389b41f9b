"""An experiment that can be repeated on two devices, and its outcome: answers and state."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from opzo.host.driver.device import Device
from opzo.host.driver.statistics import counter_array
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.memories import Space
from opzo.spec.network import Network
from opzo.spec.registers import COUNTER, TIMING_COUNTERS

DIGIT_SIDE, DIGIT_CLASSES = 8, 10
FRAME_STEPS = 6
EVENT_STEPS = HISTORY_STEPS + 4
"""Time steps of an event sample: a whole chunk, and a part of one."""
VALUES = 256


@dataclass(frozen=True)
class Outcome:
    """Result of an experiment on one device.

    Attributes
    ----------
    answers : int64 (samples, 2 + classes)
        Prediction, loss and readout sums.
    state : dict
        All readable state of the device, as arrays of unsigned integers by name; lanes are the last axis.
    """

    answers: NDArray[np.int64]
    state: dict[str, NDArray[Any]]


class Experiment(Protocol):
    """A sequence of samples or runs that can be repeated, up to any item, on two devices and compared."""

    @property
    def network(self) -> Network:
        """Network of the experiment."""

    @property
    def first_rows(self) -> dict[str, int]:
        """First row read of each state, by name, if not 0."""

    @property
    def items(self) -> int:
        """Number of samples or runs."""

    def run(self, device: Device, count: int) -> Outcome:
        """Start over and run the first ``count`` items."""

    def when(self, count: int) -> str:
        """Text for the moment after the first ``count`` items."""

    def name(self, item: int) -> str:
        """Text for an item, counted from 0."""


def read_state(device: Device, rows: range, words: range) -> dict[str, NDArray[Any]]:
    """Read all state of a device: ``rows`` of the weight memory, membrane potentials of ``words``."""
    limits = device.limits
    return {
        "LFSR": device.read_lfsr(),
        "WEIGHTS": device.read_memory(Space.WEIGHTS, rows.start, len(rows)),
        "MEMBRANE": device.read_memory(Space.MEMBRANE, 2 * words.start, 2 * len(words)),
        "HISTORY": device.read_memory(Space.HISTORY, 0, limits.words),
        "INPUT_HISTORY": device.read_memory(Space.INPUT_HISTORY, 0, limits.input_words),
        "registers": np.array(device.read_registers(0, COUNTER), np.uint32),
        # Cycles differ between implementations.
        "counters": np.delete(counter_array(device.counters()), TIMING_COUNTERS).astype(np.uint64),
    }
