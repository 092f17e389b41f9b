"""Input of a run: collected from payloads, and checked when the run begins."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from opzo.sim.golden.refusal import require
from opzo.spec.commands import RunFlag, Status
from opzo.spec.events import Chunk, decode_frame_pairs, decode_steps
from opzo.spec.limits import Limits
from opzo.spec.memories import Space
from opzo.spec.registers import Reg
from opzo.spec.rules import Input


class Result(Protocol):
    """Answer of a core to a run."""

    @property
    def prediction(self) -> int:
        """Class."""

    @property
    def loss(self) -> int:
        """Unsigned, 32 bits."""

    @property
    def outputs(self) -> Sequence[int]:
        """Summed readouts, signed, 32 bits."""


class Core(Protocol):
    """What the link needs of a core; `opzo.sim.golden.core.GoldenCore` and the fake one of the tests have it."""

    limits: Limits

    def read_register(self, address: int) -> int:
        """Register; 0 where nothing is."""

    def write_register(self, address: int, value: int) -> None:
        """Write a register; ignored where nothing is."""

    def read_row(self, space: Space, row: int) -> np.ndarray:
        """One row: uint16 (lanes,)."""

    def write_row(self, space: Space, row: int, data: np.ndarray) -> None:
        """Write one row: uint16 (lanes,)."""

    def run(self, chunk: Chunk, label: int, flags: RunFlag) -> Result:
        """Run a frame or a chunk of events."""


class Intake:
    """Input of the next run.

    Parameters
    ----------
    core : Core
        Its registers say what the input may be.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._most_events = core.limits.events
        self.discard()

    def discard(self) -> None:
        """Forget what was appended."""
        self._parts: list[Chunk] = []
        """Input of the next run so far, the ends of each part counted from its first event."""
        self._position = 0
        self._bad_event = False

    def append(self, data: bytes) -> None:
        """Append events; an event that is not allowed makes the input invalid, and is remembered.

        RefusedError, and nothing is appended, where the bytes are no pairs but should be.
        """
        self._append(data, self._kind())

    def _append(self, data: bytes, kind: Input) -> None:
        require(len(data) % 2 == 0 or not kind.values, Status.BAD_LENGTH)
        if not kind.events:
            addresses, values, self._position = decode_frame_pairs(data, self._position)
            part = Chunk(addresses, values)
        else:
            part, self._position = decode_steps(data, graded=kind.graded, position=self._position)
        inputs = min(self._core.read_register(Reg.INPUTS), self._core.limits.inputs)
        if len(part.addresses):
            # The addresses of a frame ascend, and its values are not 0.
            last = part.addresses.max() if kind.events else part.addresses[-1]
            self._bad_event |= bool(last >= inputs) or (kind.graded and bool((part.values == 0).any()))
        self._parts.append(part)

    def finish(self, data: bytes, label: int) -> Chunk:
        """Append the last events of a run; its input. RefusedError where it is invalid."""
        kind = self._kind()
        self._append(data, kind)
        chunk = Chunk.joined(self._parts)
        require(not self._bad_event, Status.BAD_EVENT)
        require(len(chunk.addresses) <= self._most_events, Status.FULL)
        if kind.events:
            most = min(kind.run_steps, self._core.limits.steps)
            require(1 <= len(chunk.ends) <= most and chunk.ends[-1] == len(chunk.addresses), Status.BAD_STEPS)
        classes = min(self._core.read_register(Reg.CLASSES), self._core.limits.classes)
        require(label < classes, Status.BAD_LABEL)
        self.discard()
        return chunk

    def _kind(self) -> Input:
        return Input.of_register(self._core.read_register(Reg.INPUT))
