"""How the input of a run travels, in the payloads of EVENTS and RUN.

Input of a frame sample (register INPUT is FRAME)
    A frame is its values as pairs of bytes (gap, value), in ascending order of address. The address starts at 0, and
    each pair adds gap to it. If value is not 0 that is an event, and the address advances by one. A pair with value 0
    only skips.

Input of a chunk of events (register INPUT is SPIKES or GRADED)
    With SPIKES a chunk is codes of one byte. With GRADED it is pairs of bytes (code, value): the value of an event must
    not be 0, that of another code is ignored. The address starts at 0 in each time step. So a spike takes one byte
    where the one before it is less than 224 addresses away, and rarely more than two.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

CODES = (
    ("0x00-0xDF", "add the code to the address; an event there; the address advances by one"),
    ("0xE0-0xEF", "add (code - 0xDF) x 224 to the address"),
    ("0xF0-0xFF", "(code - 0xEF) time steps end, and all but the first of them are empty; the address is 0"),
)
"""Codes of a chunk, with their meaning."""
SKIP, END_STEPS = 0xE0, 0xF0
"""First code of skips, and of ends of time steps."""
SKIP_UNIT = SKIP
"""Addresses that code SKIP adds."""
MOST_ENDS = 0x100 - END_STEPS
"""Time steps that one code can end."""
SPIKE = 1
"""Value of a spike."""


def _none() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Chunk:
    """Input of one run.

    Attributes
    ----------
    addresses, values : int64 (events,)
        A frame's values, or events in order of time step, then address (values SPIKE where there are none).
    ends : int64 (steps,)
        Number of events up to the end of each time step; empty for a frame.
    """

    addresses: NDArray[np.int64] = field(default_factory=_none)
    values: NDArray[np.int64] = field(default_factory=_none)
    ends: NDArray[np.int64] = field(default_factory=_none)

    @classmethod
    def frame(cls, events: Sequence[tuple[int, int]]) -> "Chunk":
        """Chunk of (address, value 1..255) in ascending order of address."""
        addresses, values = np.array(events, np.int64).reshape(-1, 2).T
        return cls(addresses, values)

    @classmethod
    def of_steps(cls, steps: Sequence[ArrayLike], values: Sequence[ArrayLike] | None = None) -> "Chunk":
        """Chunk of ascending addresses, step by step."""
        lists = [np.asarray(step, np.int64) for step in steps]
        addresses = np.concatenate([_none(), *lists])
        graded = np.full(len(addresses), SPIKE)
        if values is not None:
            graded = np.concatenate([_none(), *(np.asarray(step, np.int64) for step in values)])
        return cls(addresses, graded, np.cumsum([len(step) for step in lists], dtype=np.int64))

    @classmethod
    def joined(cls, parts: "Sequence[Chunk]") -> "Chunk":
        """Chunk of parts that follow each other; the ends of each are counted from its own first event."""
        if len(parts) == 1:
            return parts[0]
        begins = np.cumsum([0, *(len(part.addresses) for part in parts)])
        return cls(
            np.concatenate([_none(), *(part.addresses for part in parts)]),
            np.concatenate([_none(), *(part.values for part in parts)]),
            np.concatenate([_none(), *(part.ends + begin for part, begin in zip(parts, begins, strict=False))]),
        )


def encode_events(events: Sequence[tuple[int, int]]) -> bytes:
    """Pairs of a frame: (address, value 1..255) in strictly ascending order of address."""
    addresses, values = np.array(events, np.int64).reshape(-1, 2).T
    return encode_frame_pairs(addresses, values)


def encode_frame_pairs(addresses: NDArray[np.integer], values: NDArray[np.integer]) -> bytes:
    """``encode_events`` for arrays: int (events,) each."""
    return _pairs(np.diff(addresses, prepend=-1) - 1, values)[0]


def encode_frames(frames: NDArray[np.uint8]) -> list[bytes]:
    """Pairs of each frame: uint8 (frames, inputs). Faster than one call a frame."""
    flat = np.ascontiguousarray(frames).reshape(-1)
    # NumPy finds places in a flat array of bool much faster than rows and columns of numbers.
    places = np.flatnonzero(flat != 0)
    begins = np.arange(len(frames) + 1) * frames.shape[1]
    events = np.searchsorted(places, begins)
    gaps = places.copy()
    gaps[1:] -= places[:-1] + 1
    some = np.diff(events) > 0
    firsts = events[:-1][some]
    gaps[firsts] = places[firsts] - begins[:-1][some]
    pairs, ends = _pairs(gaps, flat[places])
    bounds = np.concatenate([[0], 2 * (ends + 1)])[events].tolist()
    return [pairs[begin:end] for begin, end in pairwise(bounds)]


def _pairs(gaps: NDArray[np.integer], values: NDArray[np.integer]) -> tuple[bytes, NDArray[np.int64]]:
    """Pairs of events, and the number of the pair of each: int (events,)."""
    if gaps.max(initial=0) <= 255:
        # Every pair is an event.
        pairs = np.empty((len(gaps), 2), np.uint8)
        pairs[:, 0], pairs[:, 1] = gaps, values
        return pairs.tobytes(), np.arange(len(gaps))
    skips = np.maximum(gaps - 1, 0) // 255
    ends = np.cumsum(skips + 1) - 1
    pairs = np.zeros((ends[-1] + 1 if len(ends) else 0, 2), np.uint8)
    pairs[:, 0] = 255
    pairs[ends, 0] = gaps - 255 * skips
    pairs[ends, 1] = values
    return pairs.tobytes(), ends


def decode_frame_pairs(pairs: bytes, position: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Addresses and values of ``pairs`` (even length), and the address after them, starting from ``position``."""
    numbers = np.frombuffer(pairs, np.uint8).astype(np.int64)
    gaps, values = numbers[::2], numbers[1::2]
    if 0 not in pairs[1::2]:
        # Every pair is an event.
        addresses = (gaps + 1).cumsum()
        addresses += position - 1
        return addresses, values, int(addresses[-1]) + 1 if len(gaps) else position
    is_set = values > 0
    after = position + np.cumsum(gaps + is_set)
    return after[is_set] - 1, values[is_set], int(after[-1])


