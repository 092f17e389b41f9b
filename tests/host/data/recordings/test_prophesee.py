"""Recordings of Prophesee's cameras: files written byte by byte in the real formats, whole and damaged."""

import struct
from pathlib import Path

import numpy as np
import pytest
from expelliarmus import Wizard
from recorded import EVENTS_DAT, HEADER_DAT, START_DAT, dat, events, refused, written

from opzo.host.data.recordings.readers import read_recording

# RAW


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
    refused(path, "does not give the sensor size")
    assert read_recording(path, (1280, 720)).width == 1280
    refused(path, "x=639, y=0 outside the sensor of 320 x 480 pixels at byte 20;", (320, 480))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER_EVT2 + words2(*EVT2)[:-1], f"truncated: 3 of 4 bytes at byte {START_EVT2 + 16}"),
        (HEADER_EVT2.replace(b"evt 2.0", b"evt 2.1") + words2(*EVT2), "EVT 2.1 in the header at byte 27"),
        (HEADER_EVT2.replace(b"% evt 2.0\n", b"") + words2(*EVT2), f"header before byte {START_EVT2 - 10}"),
        (HEADER_EVT2.replace(b"% end", b"% endianness big\n% end") + words2(*EVT2), "big-endian"),
        (words2(*EVT2), "unknown format: 25 00 00 80 .* at byte 0"),
        (HEADER_EVT2 + words2(EVT2[0], 0x3 << 28), f"type 0x3 at byte {START_EVT2 + 4} is not a type of EVT 2.0"),
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
    refused(path, "the sensor has 640 x 480 pixels, not the given 1280 x 720", (1280, 720))


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
        (HEADER_EVT3.replace(b"3.0", b"4.0") + words3(*BEGIN3, 0x2805), "EVT 4 and 3 in the header before byte"),
        (b"% evt 4.0\n% end\n" + words3(*BEGIN3, 0x2805), "EVT 4.0 in the header at byte 0"),
        (HEADER_EVT3.replace(b"% end", b"% geometry 640x480\n% end") + words3(*BEGIN3, 0x2805), "640 x 480 and 1280 x"),
        (HEADER_EVT3 + words3(*BEGIN3, 0x2805, 0x9000), f"type 0x9 at byte {START_EVT3 + 8} is not a type of EVT 3.0"),
        (HEADER_EVT3 + words3(*BEGIN3, 0x2805, 0x2D00), f"x=1280, y=719 .* at byte {START_EVT3 + 8};"),
        (HEADER_EVT3 + words3(*BEGIN3, 0x3CFF, 0x4002), f"x=1280, y=719 .* at byte {START_EVT3 + 8};"),
        (HEADER_EVT3 + words3(*BEGIN3, 0x02D0, 0x2805), f"x=5, y=720 .* at byte {START_EVT3 + 8};"),
        (HEADER_EVT3 + words3(*BEGIN3, 0x4001), "no events"),
    ],
)
def test_damaged_evt3(tmp_path: Path, content: bytes, message: str) -> None:
    refused(written(tmp_path, "a.raw", content), message)


# DAT


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
        (dat(*EVENTS_DAT).replace(b"Version 2", b"Version 3"), "DAT version 3 in the header at byte 34"),
        (dat(*EVENTS_DAT).replace(b"% Version 2", b"% Version 1\n% Version 2"), "DAT version 1 and 2 in the header"),
        (
            dat(*EVENTS_DAT).replace(b"Version 2", b"Vers"),
            f"address 0x1000027f at byte {START_DAT - 5 + 2} is invalid in a DAT",
        ),
        (dat(*EVENTS_DAT, head=b"\x0e\x08"), f"0e 08 at byte {START_DAT}, expected the type"),
        (dat(*EVENTS_DAT, head=b"\x0c\x10"), f"0c 10 at byte {START_DAT}, expected the type"),
        (HEADER_DAT, f"end of file at byte {START_DAT}, expected the type"),
        (dat(*EVENTS_DAT)[2:], "unknown format"),
        (dat(*EVENTS_DAT, (70_000, 640, 0, 0)), f"x=640, y=0 outside .* at byte {START_DAT + 26};"),
        (dat(*EVENTS_DAT, (70_000, 0, 480, 0)), f"x=0, y=480 outside .* at byte {START_DAT + 26};"),
        (dat(), "no events"),
    ],
)
def test_damaged_dat(tmp_path: Path, content: bytes, message: str) -> None:
    refused(written(tmp_path, "a.dat", content), message)


@pytest.mark.parametrize("version", [b"", b"% Version 1\n", b"% Version 0\r\n"])
def test_dat_of_before_version_2(tmp_path: Path, version: bytes) -> None:
    given = [(5, 303, 0, 1), (6, 0, 239, 0), (7, 303, 239, 1)]
    content = b"".join(struct.pack("<II", t, p << 17 | y << 9 | x) for t, x, y, p in given)
    path = written(tmp_path, "a.dat", b"% Data file containing TD events.\n" + version + b"\0\x08" + content)
    assert events(read_recording(path, (304, 240))) == given
    refused(path, "does not give the sensor size")


@pytest.mark.parametrize(
    "line", ["% Ort Z\xfcrich".encode("latin-1"), "% Ort Zürich, 東京".encode(), b"% a line\tof text", b"%", b"% "]
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_headers_as_other_systems_write_them(tmp_path: Path, line: bytes, mark: bytes, end: bytes) -> None:
    raw = (b"% evt 2.0\n" + line + b"\n% geometry 640x480\n% end\n").replace(b"\n", end)
    assert events(read_recording(written(tmp_path, "a.raw", mark + raw + words2(*EVT2)))) == EVENTS2
    header = (line + b"\n" + HEADER_DAT).replace(b"\n", end)
    path = written(tmp_path, "a.dat", mark + header + dat(*EVENTS_DAT)[START_DAT:])
    assert events(read_recording(path)) == EVENTS_DAT


@pytest.mark.parametrize("encoding", ["evt2", "evt3", "dat"])
def test_same_events_as_expelliarmus(tmp_path: Path, encoding: str) -> None:
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
    other = Wizard(encoding=encoding).read(path)
    recording = read_recording(path)
    assert len(recording) >= 500
    if encoding == "evt3":
        # It adds 4096 us at each change of the upper time; the times are those of the words here.
        assert set(recording.t.tolist()) == set(t)
    else:
        np.testing.assert_array_equal(recording.t, other["t"])
    for name, values in (("x", recording.x), ("y", recording.y), ("p", recording.polarity)):
        np.testing.assert_array_equal(values, other[name])
