"""Readers of Prophesee's RAW files (EVT 2.0 and 3.0) and DAT files.

They use NumPy, because the library expelliarmus adds 4096 us too many at a wrap of the time in EVT 3.0, misses the wrap
in EVT 2.0, and reads damaged files without an error; the tests compare with it where it is right.

The header consists of text lines that start with "%", in ASCII, UTF-8 or Latin 1, optionally after a byte-order mark;
in a RAW file it ends at the optional line "% end". The sensor size is that of "% geometry 1280x720", "% format
EVT3;height=720;width=1280", or "% Width 1280" and "% Height 720". A DAT file without "% Version 2" comes from an older
ATIS camera, whose addresses have a different layout. Contradictory fields are rejected.

Words other than polarity events and time (triggers, vendor data) are skipped. So are events of a RAW file before its
first words of time and row, because their time or row is unknown. The time counters wrap (EVT 2.0: 34 bits, EVT 3.0:
24 bits, DAT: 32 bits); a decrease by more than half of the range is taken for a wrap.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.recordings.recording import RawEvents, byte_places
from opzo.spec.errors import OpzoError
from opzo.system.bounds import check_memory

HEADER_LINE = re.compile(rb"%[ \t]?(?:[\x20-\x7e\t]*|[A-Za-z][\x20-\x7e\t\x80-\xff]*)\r?\n")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
FORMAT = re.compile(r"^%\s?(?:evt |format EVT)(\d{1,9}(?:\.\d{1,9})?)", re.MULTILINE | re.IGNORECASE)
GEOMETRY = re.compile(r"^%\s?geometry:? (\d{1,9})x(\d{1,9})\b", re.MULTILINE | re.IGNORECASE)
WIDTH = re.compile(r"^%\s?(?:format .*\bwidth=|width:? )(\d{1,9})\b", re.MULTILINE | re.IGNORECASE)
HEIGHT = re.compile(r"^%\s?(?:format .*\bheight=|height:? )(\d{1,9})\b", re.MULTILINE | re.IGNORECASE)
VERSION = re.compile(r"^%\s?version:? +(\d{1,9})\b", re.MULTILINE | re.IGNORECASE)
BIG_ENDIAN = re.compile(r"^%\s?endianness:? +big", re.MULTILINE | re.IGNORECASE)

# Word types, in the upper four bits.
EVT2_OFF, EVT2_ON, EVT2_TIME_HIGH = 0x0, 0x1, 0x8
EVT2_TYPES = (EVT2_OFF, EVT2_ON, EVT2_TIME_HIGH, 0xA, 0xE, 0xF)
EVT3_Y, EVT3_X, EVT3_BASE_X, EVT3_VECTOR_12, EVT3_VECTOR_8, EVT3_TIME_LOW, EVT3_TIME_HIGH = 0, 2, 3, 4, 5, 6, 8
EVT3_TYPES = (0, 2, 3, 4, 5, 6, 7, 8, 0xA, 0xE, 0xF)
# Peak memory of decoding in bytes, per word and per event, as measured.
EVT3_WORD_MEMORY, EVT3_EVENT_MEMORY = 100, 80
DAT_TYPES = (0x00, 0x0C)
DAT_EVENT_BYTES = 8
# Latest version with this layout; lowest bit and number of bits of x, y and polarity in the address.
DAT_LAYOUTS = ((1, ((0, 9), (9, 8), (17, 1))), (2, ((0, 14), (14, 14), (28, 1))))
DAT_OLD_BITS = 18


def read_prophesee(path: Path, data: bytes) -> RawEvents:
    """Events of a RAW or DAT file with this content, which starts with "%"; OpzoError if it is damaged."""
    header, start = _header(data)
    # "% evt 3.0" and "% format EVT3" are the same version.
    versions = {found[1].removesuffix(".0"): found for found in FORMAT.finditer(header)}
    if len(versions) > 1:
        raise OpzoError(
            f"{path}: both EVT {' and '.join(versions)} in the header before byte {start}; give an unchanged RAW file"
        )
    if not versions:
        if "data file containing" in header.lower() or path.suffix.lower() == ".dat":
            return _read_dat(path, data, header, start)
        raise OpzoError(
            f"{path}: the header before byte {start} has none of '% evt 2.0', '% evt 3.0' and '% Data file "
            "containing'; give an unchanged RAW or DAT file"
        )
    if BIG_ENDIAN.search(header):
        raise OpzoError(f"{path}: big-endian words from byte {start}; record it little-endian")
    ((version, found),) = versions.items()
    if version == "2":
        return _read_evt2(path, data, header, start)
    if version == "3":
        return _read_evt3(path, data, header, start)
    raise OpzoError(
        f"{path}: EVT {found[1]} in the header at byte {found.start()}; only EVT 2.0 and 3.0 can be read: record in "
        "one of them, or write a DAT or HDF5 file with the camera's software"
    )


def begins_header(data: bytes) -> bool:
    """Whether the content starts with a line of such a header."""
    return HEADER_LINE.match(data.removeprefix(BYTE_ORDER_MARK)) is not None


def _header(data: bytes) -> tuple[str, int]:
    """Text of the header, one character per byte, and the offset of the content after it."""
    start = len(BYTE_ORDER_MARK) if data.startswith(BYTE_ORDER_MARK) else 0
    begin = start
    while line := HEADER_LINE.match(data, start):
        start = line.end()
        if line[0].split() == [b"%", b"end"]:
            break
    return "\n" * begin + data[begin:start].decode("latin-1"), start


def _sensor(path: Path, header: str) -> tuple[int, int] | None:
    """Sensor size in the header, None without one; OpzoError if there are two."""
    sizes = {(int(found[1]), int(found[2])) for found in GEOMETRY.finditer(header)}
    widths, heights = ({int(found[1]) for found in side.finditer(header)} for side in (WIDTH, HEIGHT))
    if widths and heights:
        sizes |= {(width, height) for width in widths for height in heights}
    if len(sizes) > 1:
        listed = " and ".join(f"{width} x {height}" for width, height in sorted(sizes))
        raise OpzoError(f"{path}: both {listed} pixels in the header; give an unchanged file")
    return sizes.pop() if sizes else None


def _read_evt2(path: Path, data: bytes, header: str, start: int) -> RawEvents:
    """Decode words of 32 bits: type (4), then lower time (6), x (11) and y (11), or the upper 28 bits of time."""
    words = _words(path, data, start, "<u4")
    kinds = (words >> 28).astype(np.uint8)
    _check_kinds(path, kinds, EVT2_TYPES, start, 4, "EVT 2.0")
    high = _unwrap(words[kinds == EVT2_TIME_HIGH] & 0x0FFF_FFFF, 28)
    times = np.cumsum(kinds == EVT2_TIME_HIGH)
    index = np.flatnonzero((kinds <= EVT2_ON) & (times > 0))
    events = words[index]
    return RawEvents(
        t=(high[times[index] - 1] << 6) | ((events >> 22) & 0x3F),
        x=(events >> 11) & 0x7FF,
        y=events & 0x7FF,
        polarity=kinds[index] == EVT2_ON,
        sensor=_sensor(path, header),
        place=byte_places(start + 4 * index),
    )


def _read_evt3(path: Path, data: bytes, header: str, start: int) -> RawEvents:
    """Decode words of 16 bits: type (4), then 12 bits that set time, row or base column, or are events."""
    words = _words(path, data, start, "<u2")
    check_memory(str(path), EVT3_WORD_MEMORY * len(words))
    kinds = (words >> 12).astype(np.uint8)
    _check_kinds(path, kinds, EVT3_TYPES, start, 2, "EVT 3.0")
    row, base = _latest(kinds == EVT3_Y), _latest(kinds == EVT3_BASE_X)
    # Each vector moves the base column by its length.
    lengths = np.select([kinds == EVT3_VECTOR_12, kinds == EVT3_VECTOR_8], [12, 8], 0)
    moved = np.cumsum(lengths) - lengths
    vector = lengths > 0
    high = _latest(kinds == EVT3_TIME_HIGH)
    index = np.flatnonzero(((kinds == EVT3_X) | (vector & (base >= 0))) & (high >= 0) & (row >= 0))
    # A single event is a vector of length 1.
    bits = np.where(vector, words & np.where(kinds == EVT3_VECTOR_8, 0xFF, 0xFFF), 1)[index]
    check_memory(str(path), EVT3_EVENT_MEMORY * int(np.bitwise_count(bits).sum()))
    source = np.where(vector, base, np.arange(len(words)))[index]
    word, column = np.nonzero((bits[:, None] >> np.arange(12, dtype=np.uint16)) & 1)
    first = (words[source] & 0x7FF).astype(np.int64) + np.where(vector[index], moved[index] - moved[source], 0)
    return RawEvents(
        t=_evt3_times(words, kinds, high)[index][word],
        x=first[word] + column,
        y=(words[row[index]] & 0x7FF)[word],
        polarity=((words[source] >> 11) & 1)[word],
        sensor=_sensor(path, header),
        place=byte_places(start + 2 * index[word]),
    )


def _evt3_times(words: NDArray[Any], kinds: NDArray[np.uint8], high: NDArray[np.int64]) -> NDArray[np.int64]:
    """Time at each word, in us; ``high`` is the index of the latest word of upper time.

    A change of the upper bits sets the lower 12 bits to 0 until the next word of lower time; a repetition of the upper
    bits changes nothing.
    """
    is_high = kinds == EVT3_TIME_HIGH
    upper = _unwrap(words[is_high] & 0xFFF, 12)
    changes = np.zeros(len(words), bool)
    changes[is_high] = np.diff(upper, prepend=-1) != 0
    low = _latest((kinds == EVT3_TIME_LOW) | changes)
    lower = np.where(kinds[low] == EVT3_TIME_LOW, words[low] & 0xFFF, 0)
    padded = np.concatenate([upper, [0]])  # For words before the first upper time, which no event has.
    times: NDArray[np.int64] = (padded[np.cumsum(is_high) - 1] << 12) | lower
    return times


def _read_dat(path: Path, data: bytes, header: str, start: int) -> RawEvents:
    """Decode a DAT file: event type and event size in a byte each, then events of time (32 bits) and address (32)."""
    versions = {int(found[1]): found.start() for found in VERSION.finditer(header)} or {0: 0}
    layouts = {version: next((bits for last, bits in DAT_LAYOUTS if version <= last), None) for version in versions}
    layout = next(iter(layouts.values()))
    if layout is None or len(versions) > 1:
        raise OpzoError(
            f"{path}: DAT version {' and '.join(map(str, versions))} in the header at byte {min(versions.values())}; "
            "only versions 0 to 2 can be read: convert it with the camera's software"
        )
    head = data[start : start + 2]
    if len(head) < 2 or head[0] not in DAT_TYPES or head[1] != DAT_EVENT_BYTES:
        raise OpzoError(
            f"{path}: {head.hex(' ') or 'end of file'} at byte {start}, expected the type (00 or 0c) and size (08) of "
            "the events; give an unchanged DAT file of CD events"
        )
    records = _words(path, data, start + 2, np.dtype([("t", "<u4"), ("address", "<u4")]))
    address = records["address"]
    if 2 not in versions and (beyond := address >> DAT_OLD_BITS != 0).any():
        first = int(beyond.argmax())
        raise OpzoError(
            f"{path}: address 0x{address[first]:x} at byte {start + 2 + DAT_EVENT_BYTES * first} is invalid in a DAT "
            f"file without '% Version 2'; give an unchanged file, or add that line to its header"
        )
    x, y, polarity = ((address >> low) & ((1 << bits) - 1) for low, bits in layout)
    return RawEvents(
        t=_unwrap(records["t"], 32),
        x=x,
        y=y,
        polarity=polarity,
        sensor=_sensor(path, header),
        place=byte_places(start + 2 + DAT_EVENT_BYTES * np.arange(len(records))),
    )


def _words(path: Path, data: bytes, start: int, dtype: Any) -> NDArray[Any]:
    size = np.dtype(dtype).itemsize
    count, rest = divmod(len(data) - start, size)
    if rest:
        raise OpzoError(
            f"{path}: truncated: {rest} of {size} bytes at byte {len(data) - rest}; copy or record the file again"
        )
    return np.frombuffer(data, dtype, count, start)


def _check_kinds(
    path: Path, kinds: NDArray[np.uint8], known: tuple[int, ...], start: int, size: int, name: str
) -> None:
    wrong = ~np.isin(kinds, known)
    if wrong.any():
        first = int(wrong.argmax())
        raise OpzoError(
            f"{path}: type 0x{kinds[first]:x} at byte {start + size * first} is not a type of {name}; the file is "
            "damaged: copy or record it again"
        )


def _unwrap(counter: NDArray[Any], bits: int) -> NDArray[np.int64]:
    """Undo the wraps of a counter of that many bits; a decrease by more than half of its range is a wrap."""
    values = counter.astype(np.int64)
    wraps = np.diff(values, prepend=values[:1]) < -(1 << (bits - 1))
    return values + (np.cumsum(wraps) << bits)


def _latest(marked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Latest marked index up to each index; -1 before the first."""
    return np.maximum.accumulate(np.where(marked, np.arange(len(marked)), -1))
