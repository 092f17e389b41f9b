"""Recordings of event cameras: files written byte by byte in the real formats, whole and damaged."""

import re
import struct
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from opzo.host.recordings import Recording, read_recording
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


def refused(path: Path, message: str, sensor: tuple[int, int] | None = None) -> None:
    """The message names the file, and ends with a remedy after a semicolon."""
    with pytest.raises(OpzoError, match=message) as caught:
        read_recording(path, sensor)
    assert str(path) in str(caught.value)
    assert re.search(r"; \w", str(caught.value))


# AEDAT 3.1

HEADER3 = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#Start-Time: 2016-07-14 15:29:53\r\n#!END-HEADER\r\n"


def packet3(given: Iterable[Event], *, kind: int = 1, source: int = 1, overflow: int = 0, valid: int = 1) -> bytes:
    body = b"".join(struct.pack("<Ii", x << 17 | y << 2 | p << 1 | valid, t) for t, x, y, p in given)
    count = len(body) // 8
    return struct.pack("<hhiiiiii", kind, source, 8, 4, overflow, count, count, count * valid) + body


EVENTS = [(10, 0, 127, 1), (10, 127, 0, 0), (999, 3, 5, 1)]


def test_aedat3(tmp_path: Path) -> None:
    content = (
        HEADER3
        + packet3([(0, 9, 9, 0)], kind=0)  # special events
        + packet3(EVENTS[:1])
        + packet3([(11, 200, 200, 1)], valid=0)
        + packet3(EVENTS[1:])
        + packet3([(7, 1, 2, 0)], overflow=1)
    )
    recording = read_recording(written(tmp_path, "user01.aedat", content))
    assert events(recording) == [*EVENTS, (7 + 2**31, 1, 2, 0)]
    assert (recording.width, recording.height) == (128, 128)


def test_aedat3_of_other_cameras(tmp_path: Path) -> None:
    for camera, size in ((b"DAVIS240C", (240, 180)), (b"Davis346B", (346, 260))):
        path = written(tmp_path, "a.aedat", HEADER3.replace(b"DVS128", camera) + packet3(EVENTS))
        assert (read_recording(path).width, read_recording(path).height) == size
    path = written(tmp_path, "a.aedat", HEADER3.replace(b"DVS128", b"Mine") + packet3(EVENTS))
    assert (read_recording(path).width, read_recording(path).height) == (128, 128)
    assert read_recording(path, (300, 200)).width == 300


START3 = len(HEADER3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER3 + packet3(EVENTS)[:-3], f"truncated: 21 of 24 bytes at byte {START3 + 28}"),
        (HEADER3 + packet3(EVENTS) + packet3(EVENTS)[:27], f"truncated: 27 of 28 bytes at byte {START3 + 52}"),
        (HEADER3.replace(b"3.1", b"2.0") + packet3(EVENTS), "no known recording: 23 21 41 .* at byte 0"),
        (HEADER3[:-2] + packet3(EVENTS), "no line #!END-HEADER from byte 0 on"),
        (HEADER3.replace(b"RAW", b"Serial-TS") + packet3(EVENTS), r"format Serial\S* in the header at byte 14"),
        (HEADER3 + b"\xff" * 60, f"no header of a packet at byte {START3}"),
        (HEADER3 + packet3(EVENTS) + b"\x01" + bytes(40), f"no header of a packet at byte {START3 + 52}"),
        (HEADER3 + packet3(EVENTS[::-1]), f"backwards, from 999 to 10 us at byte {START3 + 28 + 8};"),
        (
            HEADER3 + packet3([*EVENTS, (999, 3, 128, 0)]),
            f"x=3, y=128 outside .* 128 x 128 pixels at byte {START3 + 52};",
        ),
        (HEADER3 + packet3([(1, 128, 0, 0)]), f"x=128, y=0 outside .* at byte {START3 + 28};"),
        (HEADER3 + packet3(EVENTS) + packet3(EVENTS, source=2), f"sources 1 and 2 at byte {START3 + 52}"),
        (HEADER3, "no events"),
        (b"", "no known recording: nothing at byte 0"),
    ],
)
def test_damaged_aedat3(tmp_path: Path, content: bytes, message: str) -> None:
    refused(written(tmp_path, "a.aedat", content), message)


