"""Recordings in HDF5: datasets, tables, links, plugins, and damaged files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hdf5_files import EVENTS_HDF5, columns, datasets, structured
from recorded import events, refused

from opzo.host.data.recordings.readers import read_recording


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
