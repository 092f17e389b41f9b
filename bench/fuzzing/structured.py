"""Changes to good files that keep what surrounds them valid: containers, check sums, encodings.

Damage to any byte of a .zip file or of a frame is found by its check sum; these changes reach what lies behind it.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from fuzzing.mutated import Change, damaged
from opzo.spec.commands import NAK
from opzo.spec.frames import Frame, Unescape

VALUES: tuple[Any, ...] = (
    *(None, True, False, [], {}, "", "x", "0", "\x1b[31m", "\ud800", "9" * 30, "../a", [[]], {"": {}}, [None]),
    *(0, -1, 1, 2, 255, 256, 1 << 16, 1 << 31, 1 << 32, 1 << 63, 1 << 64, 10**40, -(1 << 63)),
    *(0.5, -0.0, 1e-320, 1e300, float("inf"), float("-inf"), float("nan")),
)
"""Values in the place of those of a JSON text."""
WORDS = (
    *(
        "nan",
        "inf",
        "-inf",
        "1e999",
        "-1",
        "0",
        "00",
        "0x10",
        "1_000",
        "9" * 30,
        "9" * 5000,
        "true",
        "null",
        "''",
        '""',
    ),
    *("[]", "{}", "[[", "]", "}", "=", ".", ",", "#", "\t", "\r", "\n", "\0", "\x1b[31m", "\u0660", "\u00b2", "\u2028"),
    *("1979-05-27", "07:32:00", "'''", '"""', "\\u0000", "\\", "\ufeff", "\U0001f600", "[" * 2000, "a." * 500 + "a=1"),
)
"""Words in the place of those of a text."""
TYPES = (
    "b1",
    "u1",
    "i1",
    "u2",
    "<u2",
    ">i4",
    "u4",
    "i8",
    "u8",
    "f2",
    "f4",
    "f8",
    "c8",
    "U1",
    "U9",
    "S3",
    "M8[s]",
    "V3",
)
NUMBERS = (0, 1, -1, 2, 255, 256, 65535, 65536, 2**31, 2**32, 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-320, 1e30, 1e300, float("inf"), float("-inf"), float("nan"))


def either(*changes: Change) -> Change:
    """One of ``changes``, each as often as another; `damaged` where what it changes has not the form it needs."""

    def change(content: bytes, rng: np.random.Generator) -> bytes:
        try:
            return changes[int(rng.integers(len(changes)))](content, rng)
        # What an earlier change has damaged; libraries that write files raise anything for it.
        except Exception:
            return damaged(content, rng)

    return change


def in_zip(content: bytes, rng: np.random.Generator, change: Change = damaged) -> bytes:
    """Change one member of a .zip file, or leave it out, or write it twice."""
    members = _members(content)
    place = int(rng.integers(len(members)))
    name, data = members[place]
    match int(rng.integers(20)):
        case 0:
            del members[place]
        case 1:
            members.append((name, data))
        case _:
            members[place] = name, change(data, rng)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for entry, value in members:
            archive.writestr(entry, value)
    return file.getvalue()


def in_npz(content: bytes, rng: np.random.Generator) -> bytes:
    """Change one array of an .npz file: its type, shape or values."""
    return in_zip(content, rng, _in_npy)