# AEDAT 4: flatbuffers, not compressed.


def header4(*, table: int = -1, kind: str = "EVTS") -> bytes:
    info = (
        '<dv version="2.0"><node name="outInfo" path="/o/"><node name="0" path="/o/0/">'
        '<attr key="compression" type="string">NONE</attr>'
        f'<attr key="typeIdentifier" type="string">{kind}</attr><node name="info" path="/o/0/info/">'
        '<attr key="sizeX" type="int">346</attr><attr key="sizeY" type="int">260</attr></node></node></node></dv>'
    ).encode()
    # Root at 20, fields laid out at 8: compression at 4, table at 12, info at 8 of the root.
    body = struct.pack("<I4s5H2xiiiq", 20, b"IOHE", 10, 20, 4, 12, 8, 12, 0, 12, table)
    body += struct.pack("<I", len(info)) + info + b"\0"
    return b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(body)) + body


def packet4(given: list[Event], *, stream: int = 0) -> bytes:
    body = struct.pack("<I4s3H2xiI4xI", 16, b"EVTS", 6, 8, 4, 8, 8, len(given))
    body += b"".join(struct.pack("<qhhB3x", t, x, y, p) for t, x, y, p in given)
    return struct.pack("<iiI", stream, len(body) + 4, len(body)) + body


HEADER4 = header4()
START4 = len(HEADER4)
EVENTS4 = [(1_600_000_000_000_000, 0, 259, 1), (1_600_000_000_000_000, 345, 0, 0), (1_600_000_000_000_007, 3, 5, 1)]


def test_aedat4(tmp_path: Path) -> None:
    recording = read_recording(written(tmp_path, "a.aedat4", HEADER4 + packet4(EVENTS4[:1]) + packet4(EVENTS4[1:])))
    assert events(recording) == EVENTS4
    assert (recording.width, recording.height) == (346, 260)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER4 + packet4(EVENTS4)[:-1], f"truncated: 83 of 84 bytes at byte {START4 + 8}"),
        (HEADER4 + packet4(EVENTS4)[:5], f"truncated: 5 of 8 bytes at byte {START4}"),
        (HEADER4[:60], "no complete header of AEDAT 4 at byte 14"),
        (HEADER4.replace(b"IOHE", b"OOPS") + packet4(EVENTS4), "no complete header of AEDAT 4 at byte 14"),
        (HEADER4.replace(b"4.0", b"5.0") + packet4(EVENTS4), "no known recording: .* at byte 0"),
        (header4(table=9999) + packet4(EVENTS4), "truncated: the table of packets belongs at byte 9999"),
        (header4(kind="FRME"), "no stream of events in the header at byte 14"),
        # The library aborts its process.
        (HEADER4.replace(b"><attr", b"><at\xcbr") + packet4(EVENTS4), "no complete header of AEDAT 4"),
        (HEADER4 + packet4(EVENTS4).replace(b"EVTS", b"OOPS"), "damaged"),
        (HEADER4.replace(b"</dv>", b"<dv/>") + packet4(EVENTS4), "damaged"),
        (HEADER4 + packet4(EVENTS4[::-1]), "backwards, from 1600000000000007 to 1600000000000000 us at event 1;"),
        (HEADER4 + packet4(EVENTS4) + packet4([(2**60, 346, 0, 0)]), "x=346, y=0 outside .* 346 x 260 .* event 3;"),
        (HEADER4, "no events"),
    ],
)
def test_damaged_aedat4(tmp_path: Path, content: bytes, message: str) -> None:
    refused(written(tmp_path, "a.aedat4", content), message)


# Prophesee RAW


HEADER_EVT2 = b"% date 2020-09-14 14:18:29\n% evt 2.0\n% geometry 640x480\n% end\n"
START_EVT2 = len(HEADER_EVT2)


def words2(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}I", *words)


def high2(t: int) -> int:
    return 8 << 28 | t >> 6


