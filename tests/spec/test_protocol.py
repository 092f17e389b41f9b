import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opzo.spec.commands import Command
from opzo.spec.events import Chunk, decode_frame_pairs, encode_events, encode_frames
from opzo.spec.frames import END, ESC, ESC_END, ESC_ESC, MAX_PAYLOAD, OVERHEAD, Frame, Unescape
from opzo.spec.limits import Limits
from opzo.spec.protocol import CREDITS, Identity

BYTES = st.one_of(
    st.binary(max_size=60), st.lists(st.sampled_from((END, ESC, ESC_END, ESC_ESC, 0, 255)), max_size=30).map(bytes)
)
FRAMES = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), BYTES)


def test_frame_on_the_wire_by_hand() -> None:
    body = bytes((2, 0, 7, 0x02, ESC, END))
    crc = zlib.crc32(body).to_bytes(4, "little")
    escaped = bytes((END, 2, 0, 7, 0x02, ESC, ESC_ESC, ESC, ESC_END)) + crc + bytes((END,))
    assert not {END, ESC} & set(crc)
    assert Frame(7, Command.READ_REGISTERS, bytes((ESC, END))).encode() == escaped


def test_crc_is_the_usual_one() -> None:
    # The check value of CRC-32/ISO-HDLC: of "123456789", here seen as header and payload.
    assert zlib.crc32(b"123456789") == 0xCBF43926


@given(st.lists(FRAMES, max_size=6), st.data())
def test_frames_survive_the_wire_however_it_is_cut(frames: list[Frame], data: st.DataObject) -> None:
    wire = b"".join(frame.encode() for frame in frames)
    unescape = Unescape()
    bodies = []
    while wire:
        size = data.draw(st.integers(1, len(wire)))
        bodies += unescape.feed(wire[:size])
        wire = wire[size:]
    assert [body and Frame.decode(body) for body in bodies] == frames


@given(FRAMES, st.data())
def test_no_frame_with_a_changed_byte_is_taken(frame: Frame, data: st.DataObject) -> None:
    (body,) = Unescape().feed(frame.encode())
    assert body is not None
    where = data.draw(st.integers(0, len(body) - 1))
    flip = data.draw(st.integers(1, 255))
    assert Frame.decode(body[:where] + bytes((body[where] ^ flip,)) + body[where + 1 :]) is None


@given(FRAMES, st.data())
def test_no_cut_frame_is_taken(frame: Frame, data: st.DataObject) -> None:
    (body,) = Unescape().feed(frame.encode())
    assert body is not None
    size = data.draw(st.integers(0, len(body) - 1))
    assert Frame.decode(body[:size]) is None or body[:size] == body
    assert Frame.decode(body + data.draw(st.binary(min_size=1, max_size=5))) is None


@given(st.lists(BYTES), FRAMES)
def test_a_frame_after_noise_is_found(noise: list[bytes], frame: Frame) -> None:
    unescape = Unescape()
    for piece in noise:
        unescape.feed(piece)
    bodies = unescape.feed(frame.encode())
    assert bodies[-1] is not None
    assert Frame.decode(bodies[-1]) == frame
    assert len(bodies) <= 2


@pytest.mark.parametrize(
    ("wire", "bodies"),
    [
        (bytes((END, END, END)), []),
        (bytes((ESC, END)), [None]),
        (bytes((1, ESC, 2, END)), [None]),
        (bytes((ESC, ESC, END, 3, END)), [None, b"\x03"]),
        (bytes((ESC, ESC_END, ESC, ESC_ESC, END)), [bytes((END, ESC))]),
        (bytes((ESC_END, END)), [bytes((ESC_END,))]),
    ],
)
def test_unescape_by_hand(wire: bytes, bodies: list[bytes | None]) -> None:
    assert Unescape().feed(wire) == bodies


def test_a_body_beyond_the_limit_is_given_up_and_the_next_found() -> None:
    longest = Frame(0, Command.EVENTS, bytes(MAX_PAYLOAD)).encode()
    longer = Frame(0, Command.EVENTS, bytes(MAX_PAYLOAD + 1)).encode()
    first, second, third = Unescape(MAX_PAYLOAD + OVERHEAD).feed(longest + longer + longest)
    assert first == third
    assert first is not None
    assert second is None


def test_bytes_without_an_end_take_no_more_memory_than_the_longest_frame() -> None:
    unescape, piece = Unescape(), bytes(100_000)
    tracemalloc.start()
    try:
        for _ in range(200):
            assert unescape.feed(piece) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
    given_up, body = unescape.feed(Frame(1, Command.RESET).encode())
    assert given_up is None
    assert body is not None
    assert Frame.decode(body) == Frame(1, Command.RESET)


def decoded(pairs: bytes, position: int = 0) -> tuple[list[tuple[int, int]], int]:
    addresses, values, position = decode_frame_pairs(pairs, position)
    return list(zip(addresses.tolist(), values.tolist(), strict=True)), position


@given(st.dictionaries(st.integers(0, 4095), st.integers(1, 255), max_size=50))
def test_events_survive_encoding(values: dict[int, int]) -> None:
    events = sorted(values.items())
    pairs = encode_events(events)
    assert decoded(pairs)[0] == events
    # Cut between pairs, as a sample in several frames is.
    half = len(pairs) // 4 * 2
    first, position = decoded(pairs[:half])
    second, _ = decoded(pairs[half:], position)
    assert first + second == events


@given(st.lists(st.dictionaries(st.integers(0, 1999), st.integers(1, 255), max_size=9), max_size=5))
def test_frames_encoded_together_are_those_encoded_alone(frames: list[dict[int, int]]) -> None:
    pixels = np.zeros((len(frames), 2000), np.uint8)
    for row, frame in zip(pixels, frames, strict=True):
        row[list(frame)] = list(frame.values())
    assert encode_frames(pixels) == [encode_events(sorted(frame.items())) for frame in frames]


@given(st.lists(st.lists(st.lists(st.integers(0, 99), max_size=3), max_size=3), max_size=4))
def test_joined_chunks_are_the_chunk_of_all_steps(parts: list[list[list[int]]]) -> None:
    joined = Chunk.joined([Chunk.of_steps(part) for part in parts])
    expected = Chunk.of_steps([step for part in parts for step in part])
    for name in ("addresses", "values", "ends"):
        assert getattr(joined, name).tolist() == getattr(expected, name).tolist()


def test_events_by_hand() -> None:
    assert encode_events([(0, 5), (1, 6), (4, 7)]) == bytes((0, 5, 0, 6, 2, 7))
    assert encode_events([(255, 1), (511, 2)]) == bytes((255, 1, 255, 2))
    assert encode_events([(256, 1)]) == bytes((255, 0, 1, 1))
    assert encode_events([(255, 1), (512, 2), (1024, 3)]) == bytes((255, 1, 255, 0, 1, 2, 255, 0, 255, 0, 1, 3))
    assert decoded(bytes((3, 0, 0, 9, 0, 0, 0, 8))) == ([(3, 9), (4, 8)], 5)


def test_identity_survives_packing() -> None:
    limits = Limits(lanes=128, rows=1 << 20, inputs=4095, words=1024, classes=64)
    identity = Identity.of(limits, 100_000)
    assert Identity.unpack(identity.pack()) == identity
    assert identity.limits == limits
    assert identity.credits == CREDITS
    assert identity.pack()[:4] == b"OPZO"