def encode_steps(chunk: Chunk, *, graded: bool) -> bytes:
    """Codes of a chunk of events."""
    addresses, count = np.asarray(chunk.addresses, np.int64), len(chunk.addresses)
    steps = len(chunk.ends)
    step = np.searchsorted(chunk.ends, np.arange(count), side="right")
    begins = np.ones(count, bool)
    begins[1:] = step[1:] != step[:-1]
    before = np.concatenate([[-1], addresses[:-1]]) if count else addresses
    gaps = addresses - np.where(begins, -1, before) - 1
    # Skips before each event, in codes of up to 16 units.
    units = gaps // SKIP_UNIT
    whole = END_STEPS - SKIP
    skips = -(-units // whole)
    # Ends before each event, and behind the last one.
    passed = np.diff(np.concatenate([[0], step, [steps]]))
    marks = -(-passed // MOST_ENDS)
    lengths = np.concatenate([marks[:-1] + skips + 1, marks[-1:]])
    codes = np.zeros((int(lengths.sum()), 2), np.uint8)
    last = np.cumsum(lengths) - 1
    events = last[:-1]
    codes[events, 0] = gaps - units * SKIP_UNIT
    codes[events, 1] = chunk.values
    for k in range(int(skips.max(initial=0))):
        some = skips > k
        codes[events[some] - 1 - k, 0] = SKIP - 1 + np.minimum(units[some] - k * whole, whole)
    firsts = last - lengths + 1
    for k in range(int(marks.max(initial=0))):
        some = marks > k
        codes[firsts[some] + k, 0] = END_STEPS - 1 + np.minimum(passed[some] - k * MOST_ENDS, MOST_ENDS)
    return codes.tobytes() if graded else codes[:, 0].tobytes()


def decode_steps(data: bytes, *, graded: bool, position: int = 0) -> tuple[Chunk, int]:
    """Chunk of codes (whole ones), and the address after them, starting from ``position``.

    Addresses may lie beyond any network, and values may be 0 where the codes were not made by ``encode_steps``.
    """
    table = np.frombuffer(data, np.uint8).reshape(-1, 2 if graded else 1).astype(np.int64)
    codes = table[:, 0]
    is_event, is_end = codes < SKIP, codes >= END_STEPS
    moved = np.where(is_event, codes + 1, np.where(is_end, 0, (codes - SKIP + 1) * SKIP_UNIT))
    total = position + np.cumsum(moved)
    # What was added up before the time step began.
    begin = np.maximum.accumulate(np.where(is_end, total, 0)) if len(codes) else total
    after = total - begin
    ends = np.repeat(np.cumsum(is_event, dtype=np.int64)[is_end], (codes - END_STEPS + 1)[is_end])
    values = table[is_event, 1] if graded else np.full(int(is_event.sum()), SPIKE)
    return Chunk(after[is_event] - 1, values, ends), int(after[-1]) if len(codes) else position