def event2(t: int, x: int, y: int, p: int) -> int:
    return p << 28 | (t & 63) << 22 | x << 11 | y


EVT2 = [high2(0x940), event2(0x941, 639, 0, 1), event2(0x97F, 0, 479, 0), high2(0x980), event2(0x980, 5, 7, 1)]
EVENTS2 = [(0x941, 639, 0, 1), (0x97F, 0, 479, 0), (0x980, 5, 7, 1)]


def test_evt2(tmp_path: Path) -> None:
    # The first word begins with 0x25, as a line of the header does.
    assert words2(*EVT2).startswith(b"%")
    recording = read_recording(written(tmp_path, "a.raw", HEADER_EVT2 + words2(*EVT2)))
    assert events(recording) == EVENTS2
    assert (recording.width, recording.height) == (640, 480)


def test_evt2_leaves_out_other_words_and_events_before_the_first_time(tmp_path: Path) -> None:
    words = [event2(0, 1, 1, 1), *EVT2[:2], 0xA << 28, 0xE << 28 | 5, 0xF << 28 | 9, *EVT2[2:]]
    assert events(read_recording(written(tmp_path, "a.raw", HEADER_EVT2 + words2(*words)))) == EVENTS2


def test_evt2_time_wraps(tmp_path: Path) -> None:
    words = [high2(2**34 - 64), event2(63, 1, 2, 1), high2(0), event2(0, 3, 4, 0)]
    recording = read_recording(written(tmp_path, "a.raw", HEADER_EVT2 + words2(*words)))
    assert events(recording) == [(2**34 - 1, 1, 2, 1), (2**34, 3, 4, 0)]


def test_evt2_without_a_size(tmp_path: Path) -> None:
    path = written(tmp_path, "a.raw", b"% evt 2.0\n% end\n" + words2(*EVT2))
    assert (read_recording(path).width, read_recording(path).height) == (640, 480)
    assert read_recording(path, (1280, 720)).width == 1280
    refused(path, "x=639, y=0 outside the sensor of 320 x 480 pixels at byte 20;", (320, 480))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER_EVT2 + words2(*EVT2)[:-1], f"truncated: 3 of 4 bytes at byte {START_EVT2 + 16}"),
        (HEADER_EVT2.replace(b"evt 2.0", b"evt 2.1") + words2(*EVT2), "EVT 2.1 in the header at byte 27"),
        (HEADER_EVT2.replace(b"% evt 2.0\n", b"") + words2(*EVT2), f"header without .* up to byte {START_EVT2 - 10}"),
        (HEADER_EVT2.replace(b"% end", b"% endianness big\n% end") + words2(*EVT2), "big-endian"),
        (words2(*EVT2), "no known recording: 25 00 00 80 .* at byte 0"),
        (HEADER_EVT2 + words2(EVT2[0], 0x3 << 28), f"type 0x3 at byte {START_EVT2 + 4}, which EVT 2.0"),
        (HEADER_EVT2 + words2(EVT2[0], EVT2[2], EVT2[1]), f"from 2431 to 2369 us at byte {START_EVT2 + 8};"),
        (HEADER_EVT2 + words2(EVT2[3], EVT2[4], *EVT2[:2]), f"from 2432 to 2369 us at byte {START_EVT2 + 12};"),
        (HEADER_EVT2 + words2(*EVT2, event2(0x980, 640, 0, 1)), f"x=640, y=0 .* at byte {START_EVT2 + 20};"),
        (HEADER_EVT2 + words2(*EVT2, event2(0x980, 0, 480, 1)), f"x=0, y=480 .* at byte {START_EVT2 + 20};"),
        (HEADER_EVT2 + words2(EVT2[1]), "no events"),
        (HEADER_EVT2, "no events"),
    ],
)
def test_damaged_evt2(tmp_path: Path, content: bytes, message: str) -> None:
    refused(written(tmp_path, "a.raw", content), message)


def test_given_sensor_against_the_header(tmp_path: Path) -> None:
    path = written(tmp_path, "a.raw", HEADER_EVT2 + words2(*EVT2))
    refused(path, "its sensor has 640 x 480 pixels, not the 1280 x 720 given", (1280, 720))


