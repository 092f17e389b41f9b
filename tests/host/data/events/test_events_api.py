"""Events made, cut and stored by users of the Python API."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tonic

import opzo
from opzo.host.data.events.event_files import load_events
from opzo.host.data.npz_data_set import load_npz
from opzo.spec.errors import OpzoError

RNG = np.random.default_rng(0)
SPIKES = RNG.random((5, 4, 2, 3, 3)) < 0.3
Y = np.array([0, 1, 2, 1, 0])


def dense(events: opzo.Events) -> np.ndarray:
    return events.dense(np.arange(len(events))).reshape(len(events), events.steps, *events.shape)


def test_frames_of_spikes_become_events() -> None:
    events = opzo.Events.from_frames(SPIKES, Y, names=["left", "right", "still"])
    assert (events.shape, events.steps, events.y.tolist()) == ((2, 3, 3), 4, Y.tolist())
    assert (events.graded, events.labelled, events.names) == (False, True, ("left", "right", "still"))
    np.testing.assert_array_equal(dense(events), SPIKES)
    flat = opzo.Events.from_frames(SPIKES.reshape(5, 4, 18).astype(float))
    assert (flat.shape, flat.labelled) == ((1, 1, 18), False)
    np.testing.assert_array_equal(flat.addresses, events.addresses)
    counts = SPIKES * RNG.integers(1, 256, SPIKES.shape)
    graded = opzo.Events.from_frames(counts, Y, graded=True)
    assert graded.graded
    np.testing.assert_array_equal(dense(graded), counts)
    for bad, message in (
        (counts, r"whole numbers from 0 to 1, .*give \(x > 0\) for spikes, or keep counts with graded"),
        (SPIKES[0], r"spikes has shape \(4, 2, 3, 3\)"),
        (SPIKES * 0.5, "whole numbers"),
        (np.zeros((5, 4, 6, 6, 2)), r"looks channel-last; events are .*: numpy.moveaxis\(x, -1, 2\)"),
    ):
        with pytest.raises(OpzoError, match=message):
            opzo.Events.from_frames(bad, Y[: len(bad)])


def test_some_of_the_samples_are_events_again() -> None:
    counts = SPIKES * RNG.integers(1, 256, SPIKES.shape)
    events = opzo.Events.from_frames(counts, Y, graded=True)
    for index in (slice(1, 3), slice(None, None, -1), [4, 0, 4], np.array([True, False, True, False, False]), [2]):
        some = events[index]
        np.testing.assert_array_equal(dense(some), counts[index])
        assert some.y.tolist() == Y[index].tolist()
    assert events[3].label == 1
    frames = opzo.Frames.of(RNG.integers(0, 255, (5, 3, 3)), Y)
    data = opzo.Data("digits", frames, frames)
    some = data.train[[3, 1]]
    assert (some.x == frames.x[[3, 1]]).all()
    assert (some.y.tolist(), some.shape, some.data_set) == ([1, 1], (1, 3, 3), "digits")
    with pytest.raises(OpzoError, match=r"frames\[2\] is one image; write frames\[n : n \+ 1\]"):
        frames[2]  # type: ignore[call-overload]


def tonic_recordings(count: int = 4, sensor: tuple[int, int] = (6, 5)) -> list[np.ndarray]:
    recordings = []
    for _ in range(count):
        events = 50
        t = np.sort(RNG.integers(0, 10_000, events))
        x, y = (RNG.integers(0, side, events) for side in sensor)
        recordings.append(tonic.io.make_structured_array(x, y, t, RNG.integers(0, 2, events)))
    return recordings


def test_recordings_of_tonic_become_the_frames_of_tonic() -> None:
    recordings, sensor = tonic_recordings(), (6, 5, 2)
    events = opzo.Events.from_recordings(recordings, [0, 1, 0, 1], sensor=sensor, steps=10, bin_us=1000, graded=True)
    assert (events.shape, events.steps, len(events), events.labelled) == ((2, 5, 6), 10, 4, True)
    to_frames = tonic.transforms.ToFrame(sensor_size=sensor, time_window=1000, include_incomplete=True)
    for frames, recording in zip(dense(events), recordings, strict=True):
        expected = np.zeros_like(frames)
        counts = to_frames(recording)[:10]
        expected[: len(counts)] = counts
        np.testing.assert_array_equal(frames, expected)
    spikes = opzo.Events.from_recordings(recordings, sensor=sensor, steps=10, bin_us=1000)
    assert not spikes.labelled
    np.testing.assert_array_equal(dense(spikes), dense(events) > 0)


def test_a_file_read_by_tonic_is_binned(tmp_path: Path) -> None:
    path = tmp_path / "00001.bin"
    rows = [(1, 2, 0, 100), (33, 33, 1, 3500), (5, 6, 1, 9_000)]
    path.write_bytes(b"".join(bytes((x, y)) + (p << 23 | t).to_bytes(3, "big") for x, y, p, t in rows))
    recording = tonic.io.read_mnist_file(str(path), dtype=tonic.datasets.NMNIST.dtype)
    events = opzo.Events.from_recordings([recording], [7], sensor=tonic.datasets.NMNIST.sensor_size, steps=3)
    expected = [[2 * 34 + 1], [(34 + 33) * 34 + 33], [(34 + 6) * 34 + 5]]
    assert [part.tolist() for part in np.split(events.addresses, events.offsets[0, 1:-1])] == expected
    assert events.y.tolist() == [7]


def test_recordings_come_in_other_forms_too() -> None:
    arrays = tonic_recordings(1)[0]
    expected = opzo.Events.from_recordings([arrays], sensor=(6, 5), steps=4)
    columns = {name: arrays[name] for name in "xytp"}
    others: list[Any] = [columns, SimpleNamespace(**columns)]
    others.append({"x": arrays["x"], "y": arrays["y"], "timestamp": arrays["t"], "polarity": arrays["p"] > 0})
    for other in others:
        events = opzo.Events.from_recordings([other], sensor=(6, 5), steps=4)
        np.testing.assert_array_equal(events.addresses, expected.addresses)
        np.testing.assert_array_equal(events.offsets, expected.offsets)
    # Spoken digits have a row of channels and no y.
    row = {name: columns[name] for name in "xtp"}
    assert opzo.Events.from_recordings([row], sensor=(6, 1, 1), steps=4).shape == (2, 1, 6)
    halves = opzo.Events.from_recordings([arrays], sensor=(6, 5), steps=2, split="number", reduce=2)
    assert halves.shape == (2, 3, 3)


def test_bad_recordings_are_refused() -> None:
    good = {"x": [1, 2], "y": [0, 1], "t": [5, 9], "p": [0, 1]}
    many: Any
    for many, options, message in (
        ([], {}, "recordings is empty"),
        (good, {}, "recordings are one dict; give a list"),
        (tonic_recordings()[0], {}, "recordings are one ndarray"),
        ([{**good, "t": [0.1, 0.2]}], {}, "recording 0 has t of type float64 .*in microseconds"),
        ([good, {**good, "p": [0]}], {}, r"recording 1 has p of shape \(1,\), but t of \(2,\)"),
        ([{"x": [1], "t": [2], "p": [1]}], {}, "recording 0 has no y .*as tonic's data sets have them"),
        ([{**good, "x": [1, 6]}], {}, "recording 0: address x=6, y=1 outside the sensor of 6 x 5 pixels at event 1"),
        ([{**good, "p": [0, 2]}], {}, "recording 0: polarity 2 at event 1"),
        ([good], {"sensor": 34}, r"sensor is 34; give its size"),
        ([good], {"steps": 0}, "number of time steps"),
        ([good], {"y": [0, 1]}, r"y has shape \(2,\); recordings needs one label"),
    ):
        with pytest.raises(OpzoError, match=message):
            opzo.Events.from_recordings(many, **{"sensor": (6, 5), "steps": 2} | options)


def test_events_are_saved_and_loaded(tmp_path: Path) -> None:
    train = opzo.Events.from_frames(SPIKES, Y, names=["left", "right", "still"])
    test = opzo.Events.from_frames(SPIKES[:2], Y[:2])
    train.save(tmp_path / "both.npz", test=test, description="by hand")
    assert load_events(tmp_path / "both.npz")[2] == "by hand"
    assert (load_npz(tmp_path / "both.npz").digests, train.names) == (
        (train.digest, test.digest),
        load_npz(tmp_path / "both.npz").names,
    )
    assert opzo.Events.load(tmp_path / "both.npz").digest == train.digest
    assert opzo.Events.load(str(tmp_path / "both.npz"), "test").digest == test.digest
    one = tmp_path / "one.npz"
    unlabelled = opzo.Events.from_frames(SPIKES)
    unlabelled.save(one)
    assert opzo.Events.load(one).digest == unlabelled.digest
    assert not opzo.Events.load(one).labelled
    for call, message in (
        (lambda: opzo.load_data(one), r"has no test part; .*train\.save\(path, test=test\)"),
        (lambda: opzo.Events.load(one, "test"), "lacks test_addresses"),
        (lambda: opzo.Events.load(one, "tset"), r"no part of an event file 'tset' \(did you mean 'test'\?\)"),
        (lambda: opzo.Events.load(5), "an event file must be named by a string or Path, not 5"),  # type: ignore[arg-type]
        (lambda: train.save(one, test=test.middle(2)), r"training events are \(2, 3, 3\), 4 time steps"),
    ):
        with pytest.raises(OpzoError, match=message):
            call()