def _in_npy(content: bytes, rng: np.random.Generator) -> bytes:
    array = np.load(io.BytesIO(content), allow_pickle=False)
    file = io.BytesIO()
    if array.dtype.kind == "U" and array.ndim == 0 and rng.random() < 0.7:
        text = str(array)
        change = in_json if text.startswith("{") and rng.random() < 0.7 else in_words
        array = np.array(change(text.encode(), rng).decode("utf-8", "replace"))
    else:
        array = changed_array(array, rng)
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def changed_array(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An array with another type, shape or values."""
    with np.errstate(all="ignore"):
        match int(rng.integers(8)):
            case 0:
                return array.astype(TYPES[int(rng.integers(len(TYPES)))])
            case 1:
                return array.reshape(-1)[:0] if rng.random() < 0.5 else array[..., None]
            case 2:
                return np.asarray(array.reshape(-1)[int(rng.integers(max(1, array.size)))])
            case 3:
                return np.concatenate([array, array]) if array.ndim else np.full((2,), array)
            case 4:
                return array.T if rng.random() < 0.5 else np.asfortranarray(array)
            case 5:
                return array[tuple(slice(int(rng.integers(3))) for _ in range(array.ndim))]
            case _:
                values = array.copy()
                numbers = FLOATS if values.dtype.kind in "fc" else NUMBERS
                number = numbers[int(rng.integers(len(numbers)))]
                if values.dtype.kind in "iu":
                    # In the width of the type, also where that has another meaning.
                    number = int(np.array(number % (1 << 64), np.uint64).astype(values.dtype))
                values.reshape(-1)[rng.integers(values.size, size=int(rng.integers(1, 4)))] = number
                return values


def _members(content: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [(entry.filename, archive.read(entry)) for entry in archive.infolist()]


def _nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every dictionary and list in a JSON value, with each of its keys or places."""
    if isinstance(value, dict | list):
        for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            yield from _nodes(item)


def in_json(content: bytes, rng: np.random.Generator) -> bytes:
    """Change one value of a JSON text: another one, none, one from another place, a text of a different word."""
    value = json.loads(content)
    nodes = list(_nodes(value))
    if not nodes or rng.random() < 0.02:
        return json.dumps(VALUES[int(rng.integers(len(VALUES)))]).encode()
    parent, key = nodes[int(rng.integers(len(nodes)))]
    other, place = nodes[int(rng.integers(len(nodes)))]
    match int(rng.integers(6)):
        case 0:
            del parent[key]
        case 1:
            parent[key] = json.loads(json.dumps(other[place]))
        case 2 if isinstance(parent, dict):
            parent[VALUES[int(rng.integers(len(VALUES)))] if rng.random() < 0.3 else f"{key}x"] = parent.pop(key)
        case 3 if isinstance(parent[key], str):
            parent[key] = in_words(parent[key].encode(errors="replace"), rng).decode(errors="replace")
        case _:
            parent[key] = VALUES[int(rng.integers(len(VALUES)))]
    # Python's JSON writes what no standard has: NaN, and halves of characters.
    return json.dumps(value).encode()


def in_lines(content: bytes, rng: np.random.Generator) -> bytes:
    """Change one line of JSON, or the order of the lines."""
    lines = content.splitlines()
    first, second = (int(rng.integers(len(lines))) for _ in range(2))
    if rng.random() < 0.2:
        lines[first], lines[second] = lines[second], lines[first]
    else:
        lines[first] = in_json(lines[first], rng)
    return b"".join(line + b"\n" for line in lines)


def in_words(content: bytes, rng: np.random.Generator) -> bytes:
    """Put a word of WORDS in the place of a few bytes, between two bytes that belong to words."""
    word = WORDS[int(rng.integers(len(WORDS)))].encode()
    begin = int(rng.integers(len(content) + 1))
    if rng.random() < 0.5:
        # All of the word at this place.
        end = begin
        while begin > 0 and content[begin - 1 : begin].isalnum():
            begin -= 1
        while end < len(content) and content[end : end + 1].isalnum():
            end += 1
    else:
        end = begin + int(rng.integers(4))
    return content[:begin] + word + content[end:]


def in_frames(content: bytes, rng: np.random.Generator) -> bytes:
    """Change, drop, swap or repeat a frame of the link; the changed one has a valid length and check sum."""
    frames = [frame for body in Unescape().feed(content) if body and (frame := Frame.decode(body))]
    first, second = (int(rng.integers(len(frames))) for _ in range(2))
    match int(rng.integers(8)):
        case 0:
            del frames[first]
        case 1:
            frames[first], frames[second] = frames[second], frames[first]
        case 2:
            frames.insert(first, frames[second])
        case _:
            frames[first] = _changed_frame(frames[first], rng)
    return b"".join(frame.encode() for frame in frames)


def _changed_frame(frame: Frame, rng: np.random.Generator) -> Frame:
    match int(rng.integers(6)):
        case 0:
            return frame._replace(seq=(frame.seq + int(rng.integers(-3, 4))) % 256)
        case 1:
            return frame._replace(code=int(rng.integers(256)))
        case 2:
            # A NAK has two bytes: its reason and the frame that the device expects.
            return Frame(frame.seq, NAK, bytes((int(rng.integers(6)), int(rng.integers(256)))))
        case _:
            return frame._replace(data=damaged(frame.data, rng)[:0xFFFF])