HEADER_EVT3 = b"% evt 3.0\n% format EVT3;height=720;width=1280\n% end\n"
START_EVT3 = len(HEADER_EVT3)


def words3(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}H", *words)


def test_evt3(tmp_path: Path) -> None:
    content = HEADER_EVT3 + words3(
        0x2801,  # before time and row
        0x8001,  # t = 1 << 12
        0x6005,  # + 5
        0x2802,  # before a row
        0x02CF,  # y = 719
        0x2CFF,  # x = 1279, brighter
        0x3064,  # base 100, darker
        0x4801,  # of 12: columns 0, 11
        0x5F81,  # of 8: columns 0, 7; the upper bits mean nothing
        0x2803,  # x = 3, brighter
        0x4002,  # of 12: column 1
        0xA100,  # trigger
        0x7FFF,  # continued
        0x6FFF,
        0x0001,  # y = 1
        0x2000,  # x = 0, darker
        0x8002,  # t = 2 << 12
        0x2800,
        0x6001,
        0x8002,  # the same upper time again
        0x2800,
    )
    recording = read_recording(written(tmp_path, "a.raw", content))
    assert events(recording) == [
        (4101, 1279, 719, 1),
        (4101, 100, 719, 0),
        (4101, 111, 719, 0),
        (4101, 112, 719, 0),
        (4101, 119, 719, 0),
        (4101, 3, 719, 1),
        (4101, 121, 719, 0),
        (8191, 0, 1, 0),
        (8192, 0, 1, 1),
        (8193, 0, 1, 1),
    ]
    assert (recording.width, recording.height) == (1280, 720)


def test_evt3_time_wraps(tmp_path: Path) -> None:
    content = HEADER_EVT3 + words3(0x8FFF, 0x6FFF, 7, 0x2805, 0x8000, 0x6001, 0x2806)
    recording = read_recording(written(tmp_path, "a.raw", content))
    assert events(recording) == [(2**24 - 1, 5, 7, 1), (2**24 + 1, 6, 7, 1)]


def test_evt3_words_like_a_line_of_the_header(tmp_path: Path) -> None:
    # "% a" and a line feed: an event before the first time, and row 609.
    content = HEADER_EVT3 + b"% a\n" + words3(0x8001, 0x6005, 0x2805)
    assert events(read_recording(written(tmp_path, "a.raw", content))) == [(4101, 5, 609, 1)]


BEGIN3 = (0x8001, 0x6005, 0x02CF)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER_EVT3 + words3(*BEGIN3, 0x2805) + b"\0", f"truncated: 1 of 2 bytes at byte {START_EVT3 + 8}"),
        (HEADER_EVT3.replace(b"3.0", b"4.0") + words3(*BEGIN3, 0x2805), "EVT 4.0 in the header at byte 0"),
        (HEADER_EVT3 + words3(*BEGIN3, 0x2805, 0x9000), f"type 0x9 at byte {START_EVT3 + 8}, which EVT 3.0"),
        (
            HEADER_EVT3 + words3(*BEGIN3, 5 | 2 << 12, 0x6004, 0x2805),
            f"from 4101 to 4100 us at byte {START_EVT3 + 10};",
        ),
        (HEADER_EVT3 + words3(*BEGIN3, 0x2805, 0x8000, 0x2805), f"from 4101 to 0 us at byte {START_EVT3 + 10};"),
        (HEADER_EVT3 + words3(*BEGIN3, 0x2805, 0x2D00), f"x=1280, y=719 .* at byte {START_EVT3 + 8};"),
        (HEADER_EVT3 + words3(*BEGIN3, 0x3CFF, 0x4002), f"x=1280, y=719 .* at byte {START_EVT3 + 8};"),
        (HEADER_EVT3 + words3(*BEGIN3, 0x02D0, 0x2805), f"x=5, y=720 .* at byte {START_EVT3 + 8};"),
        (HEADER_EVT3 + words3(*BEGIN3, 0x4001), "no events"),
    ],
)
def test_damaged_evt3(tmp_path: Path, content: bytes, message: str) -> None:
    refused(written(tmp_path, "a.raw", content), message)


