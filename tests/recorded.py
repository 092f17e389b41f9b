"""Recordings for tests: written to files, read back as plain events, or rejected."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest

from opzo.host.data.recordings.readers import Recording, read_recording
from opzo.spec.errors import OpzoError

Event = tuple[int, int, int, int]  # t, x, y, polarity


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def events(recording: Recording) -> list[Event]:
    columns = (recording.t, recording.x, recording.y, recording.polarity)
    assert [column.dtype for column in columns] == [np.int64, np.uint16, np.uint16, np.bool_]
    return list(zip(*(column.astype(int).tolist() for column in columns), strict=True))


def refused(path: Path, message: str, sensor: tuple[int, int] | None = None, camera: str | None = None) -> None:
    """Check that reading fails with ``message``, which names the file and ends with a fix after a semicolon."""
    with pytest.raises(OpzoError, match=message) as caught:
        read_recording(path, sensor, camera)
    assert str(path) in str(caught.value)
    assert str(caught.value).isprintable()
    assert re.search(r"; \w", str(caught.value))


HEADER_DAT = b"% Data file containing CD events.\n% Version 2\n% Width 640\n% Height 480\n"
START_DAT = len(HEADER_DAT)
EVENTS_DAT = [(0, 639, 0, 1), (0, 0, 479, 0), (70_000, 5, 7, 1)]


def dat(*given: Event, head: bytes = b"\x0c\x08") -> bytes:
    """Contents of a file in Prophesee's DAT format."""
    return HEADER_DAT + head + b"".join(struct.pack("<II", t, p << 28 | y << 14 | x) for t, x, y, p in given)
