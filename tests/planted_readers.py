"""Readers with planted faults: bench/fuzz.py must report each, and go on."""

import ctypes
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fuzzing.reader import Read, Reader

from opzo.spec.errors import OpzoError

COUNT = 20
FAULTY = 5
"""One input in so many, by its bytes, meets the fault."""


def _swallows() -> None:
    try:
        bytearray(10 << 30)
    except MemoryError:
        raise OpzoError("the file is damaged") from None


def _refuses(text: str) -> None:
    raise OpzoError(text)


FAULTS: dict[str, Callable[[], object]] = {
    "none": lambda: None,
    "raises": lambda: int("x"),
    "overflows": lambda: np.float64(1e300) * 1e300,
    "exits": lambda: exit(0),
    "colours": lambda: _refuses("\x1b[31m"),
    "allocates": lambda: bytearray(10 << 30),
    "swallows": _swallows,
    "hangs": lambda: time.sleep(1000),
    "crashes": lambda: ctypes.string_at(0),
}


GOOD = b"a good file"
KEY = b"OP"
"""What the maze asks for, byte by byte."""


def _faulty(fault: Callable[[], object]) -> Callable[[Path], tuple[list[bytes], Read]]:
    def read(content: bytes) -> None:
        if content == GOOD:
            return
        if sum(content) % FAULTY == 0:
            fault()
        if sum(content) % FAULTY == 1:
            raise OpzoError("refused")

    return lambda folder: ([GOOD], read)


def _maze(folder: Path) -> tuple[list[bytes], Read]:
    def read(content: bytes) -> None:
        if content[:1] == KEY[:1]:
            if content[1:2] == KEY[1:]:
                raise ValueError("reached")

    return [GOOD], read


READERS = (
    *(Reader(name, _faulty(fault), COUNT) for name, fault in FAULTS.items()),
    Reader("maze", _maze, COUNT),
    Reader("refuses", lambda folder: ([GOOD], lambda content: _refuses("x")), COUNT),
)