# Prophesee DAT

HEADER_DAT = b"% Data file containing CD events.\n% Version 2\n% Width 640\n% Height 480\n"
START_DAT = len(HEADER_DAT)


def dat(*given: Event, head: bytes = b"\x0c\x08") -> bytes:
    return HEADER_DAT + head + b"".join(struct.pack("<II", t, p << 28 | y << 14 | x) for t, x, y, p in given)


EVENTS_DAT = [(0, 639, 0, 1), (0, 0, 479, 0), (70_000, 5, 7, 1)]


def test_dat(tmp_path: Path) -> None:
    recording = read_recording(written(tmp_path, "a.dat", dat(*EVENTS_DAT)))
    assert events(recording) == EVENTS_DAT
    assert (recording.width, recording.height) == (640, 480)


def test_dat_time_wraps(tmp_path: Path) -> None:
    path = written(tmp_path, "a.dat", dat((2**32 - 1, 1, 2, 1), (3, 1, 2, 0), head=b"\0\x08"))
    assert read_recording(path).t.tolist() == [2**32 - 1, 2**32 + 3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (dat(*EVENTS_DAT)[:-5], f"truncated: 3 of 8 bytes at byte {START_DAT + 18}"),
        (dat(*EVENTS_DAT).replace(b"Version 2", b"Version 1"), "DAT version 1 in the header at byte 34"),
        (dat(*EVENTS_DAT, head=b"\x0e\x08"), f"0e 08 at byte {START_DAT} where type"),
        (dat(*EVENTS_DAT, head=b"\x0c\x10"), f"0c 10 at byte {START_DAT} where type"),
        (HEADER_DAT, f"the end at byte {START_DAT} where type"),
        (dat(*EVENTS_DAT)[2:], "no known recording"),
        (dat(*EVENTS_DAT, (69_999, 0, 0, 0)), f"from 70000 to 69999 us at byte {START_DAT + 26};"),
        (dat(*EVENTS_DAT, (70_000, 640, 0, 0)), f"x=640, y=0 outside .* at byte {START_DAT + 26};"),
        (dat(*EVENTS_DAT, (70_000, 0, 480, 0)), f"x=0, y=480 outside .* at byte {START_DAT + 26};"),
        (dat(), "no events"),
    ],
)
def test_damaged_dat(tmp_path: Path, content: bytes, message: str) -> None:
    refused(written(tmp_path, "a.dat", content), message)


@pytest.mark.parametrize("encoding", ["evt2", "evt3", "dat"])
def test_same_events_as_expelliarmus(tmp_path: Path, encoding: str) -> None:
    wizard = pytest.importorskip("expelliarmus").Wizard
    rng = np.random.default_rng(5)
    print("seed 5")
    t = np.cumsum(rng.integers(0, 30, 500)).tolist()
    x, y, p = (rng.integers(0, most, 500).tolist() for most in (304, 240, 2))
    given = list(zip(t, x, y, p, strict=True))
    if encoding == "evt2":
        content = HEADER_EVT2 + words2(*(word for each in given for word in (high2(each[0]), event2(*each))))
    elif encoding == "dat":
        content = dat(*given)
    else:
        words = []
        for time, column, row, polarity in given:
            words += [0x8000 | time >> 12, 0x6000 | time & 0xFFF, row]
            vector = int(rng.integers(1, 1 << 12))
            words += [[0x2000 | polarity << 11 | column], [0x3000 | polarity << 11 | column, 0x4000 | vector]][
                vector & 1
            ]
            words += [0x5000 | vector & 0xFF] if vector & 3 == 1 else []
        content = HEADER_EVT3 + words3(*words)
    path = written(tmp_path, "a.dat" if encoding == "dat" else "a.raw", content)
    other = wizard(encoding=encoding).read(path)
    recording = read_recording(path)
    assert len(recording) >= 500
    if encoding == "evt3":
        # It adds 4096 us at each change of the upper time; the times are those of the words here.
        assert set(recording.t.tolist()) == set(t)
    else:
        np.testing.assert_array_equal(recording.t, other["t"])
    for name, values in (("x", recording.x), ("y", recording.y), ("p", recording.polarity)):
        np.testing.assert_array_equal(values, other[name])


