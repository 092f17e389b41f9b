"""Changes to the bytes of a good file, as made by transfers, editors, other programs or with bad intent."""

from collections.abc import Callable

import numpy as np

EXTREMES = [
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**63 - 1,
    2**63,
    2**64 - 1,
]
Change = Callable[[bytes, np.random.Generator], bytes]


def _place(content: bytes, rng: np.random.Generator) -> int:
    # The head of a file, which contains counts and sizes, is chosen as often as the rest.
    return int(rng.integers(0, min(len(content), 200 if rng.random() < 0.5 else 1 << 30) + 1))


def _truncate(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: _place(content, rng)]


def _flip(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 9))):
        if changed:
            changed[_place(content, rng) - 1] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _extreme(content: bytes, rng: np.random.Generator) -> bytes:
    at, size = _place(content, rng), int(rng.choice([1, 2, 4, 8]))
    value = int(EXTREMES[int(rng.integers(len(EXTREMES)))]) % (1 << 8 * size)
    return content[:at] + value.to_bytes(size, "little") + content[at + size :]


def _swap(content: bytes, rng: np.random.Generator) -> bytes:
    size = int(rng.choice([1, 2, 4, 8, 28]))
    first, second = sorted((_place(content, rng), _place(content, rng)))
    second = max(second, first + size)
    a, b = content[first : first + size], content[second : second + size]
    return content[:first] + b + content[first + size : second] + a + content[second + size :]


def _repeat(content: bytes, rng: np.random.Generator) -> bytes:
    first, second = sorted((_place(content, rng), _place(content, rng)))
    return content[:second] + content[first:second] + content[second:]


def _remove(content: bytes, rng: np.random.Generator) -> bytes:
    first, second = sorted((_place(content, rng), _place(content, rng)))
    return content[:first] + content[second:]


def _insert(content: bytes, rng: np.random.Generator) -> bytes:
    at = _place(content, rng)
    return content[:at] + rng.bytes(int(rng.integers(1, 40))) + content[at:]


def _junk(content: bytes, rng: np.random.Generator) -> bytes:
    """A valid head followed by random bytes."""
    return content[: _place(content, rng)] + rng.bytes(int(rng.integers(0, 400)))


def _text_mode(content: bytes, rng: np.random.Generator) -> bytes:
    """Change line ends as text mode transfers do."""
    return content.replace(b"\n", b"\r\n") if rng.random() < 0.5 else content.replace(b"\r\n", b"\n")


CHANGES: tuple[Change, ...] = (_truncate, _flip, _extreme, _swap, _repeat, _remove, _insert, _junk, _text_mode)


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """``content`` after one or two changes."""
    for index in rng.integers(len(CHANGES), size=int(rng.integers(1, 3))):
        content = CHANGES[int(index)](content, rng)
    return content
