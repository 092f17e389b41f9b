"""Recordings of event cameras: files written byte by byte in the real formats, whole and damaged."""

import os
import struct
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
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
    recording = read_recording(path, (640, 480))
    assert events(recording) == [(t + 10**9, x, y, p) for t, x, y, p in EVENTS_HDF5]
    refused(path, "does not give the sensor size")


def test_hdf5_of_two_cameras(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = datasets(tmp_path / "a.h5", "prophesee/left", columns(EVENTS_HDF5[:2]), width=640, height=480)
    with h5py.File(path, "a") as file:
        for name, values in columns(EVENTS_HDF5).items():
            file[f"prophesee/right/{name}"] = values
        file["other"] = np.arange(5)
        file["prophesee/up"] = h5py.SoftLink("/prophesee")  # A circle.
    assert events(read_recording(path)) == EVENTS_HDF5[:2]
    assert "events of 2 cameras (prophesee/left, prophesee/right); reading prophesee/left; choose" in caplog.text
    assert events(read_recording(path, camera="/prophesee/right/")) == EVENTS_HDF5
    refused(path, "no camera 'right' with events; choose prophesee/left, prophesee/right", camera="right")


def test_hdf5_follows_links_only_inside_the_file(tmp_path: Path) -> None:
    other = datasets(tmp_path / "other.h5", "events", columns(EVENTS_HDF5), width=640, height=480)
    inside = datasets(tmp_path / "inside.h5", "real", columns(EVENTS_HDF5), width=640, height=480)
    with h5py.File(inside, "a") as file:
        file["events"] = h5py.SoftLink("/real")
    assert events(read_recording(inside)) == EVENTS_HDF5
    for name, links in {
        "group": {"events": h5py.ExternalLink(str(other), "/events")},
        "field": {"events/t": h5py.ExternalLink(str(other), "/events/t")},
        "behind": {"away": h5py.ExternalLink(str(other), "/"), "events": h5py.SoftLink("/away/events")},
        "offset": {"t_offset": h5py.ExternalLink(str(other), "/events/t")},
        "circle": {"events": h5py.SoftLink("/events")},
    }.items():
        path = datasets(tmp_path / f"{name}.h5", "events" if name in ("field", "offset") else "x", columns(EVENTS_HDF5))
        with h5py.File(path, "a") as file:
            for where, link in links.items():
                if where in file:
                    del file[where]
                file[where] = link
        refused(path, r"is a link to another file, which is not followed; store", (640, 480))


def test_hdf5_keeps_its_values_itself(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(24))
    for name in ("external", "virtual"):
        path = datasets(tmp_path / f"{name}.h5", "events", columns(EVENTS_HDF5), width=640, height=480)
        with h5py.File(path, "a") as file:
            del file["events/t"]
            if name == "external":
                file.create_dataset("events/t", (3,), np.int64, external=[(str(secret), 0, 24)])
            else:
                layout = h5py.VirtualLayout((3,), np.int64)
                layout[:] = h5py.VirtualSource(str(tmp_path / "external.h5"), "events/x", (3,))
                file.create_virtual_dataset("events/t", layout)
        refused(path, "the values of t are in other files, which are not read")


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"shape": (1 << 44,), "chunks": (1024,)}, "GB of memory"),
        ({"shape": (3,), "maxshape": (None,), "chunks": (1 << 28,)}, "a chunk of t needs .* GB of memory"),
    ],
)
def test_hdf5_that_declares_more_than_memory(
    tmp_path: Path, declared: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opzo.system.bounds.free_memory", lambda: 2**31)
    path = datasets(tmp_path / "a.h5", "events", columns(EVENTS_HDF5), width=640, height=480)
    with h5py.File(path, "a") as file:
        del file["events/t"]
        file.create_dataset("events/t", dtype=np.int64, compression="gzip", **declared)
    assert path.stat().st_size < 100_000
    refused(path, message)


def compressed(path: Path, number: int) -> Path:
    """Values marked as compressed by a registered filter, which no library knows."""
    with h5py.File(path, "w") as file:
        file.create_group("events")
        for name in "txyp":
            how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            how.set_chunk((9,))
            how.set_filter(number, h5py.h5z.FLAG_OPTIONAL, ())
            kind, space = h5py.h5t.py_create(np.dtype("u4")), h5py.h5s.create_simple((9,))
            made = h5py.h5d.create(file["events"].id, name.encode(), kind, space, how)
            h5py.Dataset(made).id.write_direct_chunk((0,), bytes(36), filter_mask=0)
    return path


def test_hdf5_with_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(compressed(tmp_path / "a.h5", 400), "t is compressed with filter 400; to read it: pip install hdf5plugin")
    filters = pytest.importorskip("hdf5plugin")
    path = tmp_path / "blosc.h5"
    with h5py.File(path, "w") as file:
        for name, values in columns(EVENTS_HDF5).items():
            file.create_dataset(f"events/{name}", data=values, chunks=(2,), **filters.Blosc(cname="zstd"))
    assert events(read_recording(path, (640, 480))) == EVENTS_HDF5


def test_two_sizes_in_the_attributes(tmp_path: Path) -> None:
    given = {"width": 640, "height": 480, "geometry": "640x481"}
    refused(datasets(tmp_path / "a.h5", "events", columns(EVENTS_HDF5), **given), "two sensor sizes")
    path = datasets(tmp_path / "b.h5", "events", columns(EVENTS_HDF5), geometry=b"640x480")
    assert read_recording(path).height == 480


@pytest.mark.parametrize(
    "offset", [np.uint64(2**64 - 1), np.int64(-(2**62)), np.float64(3), np.arange(3), np.bytes_("3")]
)
def test_hdf5_with_a_wrong_offset(tmp_path: Path, offset: object) -> None:
    path = datasets(tmp_path / "a.h5", "events", columns(EVENTS_HDF5), width=640, height=480)
    with h5py.File(path, "a") as file:
        file["t_offset"] = offset
    refused(path, "t_offset (of -?[0-9]+ us|is not a whole number of microseconds);")


def changed(**changes: Any) -> dict[str, Any]:
    merged = columns(EVENTS_HDF5) | changes
    return {name: values for name, values in merged.items() if values is not None}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (changed(p=None), r"no events with t, x, y and p \(the root has events\)"),
        (changed(x=np.array([1, 2])), r"truncated: .*'x': 2.* at event 2"),
        (changed(t=np.array([0.1, 0.2, 0.3])), "t has type float64"),
        (changed(x=np.zeros((3, 1), int)), r"x has type int64 and shape \(3, 1\)"),
        (changed(t=np.array([3, 5, 2**63], np.uint64)), "time -9223372036854775808 us at event 2;"),
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
        (lambda content: b"\x88" + content[1:], "unknown format: 88 48 44 46 .* at byte 0"),
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
    refused(written(tmp_path, "a.txt", nmnist(*EVENTS_NMNIST)), "unknown format")


def test_more_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = struct.pack("<4H", 0x8001, 0x6005, 0x0001, 0x3000) + b"\xff\x4f" * 50_000
    raw = written(tmp_path, "a.raw", b"% evt 3.0\n% geometry 1280x720\n% end\n" + vectors)
    path = written(tmp_path, "a.bin", nmnist(*EVENTS_NMNIST) * 1000)
    for room, file in ((25_000_000, raw), (100_000, path)):
        monkeypatch.setattr("opzo.system.bounds.free_memory", lambda room=room: room)
        refused(file, "of memory, and .* can be used for it")


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