# N-MNIST


def nmnist(*given: Event) -> bytes:
    return b"".join(struct.pack(">BBBH", x, y, p << 7 | t >> 16, t & 0xFFFF) for t, x, y, p in given)


EVENTS_NMNIST = [(0, 33, 0, 1), (0x12345, 0, 33, 0), (2**23 - 1, 5, 7, 1)]


def test_nmnist(tmp_path: Path) -> None:
    recording = read_recording(written(tmp_path, "00002.bin", nmnist(*EVENTS_NMNIST)))
    assert events(recording) == EVENTS_NMNIST
    assert (recording.width, recording.height) == (34, 34)


def test_nmnist_time_overflows(tmp_path: Path) -> None:
    given = [(8000, 1, 2, 1), (0, 0, 240, 0), (5, 3, 4, 0), (0, 0, 240, 0), (6, 5, 6, 1)]
    path = written(tmp_path, "00002.bin", nmnist(*given))
    assert events(read_recording(path)) == [(8000, 1, 2, 1), (8192 + 5, 3, 4, 0), (16384 + 6, 5, 6, 1)]


def test_same_events_as_tonic(tmp_path: Path) -> None:
    tonic = pytest.importorskip("tonic.io")
    rng = np.random.default_rng(6)
    print("seed 6")
    t = np.sort(rng.integers(0, 2**23, 500)).tolist()
    given = zip(t, *(rng.integers(0, most, 500).tolist() for most in (34, 34, 2)), strict=True)
    path = written(tmp_path, "a.bin", nmnist(*given))
    recording, other = read_recording(path), tonic.read_mnist_file(path, tonic.events_struct)
    for name, values in (("t", recording.t), ("x", recording.x), ("y", recording.y), ("p", recording.polarity)):
        np.testing.assert_array_equal(values, other[name])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (nmnist(*EVENTS_NMNIST)[:-2], "truncated: 3 of 5 bytes at byte 10"),
        (nmnist(*EVENTS_NMNIST[::-1]), "from 8388607 to 74565 us at byte 5;"),
        (nmnist((0, 1, 240, 0), (9, 1, 2, 0), (8, 1, 2, 0)), "from 8201 to 8200 us at byte 10;"),
        (nmnist(*EVENTS_NMNIST, (2**23 - 1, 34, 0, 0)), "x=34, y=0 outside the sensor of 34 x 34 pixels at byte 15;"),
        (nmnist((0, 0, 34, 0)), "x=0, y=34 outside .* at byte 0;"),
        (b"", "no events"),
    ],
)
def test_damaged_nmnist(tmp_path: Path, content: bytes, message: str) -> None:
    refused(written(tmp_path, "00002.bin", content), message)


def test_ncaltech101_needs_its_sensor(tmp_path: Path) -> None:
    path = written(tmp_path, "image_0001.bin", nmnist((0, 239, 179, 1)))
    assert events(read_recording(path, (240, 180))) == [(0, 239, 179, 1)]
    refused(path, "give the size of its sensor")


# HDF5

EVENTS_HDF5 = [(7, 639, 0, 1), (7, 0, 479, 0), (70_000, 5, 7, 1)]


def columns(given: list[Event]) -> dict[str, Any]:
    return dict(zip("txyp", np.array(given, np.int64).T, strict=True))


def datasets(path: Path, where: str, arrays: dict[str, Any], **attributes: Any) -> Path:
    with h5py.File(path, "w") as file:
        group = file.require_group(where)
        for name, values in arrays.items():
            group[name] = values
        file.attrs.update(attributes)
    return path


