"""A line that damages, delays and breaks what it carries, in a time of its own that passes only while one waits."""

import math
import re
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from random import Random
from types import SimpleNamespace
from unittest.mock import patch

from opzo.host.driver import link, session
from opzo.sim.model_transport import ModelTransport
from opzo.spec.errors import OpzoError

KINDS = ("lost", "changed", "doubled", "swapped", "cut", "delayed")
"""Faults: a byte lost, changed, doubled, or swapped with the next one; the rest of a piece lost, or late. A piece is
what is written or read at once: one frame or a few."""
UNITS = ("bytes", "frames", "operations")
"""What a rate is a share of: bytes or frames with a fault, writes and reads at which the line dies."""
PATIENCE = 1.0
"""Seconds after which the driver sends again."""
LONGEST_DELAY = 3 * PATIENCE
FAILED_OPENINGS = 5
"""Most attempts in a row to open a line again that fail."""
FRAME = re.compile(rb"\xc0[^\xc0]+\xc0")


class Clock:
    """Seconds that pass only in `sleep` and while a line is read; stands in for the module ``time``."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Present time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@contextmanager
def virtual_time(seed: int) -> Iterator[Clock]:
    """Run the driver by a clock of its own, with sequence numbers and nonces from ``seed``.

    Waiting then takes no time, and a storm repeats to the byte.
    """
    clock, random = Clock(), Random(seed)
    numbers = SimpleNamespace(randbelow=random.randrange, randbits=random.getrandbits)
    with ExitStack() as stack:
        for module in (link, session):
            stack.enter_context(patch.object(module, "time", clock))
            stack.enter_context(patch.object(module, "secrets", numbers))
        yield clock


class StormLine:
    """A line to a model. It outlives the link that opens it: `open` gives the same line again.

    Parameters
    ----------
    model : ModelTransport
        The device at its end.
    clock : Clock
    random : Random
        Chooses the faults.
    kinds : tuple of str
        Of KINDS.
    rate : float
        Share of ``unit`` with a fault, 0..1.
    unit : str
        Of UNITS; with ``operations`` the line dies there, and ``kinds`` do not matter.

    Attributes
    ----------
    model : ModelTransport
    active : bool
        Whether there are faults at present; at first there are none.
    faults, deaths : int
        Faults, and how often the line died.
    """

    def __init__(
        self, model: ModelTransport, clock: Clock, random: Random, kinds: tuple[str, ...], rate: float, unit: str
    ) -> None:
        self.model, self.active = model, False
        self.faults = self.deaths = 0
        self._clock, self._random, self._kinds, self._rate, self._unit = clock, random, kinds, rate, unit
        self._wait = self._draw()
        """Bytes, frames or operations before the next fault."""
        self._there: deque[tuple[float, bytes]] = deque()
        self._back: deque[tuple[float, bytes]] = deque()
        """Pieces on their way to the device and back, with the time of their arrival, in order."""
        self._closed_openings = 0

    def open(self) -> "StormLine":
        """The line; OpzoError while it is still dead."""
        if self._closed_openings:
            self._closed_openings -= 1
            raise OpzoError("no device yet")
        return self

    def write(self, data: bytes) -> None:
        """Send ``data``; OSError where the line dies."""
        if self._dies():
            # Only a part of it leaves the computer.
            self._send(data[: self._random.randrange(len(data) + 1)], self._there)
            self._break("write")
        self._send(data, self._there)
        self._arrive()

    def read(self, timeout: float) -> bytes:
        """What has arrived; at most ``timeout`` seconds pass. OSError where the line dies."""
        if self._dies():
            self._break("read")
        end = self._clock.now + timeout
        while True:
            self._arrive()
            arrived = []
            while self._back and self._back[0][0] <= self._clock.now:
                arrived.append(self._back.popleft()[1])
            if arrived:
                return b"".join(arrived)
            due = min((line[0][0] for line in (self._there, self._back) if line), default=end)
            if due >= end:
                self._clock.now = max(self._clock.now, end)
                return b""
            self._clock.now = due

    def close(self) -> None:
        """Nothing: the device lives on."""

    def _arrive(self) -> None:
        """Give the device what has reached it, and send back its replies."""
        while self._there and self._there[0][0] <= self._clock.now:
            self.model.write(self._there.popleft()[1])
        self._send(self.model.read(0), self._back)

    def _send(self, data: bytes, line: deque[tuple[float, bytes]]) -> None:
        for late, part in self._damaged(data):
            # Bytes do not overtake each other.
            due = max(self._clock.now + late, line[-1][0] if line else 0.0)
            if part:
                line.append((due, part))

    def _draw(self) -> int:
        """Number of units without a fault before the next one."""
        if self._rate <= 0:
            return 1 << 62
        return int(math.log(1 - self._random.random()) / math.log(1 - self._rate)) if self._rate < 1 else 0

    def _dies(self) -> bool:
        if not self.active or self._unit != "operations":
            return False
        self._wait -= 1
        if self._wait >= 0:
            return False
        self._wait = self._draw()
        self.deaths += 1
        return True

    def _break(self, what: str) -> None:
        """Lose some of what is on its way, and be dead for some time."""
        for line in (self._there, self._back):
            if self._random.random() < 0.5:
                line.clear()
            elif line:
                due, last = line.pop()
                line.append((due, last[: self._random.randrange(len(last) + 1)]))
        self._closed_openings = self._random.randrange(FAILED_OPENINGS + 1)
        raise OSError(f"the line died in a {what}")

    def _damaged(self, data: bytes) -> list[tuple[float, bytes]]:
        """``data`` in parts after the faults, each with the seconds by which it is late."""
        parts: list[tuple[float, bytes]] = []
        begin, late = 0, 0.0
        for at in self._places(data):
            if at < begin:
                continue
            self.faults += 1
            kind = self._random.choice(self._kinds)
            if kind == "cut":
                return [*parts, (late, data[begin:at])]
            after = at + 1
            byte = data[at:after]
            if kind == "delayed":
                parts.append((late, data[begin:at]))
                late, begin = late + self._random.random() * LONGEST_DELAY, at
                continue
            if kind == "lost":
                byte = b""
            elif kind == "changed":
                byte = bytes((byte[0] ^ self._random.randrange(1, 256),))
            elif kind == "doubled":
                byte *= 2
            elif kind == "swapped":
                after = at + 2
                byte = data[at:after][::-1]
            parts.append((late, data[begin:at] + byte))
            begin = after
        return [*parts, (late, data[begin:])]

    def _places(self, data: bytes) -> list[int]:
        """Positions of faults in ``data``, in ascending order."""
        if not self.active or self._unit == "operations":
            return []
        by_byte = self._unit == "bytes"
        spans = [] if by_byte else [match.span() for match in FRAME.finditer(data)]
        count = len(data) if by_byte else len(spans)
        places = []
        while self._wait < count:
            places.append(self._wait if by_byte else self._random.randrange(*spans[self._wait]))
            self._wait += 1 + self._draw()
        self._wait -= count
        return places
