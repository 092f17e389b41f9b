"""Codes of chunks of events: examples by hand, a decoder written as a loop, and what comes back of what was encoded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opzo.spec.events import SPIKE, Chunk, decode_steps, encode_steps
from opzo.spec.limits import MAX_INPUTS

ADDRESSES = st.one_of(
    st.integers(0, MAX_INPUTS - 1), st.sampled_from((0, 1, 223, 224, 225, 447, 448, 3583, 3584, 3585, 3808, 4095))
)
STEPS = st.lists(st.sets(ADDRESSES, max_size=12).map(sorted), max_size=12)
CODES = st.one_of(
    st.binary(max_size=60), st.lists(st.sampled_from((0, 1, 0xDF, 0xE0, 0xEF, 0xF0, 0xFF)), max_size=40).map(bytes)
)


def graded_codes(codes: bytes, values: bytes) -> bytes:
    return bytes(b for code, value in zip(codes, values, strict=True) for b in (code, value))


def lists(chunk: Chunk) -> tuple[list[int], list[int], list[int]]:
    return chunk.addresses.tolist(), chunk.values.tolist(), chunk.ends.tolist()


def decode_in_a_loop(codes: bytes, values: bytes, position: int) -> tuple[list[int], list[int], list[int], int]:
    """What the table in ``opzo.spec.events`` says, word for word."""
    addresses: list[int] = []
    graded: list[int] = []
    ends: list[int] = []
    for code, value in zip(codes, values, strict=True):
        if code <= 0xDF:
            position += code
            addresses.append(position)
            graded.append(value)
            position += 1
        elif code <= 0xEF:
            position += (code - 0xDF) * 224
        else:
            ends += [len(addresses)] * (code - 0xEF)
            position = 0
    return addresses, graded, ends, position


@pytest.mark.parametrize(
    ("steps", "codes"),
    [
        ([], ""),
        ([[]], "f0"),
        ([[], []], "f1"),
        ([[]] * 16, "ff"),
        ([[]] * 17, "ff f0"),
        ([[]] * 40, "ff ff f7"),
        ([[0]], "00 f0"),
        ([[0, 1, 2]], "00 00 00 f0"),
        ([[3, 5]], "03 01 f0"),
        ([[3], [5]], "03 f0 05 f0"),
        ([[3], [], [], [5]], "03 f2 05 f0"),
        ([[], [3], []], "f0 03 f1"),
        ([[223]], "df f0"),
        ([[224]], "e0 00 f0"),
        ([[447]], "e0 df f0"),
        ([[448]], "e1 00 f0"),
        ([[3583]], "ee df f0"),
        ([[3584]], "ef 00 f0"),
        ([[3808]], "e0 ef 00 f0"),
        ([[4095]], "e1 ef 3f f0"),
        ([[0, 224, 449]], "00 df e0 00 f0"),
    ],
)
def test_codes_by_hand(steps: list[list[int]], codes: str) -> None:
    chunk = Chunk.of_steps(steps)
    encoded = bytes.fromhex(codes)
    assert sorted(encode_steps(chunk, graded=False)) == sorted(encoded)
    # Of several skips in a row the order does not matter.
    for data in (encoded, encode_steps(chunk, graded=False)):
        decoded, position = decode_steps(data, graded=False)
        assert lists(decoded) == lists(chunk)
        assert position == 0
    values = bytes(7 if code < 0xE0 else 0 for code in encoded)
    decoded, _ = decode_steps(graded_codes(encoded, values), graded=True)
    assert lists(decoded) == (chunk.addresses.tolist(), [7] * len(chunk.addresses), chunk.ends.tolist())


def test_every_code_by_hand() -> None:
    for code in range(256):
        # From address 10; one more event tells where the code led to.
        chunk, position = decode_steps(bytes((code, 0)), graded=False, position=10)
        if code < 0xE0:
            assert lists(chunk) == ([10 + code, 11 + code], [SPIKE, SPIKE], [])
            assert position == 12 + code
        elif code < 0xF0:
            assert lists(chunk) == ([10 + (code - 0xDF) * 224], [SPIKE], [])
        else:
            assert lists(chunk) == ([0], [SPIKE], [0] * (code - 0xEF))
            assert position == 1


@given(CODES, st.integers(0, 5000), st.data())
def test_any_codes_mean_what_the_table_says(codes: bytes, position: int, data: st.DataObject) -> None:
    values = data.draw(st.binary(min_size=len(codes), max_size=len(codes)))
    decoded, after = decode_steps(graded_codes(codes, values), graded=True, position=position)
    assert (*lists(decoded), after) == decode_in_a_loop(codes, values, position)
    decoded, after = decode_steps(codes, graded=False, position=position)
    assert (*lists(decoded), after) == decode_in_a_loop(codes, bytes([SPIKE]) * len(codes), position)


@given(STEPS, st.data())
def test_chunks_survive_encoding_however_they_are_cut(steps: list[list[int]], data: st.DataObject) -> None:
    graded = data.draw(st.booleans())
    values = [[data.draw(st.integers(1, 255)) for _ in step] for step in steps]
    chunk = Chunk.of_steps(steps, values if graded else None)
    encoded = encode_steps(chunk, graded=graded)
    size = 2 if graded else 1
    decoded, position = decode_steps(encoded, graded=graded)
    assert lists(decoded) == lists(chunk)
    assert position == 0
    # Between codes, as in several frames.
    addresses: list[int] = []
    ends: list[int] = []
    while encoded:
        cut = size * data.draw(st.integers(1, len(encoded) // size))
        part, position = decode_steps(encoded[:cut], graded=graded, position=position)
        ends += (part.ends + len(addresses)).tolist()
        addresses += part.addresses.tolist()
        encoded = encoded[cut:]
    assert (addresses, ends) == (chunk.addresses.tolist(), chunk.ends.tolist())


@given(STEPS)
def test_no_codes_are_wasted(steps: list[list[int]]) -> None:
    codes = encode_steps(Chunk.of_steps(steps), graded=False)
    gaps = [b - a - 1 for step in steps for a, b in zip([-1, *step], step, strict=False)]
    events = sum(1 + -(-(gap // 224) // 16) for gap in gaps)
    empty, ends = 0, 0
    for step in steps:
        if step and empty:
            ends += -(-empty // 16)
            empty = 0
        empty += 1
    assert len(codes) == events + ends + -(-empty // 16)


def test_near_spikes_take_a_byte() -> None:
    near = Chunk.of_steps([list(range(0, MAX_INPUTS, 224))] * 8)
    assert len(encode_steps(near, graded=False)) == len(near.addresses) + 8
    assert len(encode_steps(near, graded=True)) == 2 * (len(near.addresses) + 8)


@pytest.mark.parametrize("rate", [0.003, 0.01, 0.1])
def test_sparse_spikes_rarely_take_more_than_two_bytes(rate: float) -> None:
    rng = np.random.default_rng(1)
    chunk = Chunk.of_steps([np.flatnonzero(rng.random(MAX_INPUTS) < rate).tolist() for _ in range(100)])
    assert len(encode_steps(chunk, graded=False)) <= (2 if rate < 0.01 else 1.2) * len(chunk.addresses)


def test_chunk_of_steps() -> None:
    assert lists(Chunk.of_steps([[3, 5], [], [1]])) == ([3, 5, 1], [SPIKE] * 3, [2, 2, 3])
    assert lists(Chunk.of_steps([[3, 5], [], [1]], [[9, 8], [], [7]])) == ([3, 5, 1], [9, 8, 7], [2, 2, 3])
    assert lists(Chunk.frame([(3, 9), (5, 8)])) == ([3, 5], [9, 8], [])
    assert lists(Chunk()) == ([], [], [])