def structured(given: list[Event]) -> Any:
    table = np.zeros(len(given), [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    for name, values in columns(given).items():
        table[name] = values
    return table


@pytest.mark.parametrize("where", ["events", "/"])
def test_hdf5_datasets(tmp_path: Path, where: str) -> None:
    recording = read_recording(datasets(tmp_path / "a.h5", where, columns(EVENTS_HDF5), width=640, height=481))
    assert events(recording) == EVENTS_HDF5
    assert (recording.width, recording.height) == (640, 481)


@pytest.mark.parametrize("where", ["events", "CD/events"])
def test_hdf5_table(tmp_path: Path, where: str) -> None:
    path = datasets(tmp_path / "events.hdf5", "/", {where: structured(EVENTS_HDF5)}, geometry="1280x720")
    recording = read_recording(path)
    assert events(recording) == EVENTS_HDF5
    assert (recording.width, recording.height) == (1280, 720)


def test_hdf5_offset_of_time_and_negative_polarity(tmp_path: Path) -> None:
    given = [(t, x, y, p or -1) for t, x, y, p in EVENTS_HDF5]
    path = datasets(tmp_path / "a.h5", "events", columns(given))
    with h5py.File(path, "a") as file:
        file["t_offset"] = np.int64(10**9)
    recording = read_recording(path)
    assert events(recording) == [(t + 10**9, x, y, p) for t, x, y, p in EVENTS_HDF5]
    assert (recording.width, recording.height) == (640, 480)


def changed(**changes: Any) -> dict[str, Any]:
    merged = columns(EVENTS_HDF5) | changes
    return {name: values for name, values in merged.items() if values is not None}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (changed(p=None), "no events with t, x, y and p, but events at byte 0"),
        (changed(x=np.array([1, 2])), r"truncated: .*'x': 2.* at event 2"),
        (changed(t=np.array([0.1, 0.2, 0.3])), "t of type float64"),
        (changed(x=np.zeros((3, 1), int)), r"x of type int64 and shape \(3, 1\)"),
        (changed(t=np.array([3, 5, 4], np.uint32)), "from 5 to 4 us at event 2;"),
        (changed(t=np.array([3, 5, 2**63], np.uint64)), "backwards, from 5 to -9223372036854775808 us at event 2;"),
        (changed(x=np.array([0, 640, 0])), "x=640, y=479 outside the sensor of 640 x 480 pixels at event 1;"),
        (changed(y=np.array([0, 1, -1])), "x=5, y=-1 outside .* at event 2;"),
        (changed(p=np.array([0, 1, 2])), "polarity 2 at event 2"),
        ({name: np.empty(0, int) for name in "txyp"}, "no events"),
    ],
)
def test_wrong_hdf5(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    refused(datasets(tmp_path / "a.h5", "events", arrays, width=640, height=480), message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:200], "cannot be read as HDF5: .*truncated file"),
        (lambda content: content[:8] + b"\xff" * 400, "cannot be read as HDF5"),
        (lambda content: b"\x88" + content[1:], "no known recording: 88 48 44 46 .* at byte 0"),
    ],
)
def test_damaged_hdf5(tmp_path: Path, change: Callable[[bytes], bytes], message: str) -> None:
    path = datasets(tmp_path / "a.h5", "events", columns(EVENTS_HDF5))
    path.write_bytes(change(path.read_bytes()))
    refused(path, message)


# All formats


@pytest.mark.parametrize("library", ["aedat", "h5py"])
def test_missing_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    path = datasets(tmp_path / "a.h5", "events", columns(EVENTS_HDF5))
    if library == "aedat":
        path = written(tmp_path, "a.aedat4", HEADER4 + packet4(EVENTS4))
    monkeypatch.setitem(sys.modules, library, None)
    refused(path, rf"needs the library {library}; pip install 'opzo\[events\]'")


def test_content_counts_not_the_suffix(tmp_path: Path) -> None:
    assert events(read_recording(written(tmp_path, "a.bin", HEADER3 + packet3(EVENTS)))) == EVENTS
    assert events(read_recording(written(tmp_path, "a.aedat", dat(*EVENTS_DAT)))) == EVENTS_DAT
    refused(written(tmp_path, "a.txt", nmnist(*EVENTS_NMNIST)), "no known recording")


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.raw", tmp_path):
        refused(path, "cannot read")
