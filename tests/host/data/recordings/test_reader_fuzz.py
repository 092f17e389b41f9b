"""Every reader of files of events on damaged files: figures or one line that says what is wrong, in little time."""

import faulthandler
import logging
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import pytest
from hdf5_files import EVENTS_HDF5, columns, structured
from mutated import mutated
from recorded import EVENTS_DAT, dat, written
from test_prophesee import BEGIN3, EVT2, HEADER_EVT2, HEADER_EVT3, words2, words3
from test_recordings import (
    EVENTS,
    EVENTS4,
    EVENTS_NMNIST,
    HEADER3,
    HEADER4,
    nmnist,
    packet3,
    packet4,
)

from opzo.host.data.events.binning import Binning
from opzo.host.data.events.event_files import load_events, save_events
from opzo.host.data.events.event_sample import EventSample
from opzo.host.data.events.event_samples import Events
from opzo.host.data.events.gesture import read_gestures
from opzo.host.data.events.recorded_data_sets import _read_gesture_copy
from opzo.host.data.recordings.lists import recordings_of_list
from opzo.host.data.recordings.readers import read_recording
from opzo.spec.errors import OpzoError
from opzo.system import probe

SEED = 22
SECONDS = 20
"""The machine of a test may be busy."""


def use(path: Path) -> None:
    recording = read_recording(path, look=True)
    if recording.named and max(recording.width, recording.height) < 1 << 7:
        Binning(10).sample(recording)


def hdf5(**options: object) -> bytes:
    file = BytesIO()
    with h5py.File(file, "w") as content:
        for name, values in columns(EVENTS_HDF5).items():
            content.create_dataset(f"events/{name}", data=values, **options)
        content.attrs.update(width=640, height=480)
    return file.getvalue()


def table() -> bytes:
    file = BytesIO()
    with h5py.File(file, "w") as content:
        content["CD/events"] = structured(EVENTS_HDF5)
        content.attrs["geometry"] = "640x480"
    return file.getvalue()


def array() -> bytes:
    file = BytesIO()
    np.save(file, np.array([[127, 0, 1, 1], [0, 127, 0, 2], [64, 64, 1, 40]], float))
    return file.getvalue()


def event_file(folder: Path) -> bytes:
    sample = EventSample(np.array([3, 5], np.uint16), np.array([0, 1, 2]), np.array([1, 2], np.uint8), 1)
    events = Events.of([sample, sample], (2, 2, 2))
    save_events(folder / "seed.npz", events, events, "by hand")
    return (folder / "seed.npz").read_bytes()


EVT3 = words3(*BEGIN3, 0x2805, 0x3064, 0x4801, 0x5F81, 0x8002, 0x6001, 0x2001)
LIST, GESTURES = b"\xef\xbb\xbffile,label\r\na.dat,0\r\nb.dat,1,test\r\n", b"class,startTime_usec,endTime_usec\n1,5,9\n"
READERS: dict[str, tuple[bytes, Callable[[Path], object]]] = {
    "a.aedat": (HEADER3 + packet3(EVENTS) + packet3(EVENTS, kind=0) + packet3(EVENTS, source=2), use),
    "a.aedat4": (HEADER4 + packet4(EVENTS4[:1]) + packet4(EVENTS4[1:]), use),
    "evt2.raw": (HEADER_EVT2 + words2(*EVT2), use),
    "evt3.raw": (HEADER_EVT3 + EVT3, use),
    "a.dat": (dat(*EVENTS_DAT), use),
    "a.bin": (nmnist(*EVENTS_NMNIST, (9, 1, 240, 0)), use),
    "a.h5": (hdf5(), use),
    "packed.h5": (hdf5(chunks=(2,), compression="gzip", shuffle=True), use),
    "table.hdf5": (table(), use),
    "a.npy": (array(), _read_gesture_copy),
    "list.csv": (LIST, recordings_of_list),
    "a_labels.csv": (GESTURES, read_gestures),
    "a.npz": (b"", load_events),
}


@pytest.fixture(autouse=True)
def _strict(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Warnings of NumPy are errors, what is logged is of no interest, and no file takes long."""

    def late(*_: object) -> None:
        raise TimeoutError("no end")

    monkeypatch.setattr(probe, "SECONDS", 2)
    logging.disable(logging.CRITICAL)
    before = signal.signal(signal.SIGALRM, late)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield
    signal.signal(signal.SIGALRM, before)
    logging.disable(logging.NOTSET)


def all_end(folder: Path, name: str, count: int, seed: int) -> None:
    content, read = READERS[name]
    for what, changed in mutated(content or event_file(folder), count, seed):
        path = written(folder, name, changed)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            read(path)
        except OpzoError as error:
            assert str(path) in str(error)  # noqa: PT017
        except BaseException as error:
            raise AssertionError(f"{name}, seed {seed}, {what}: {changed.hex()}") from error
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.mark.parametrize("name", READERS)
def test_good_files_are_read(name: str, tmp_path: Path) -> None:
    for other in ("a.dat", "b.dat"):
        written(tmp_path, other, b"x")
    content, read = READERS[name]
    if name == "list.csv":
        content = content.replace(b",test", b"")
    read(written(tmp_path, name, content or event_file(tmp_path)))


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_end_in_one_line(name: str, tmp_path: Path) -> None:
    all_end(tmp_path, name, 60 if name.endswith(("h5", "hdf5")) else 300, SEED)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", READERS)
def test_many_damaged_files_end_in_one_line(name: str, seed: int, tmp_path: Path) -> None:
    all_end(tmp_path, name, 3000, seed)


def test_work_without_an_end_is_ended() -> None:
    def circle() -> None:
        while True:
            pass

    begin = time.monotonic()
    with pytest.raises(OpzoError, match="x: reading it takes more than 2 s; the file is damaged"):
        probe.probe("x", 0, circle)
    assert time.monotonic() - begin < SECONDS


def test_crash_is_told_and_exceptions_are_left_for_later() -> None:
    def crash() -> None:
        # pytest's, which would print the stack in the middle of the tests' output.
        faulthandler.disable()
        signal.raise_signal(signal.SIGSEGV)

    with pytest.raises(OpzoError, match="x: reading it ends in SIGSEGV; the file is damaged"):
        probe.probe("x", 0, crash)
    probe.probe("x", 0, lambda: 1 / 0)
