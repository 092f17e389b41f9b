"""Recordings of event cameras: files written byte by byte in the real formats, whole and damaged."""

import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hdf5_files import EVENTS_HDF5, columns, datasets
from recorded import EVENTS_DAT, Event, dat, events, refused, written
from tonic.io import events_struct, read_mnist_file

from opzo.host.data.recordings.readers import OTHERS, read_recording
from opzo.host.data.recordings.unpacked import LZ4_MAGIC, ZSTANDARD_MAGIC, unpacked_bound

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
    )
    recording = read_recording(written(tmp_path, "user01.aedat", content))
    assert events(recording) == EVENTS
    content = HEADER3 + packet3([(2**31 - 9, 1, 2, 1)]) + packet3([(7, 1, 2, 0)], overflow=1)
    assert read_recording(written(tmp_path, "wrap.aedat", content)).t.tolist() == [2**31 - 9, 2**31 + 7]
    assert (recording.width, recording.height) == (128, 128)


def test_aedat3_of_other_cameras(tmp_path: Path) -> None:
    for camera, size in ((b"DAVIS240C", (240, 180)), (b"Davis346B", (346, 260))):
        path = written(tmp_path, "a.aedat", HEADER3.replace(b"DVS128", camera) + packet3(EVENTS))
        assert (read_recording(path).width, read_recording(path).height) == size
    path = written(tmp_path, "a.aedat", HEADER3.replace(b"DVS128", b"Mine") + packet3(EVENTS))
    refused(path, r"does not give the sensor size, .* --sensor WxH \(the events need at least 128x128\)")
    looked = read_recording(path, look=True)
    assert (looked.width, looked.height, looked.named) == (128, 128, False)
    assert read_recording(path, (300, 200)).width == 300


def test_aedat3_of_two_cameras(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    header = HEADER3.replace(b"#Source 1: DVS128\r\n", b"#Source 1: DVS128\r\n#Source 2: DAVIS240C\r\n")
    path = written(tmp_path, "a.aedat", header + packet3(EVENTS, source=2) + packet3(EVENTS[:2]))
    assert events(read_recording(path)) == EVENTS[:2]
    assert "events of 2 cameras (1, 2); reading 1; choose another with --camera" in caplog.text
    caplog.clear()
    other = read_recording(path, camera="2")
    assert (events(other), other.width, other.height) == (EVENTS, 240, 180)
    assert not caplog.text
    refused(path, "there is no camera '3' with events; choose 1, 2", camera="3")


START3 = len(HEADER3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER3 + packet3(EVENTS)[:-3], f"truncated: 21 of 24 bytes at byte {START3 + 28}"),
        (HEADER3 + packet3(EVENTS) + packet3(EVENTS)[:27], f"truncated: 27 of 28 bytes at byte {START3 + 52}"),
        (HEADER3.replace(b"3.1", b"2.0") + packet3(EVENTS), "unknown format: 23 21 41 .* at byte 0"),
        (HEADER3[:-2] + packet3(EVENTS), "no line #!END-HEADER after byte 0"),
        (HEADER3.replace(b"RAW", b"Serial-TS") + packet3(EVENTS), r"format Serial\S* in the header at byte 14"),
        (HEADER3 + b"\xff" * 60, f"invalid packet header at byte {START3}"),
        (HEADER3 + packet3(EVENTS) + b"\x01" + bytes(40), f"invalid packet header at byte {START3 + 52}"),
        (
            HEADER3 + packet3([*EVENTS, (999, 3, 128, 0)]),
            f"x=3, y=128 outside .* 128 x 128 pixels at byte {START3 + 52};",
        ),
        (HEADER3 + packet3([(1, 128, 0, 0)]), f"x=128, y=0 outside .* at byte {START3 + 28};"),
        (HEADER3, "no events"),
        (b"", "unknown format: nothing at byte 0"),
    ],
)
def test_damaged_aedat3(tmp_path: Path, content: bytes, message: str) -> None:
    refused(written(tmp_path, "a.aedat", content), message)


# AEDAT 4: flatbuffers, not compressed.


def header4(
    *, table: int = -1, kind: str = "EVTS", compression: int = 0, size: tuple[int, int] = (346, 260), streams: int = 1
) -> bytes:
    nodes = "".join(
        f'<node name="{number}" path="/o/{number}/"><attr key="compression" type="string">NONE</attr>'
        f'<attr key="typeIdentifier" type="string">{kind}</attr><node name="info" path="/o/{number}/info/">'
        f'<attr key="sizeX" type="int">{size[0]}</attr><attr key="sizeY" type="int">{size[1]}</attr></node></node>'
        for number in range(streams)
    )
    info = f'<dv version="2.0"><node name="outInfo" path="/o/">{nodes}</node></dv>'.encode()
    # Root at 20, fields laid out at 8: compression at 4, table at 12, info at 8 of the root.
    body = struct.pack("<I4s5H2xiiiq", 20, b"IOHE", 10, 20, 4, 12, 8, 12, compression, 12, table)
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


