"""A bad line: a byte transport that damages what passes it, on purpose."""

from collections import Counter

import numpy as np

from opzo.host.driver.transport import Transport

KINDS = ("flipped", "dropped", "duplicated", "inserted", "cut")
"""A bit, a byte, a byte, a byte, and all behind some byte of what is sent or received at once."""
DIRECTIONS = ("sent", "received")


class FaultyLine:
    """Pass bytes to and from ``transport``, damaging some while ``rate`` is not 0.

    Parameters
    ----------
    random : numpy Generator
        Decides what is damaged, and how.

    Attributes
    ----------
    transport : Transport or None
        Where the bytes go; set by `attach`.
    rate : float
        Share of writes and reads that are damaged once each.
    faults : Counter
        Damages done so far by (direction, kind).
    """

    def __init__(self, random: np.random.Generator) -> None:
        self.rate = 0.0
        self.faults: Counter[tuple[str, str]] = Counter()
        self._random = random
        self._transport: Transport | None = None

    def attach(self, transport: Transport) -> "FaultyLine":
        """Pass bytes to ``transport`` from now on."""
        self._transport = transport
        return self

    def write(self, data: bytes) -> None:
        self._inner.write(self._pass(data, "sent"))

    def read(self, timeout: float) -> bytes:
        return self._pass(self._inner.read(timeout), "received")

    def close(self) -> None:
        self._inner.close()

    @property
    def _inner(self) -> Transport:
        assert self._transport is not None, "attach() comes first"
        return self._transport

    def _pass(self, data: bytes, direction: str) -> bytes:
        random = self._random
        if not data or random.random() >= self.rate:
            return data
        kind = KINDS[random.integers(len(KINDS))]
        self.faults[direction, kind] += 1
        at = int(random.integers(len(data)))
        before, byte, behind = data[:at], data[at : at + 1], data[at + 1 :]
        middle = {
            "flipped": bytes((byte[0] ^ 1 << int(random.integers(8)),)),
            "dropped": b"",
            "duplicated": byte * 2,
            "inserted": random.bytes(1) + byte,
            "cut": b"",
        }[kind]
        return before + middle + (b"" if kind == "cut" else behind)
