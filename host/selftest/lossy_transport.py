"""A byte transport that damages some of the data on purpose."""

from collections import Counter

import numpy as np

from opzo.host.driver.transport import Transport

KINDS = ("flipped", "dropped", "duplicated", "inserted", "cut")
"""Faults: a flipped bit; a dropped, duplicated or inserted byte; a write or read cut off after some byte."""
DIRECTIONS = ("sent", "received")


class LossyTransport:
    """Forward bytes to and from a transport, and damage some of them while ``rate`` is not 0.

    Parameters
    ----------
    random : numpy Generator
        Chooses the faults.

    Attributes
    ----------
    rate : float
        Fraction of writes and reads with a fault.
    faults : Counter
        Number of faults so far by (direction, kind).
    """

    def __init__(self, random: np.random.Generator) -> None:
        self.rate = 0.0
        self.faults: Counter[tuple[str, str]] = Counter()
        self._random = random
        self._transport: Transport | None = None

    def attach(self, transport: Transport) -> "LossyTransport":
        """Forward bytes to ``transport`` from now on."""
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