def test_aedat4_of_two_cameras(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = header4(streams=3) + packet4(EVENTS4[:1], stream=1) + packet4(EVENTS4, stream=2)
    path = written(tmp_path, "a.aedat4", content)
    assert events(read_recording(path)) == EVENTS4[:1]
    assert "events of 2 cameras (1, 2); reading 1; choose another with --camera" in caplog.text
    assert events(read_recording(path, camera="2")) == EVENTS4
    refused(path, "no camera '0' with events; choose 1, 2", camera="0")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header4(size=(0, 0)) + packet4(EVENTS4), "does not give the sensor size"),
        (HEADER4 + packet4(EVENTS4)[:-1], f"truncated: 83 of 84 bytes at byte {START4 + 8}"),
        (HEADER4 + packet4(EVENTS4)[:5], f"truncated: 5 of 8 bytes at byte {START4}"),
        (HEADER4[:60], "no complete header of AEDAT 4 at byte 14"),
        (HEADER4.replace(b"IOHE", b"OOPS") + packet4(EVENTS4), "no complete header of AEDAT 4 at byte 14"),
        (HEADER4.replace(b"4.0", b"5.0") + packet4(EVENTS4), "unknown format: .* at byte 0"),
        (header4(table=9999) + packet4(EVENTS4), "truncated: the packet table is expected at byte 9999"),
        (header4(kind="FRME"), "no stream of events in the header at byte 14"),
        # The library aborts its process.
        (HEADER4.replace(b"><attr", b"><at\xcbr") + packet4(EVENTS4), "no complete header of AEDAT 4"),
        (HEADER4 + packet4(EVENTS4).replace(b"EVTS", b"OOPS"), "damaged"),
        (HEADER4.replace(b"</dv>", b"<dv/>") + packet4(EVENTS4), "damaged"),
        # The library quotes the character.
        (HEADER4.replace(b"<dv version", b"<dv\0version") + packet4(EVENTS4), r"damaged, .*\\x00"),
        (HEADER4 + packet4(EVENTS4) + packet4([(2**60, 346, 0, 0)]), "x=346, y=0 outside .* 346 x 260 .* event 3;"),
        (HEADER4, "no events"),
    ],
)
def test_damaged_aedat4(tmp_path: Path, content: bytes, message: str) -> None:
    refused(written(tmp_path, "a.aedat4", content), message)


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
    rng = np.random.default_rng(6)
    print("seed 6")
    t = np.sort(rng.integers(0, 2**23, 500)).tolist()
    given = zip(t, *(rng.integers(0, most, 500).tolist() for most in (34, 34, 2)), strict=True)
    path = written(tmp_path, "a.bin", nmnist(*given))
    recording, other = read_recording(path), read_mnist_file(path, events_struct)
    for name, values in (("t", recording.t), ("x", recording.x), ("y", recording.y), ("p", recording.polarity)):
        np.testing.assert_array_equal(values, other[name])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (nmnist(*EVENTS_NMNIST)[:-2], "truncated: 3 of 5 bytes at byte 10"),
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
    refused(path, "give the correct sensor size")


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
    refused(written(tmp_path, "a.txt", nmnist(*EVENTS_NMNIST)), "unknown format")


def test_more_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = struct.pack("<4H", 0x8001, 0x6005, 0x0001, 0x3000) + b"\xff\x4f" * 50_000
    raw = written(tmp_path, "a.raw", b"% evt 3.0\n% geometry 1280x720\n% end\n" + vectors)
    path = written(tmp_path, "a.bin", nmnist(*EVENTS_NMNIST) * 1000)
    for room, file in ((25_000_000, raw), (100_000, path)):
        monkeypatch.setattr("opzo.system.bounds.free_memory", lambda room=room: room)
        refused(file, "of memory, but only .* are available")


def test_packets_that_unpack_to_more_than_memory(tmp_path: Path) -> None:
    # A frame of Zstandard with a window of 8 MiB and blocks that repeat a byte 2**20 times.
    many = 1 << 15
    head = ZSTANDARD_MAGIC + bytes([0, 13 << 3])
    block = ((1 << 20) << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    last = (1 << 3 | 1).to_bytes(3, "little") + b"\0"
    frame = head + block * many + last
    assert unpacked_bound(frame) == (many << 20) + 1
    packet = struct.pack("<iI", 0, len(frame)) + frame
    content = header4(compression=3) + packet
    path = written(tmp_path, "a.aedat4", content)
    refused(path, rf"the packet at byte {len(content) - len(frame)} needs 68.7 GB of memory")
    declared = ZSTANDARD_MAGIC + bytes([3 << 6]) + bytes([0]) + (1 << 40).to_bytes(8, "little")
    assert [unpacked_bound(part) for part in (declared, LZ4_MAGIC + bytes(96), b"EVTS")] == [1 << 40, 25500, 4]


def test_devices_and_pipes_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.raw")
    for path in (tmp_path / "a.raw", Path("/dev/zero")):
        refused(path, "it is a device or a pipe, not a file; give a file")


def test_what_else_is_taken_for_a_recording_is_named(tmp_path: Path) -> None:
    for begin, words in OTHERS.items():
        refused(written(tmp_path, "a.raw", begin + bytes(20)), f"unknown format: .*{words}")


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.raw", tmp_path):
        refused(path, "cannot read")
