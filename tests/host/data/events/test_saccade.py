"""Simulated event camera: against a plain loop over pixels, by hand, and as a data set."""

import json
import math
import sys
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from opzo.host.cli.data import saccade as data_saccade
from opzo.host.cli.parser import Parser
from opzo.host.data.data_sets import load_data, load_saccade
from opzo.host.data.events import saccade_camera
from opzo.host.data.events.event_samples import Events
from opzo.host.data.events.saccade_camera import OFF, ON, SENSOR, SaccadeCamera, enlarge
from opzo.spec.errors import OpzoError

QUIET = SaccadeCamera(mismatch=0, noise=0)
EDGE = np.zeros((1, 28, 28), np.uint8)
EDGE[:, :, :14] = 255


class Across(SaccadeCamera):
    """Camera that makes the image go from left to right, in one way."""

    @cached_property
    def path(self) -> np.ndarray:
        columns = np.rint(np.linspace(-8 * self.amplitude, 8 * self.amplitude, self.steps * self.substeps + 1))
        return np.stack([np.zeros_like(columns), columns], axis=1).astype(np.int64)


class Back(Across):
    """The same from right to left."""

    @cached_property
    def path(self) -> np.ndarray:
        return super().path[::-1]


def strokes(count: int, side: int = 28) -> np.ndarray:
    """Images that are black but for some smooth and some sharp edges, up to their border."""
    rng = np.random.default_rng(7)
    images = np.zeros((count, side, side), np.uint8)
    images[:, 3:9, 2 : side - 4] = np.cumsum(rng.integers(0, 12, (count, 6, side - 6)), axis=2)
    images[:, side // 2 :, side // 3 : side // 2] = 255
    images[:, -3:] = rng.integers(0, 256, (count, 3, side))
    return images


def recorded(camera: SaccadeCamera, images: np.ndarray, split: int = 0) -> Events:
    parts = list(camera.recordings(images, split))
    starts = np.cumsum([0, *(len(addresses) for addresses, _ in parts[:-1])])
    offsets = [part + start for (_, part), start in zip(parts, starts, strict=True)]
    addresses = np.concatenate([addresses for addresses, _ in parts])
    return Events(addresses, np.concatenate(offsets), np.zeros(len(images), np.uint8), (2, SENSOR, SENSOR))


def assert_same(first: Events, second: Events) -> None:
    np.testing.assert_array_equal(first.addresses, second.addresses)
    np.testing.assert_array_equal(first.offsets, second.offsets)


def position(camera: SaccadeCamera, sub_step: int) -> tuple[int, int]:
    """Rows and columns in 1/16 pixel, from docs/saccade.md."""
    time = 3 * sub_step / (camera.steps * camera.substeps)
    corners = [(-0.5, -0.5), (0.5, 0), (-0.5, 0.5), (-0.5, -0.5)]
    movement = min(int(time), 2)
    way = time - movement
    way = 3 * way**2 - 2 * way**3 if camera.smooth else way
    start, end = corners[movement], corners[movement + 1]
    down, right = (16 * camera.amplitude * (a + way * (b - a)) for a, b in zip(start, end, strict=True))
    return round(down), round(right)


def level(camera: SaccadeCamera, image: np.ndarray, row: float, column: float) -> int:
    """Q2.12 logarithm of the intensity at a point of the image; black around it."""

    def grey(i: int, j: int) -> int:
        return int(image[i, j]) if 0 <= i < image.shape[0] and 0 <= j < image.shape[1] else 0

    top, left = math.floor(row), math.floor(column)
    down, right = row - top, column - left
    value = (1 - down) * ((1 - right) * grey(top, left) + right * grey(top, left + 1))
    value += down * ((1 - right) * grey(top + 1, left) + right * grey(top + 1, left + 1))
    return round(4096 * math.log((value + camera.dark) / camera.dark))


def reference(camera: SaccadeCamera, image: np.ndarray) -> list[set[int]]:
    """Addresses of each step, pixel by pixel and without noise."""
    steps: list[set[int]] = [set() for _ in range(camera.steps)]
    places = [position(camera, sub_step) for sub_step in range(camera.steps * camera.substeps + 1)]
    sub_step_ms = 3 * camera.saccade_ms / (len(places) - 1)
    corner = (SENSOR - image.shape[0]) // 2
    for row in range(SENSOR):
        for column in range(SENSOR):
            off, on = (int(camera.thresholds[polarity, row, column]) for polarity in (OFF, ON))
            last = -math.inf
            for index, (down, right) in enumerate(places):
                now = level(camera, image, row - corner - down / 16, column - corner - right / 16)
                if index == 0:
                    remembered = now
                elif (index - last) * sub_step_ms >= camera.refractory_ms - 1e-6:
                    rise, fall = now - remembered >= on, remembered - now >= off
                    if rise or fall:
                        address = ((ON if rise else OFF) * SENSOR + row) * SENSOR + column
                        steps[(index - 1) // camera.substeps].add(address)
                        remembered += on if rise else -off
                        last = index
    return steps


@pytest.mark.parametrize(
    ("camera", "side"),
    [
        (SaccadeCamera(steps=12, substeps=2, noise=0), 28),
        (SaccadeCamera(steps=10, substeps=2, noise=0, refractory_ms=45, on=0.2, off=0.1), 34),
        (SaccadeCamera(steps=30, substeps=1, noise=0, refractory_ms=30, smooth=0, amplitude=10.5, dark=1, seed=3), 28),
        (SaccadeCamera(steps=6, substeps=3, noise=0, amplitude=5, mismatch=0.3, saccade_ms=37, on=0.7, off=0.05), 27),
    ],
)
def test_recording_is_that_of_the_plain_loop(camera: SaccadeCamera, side: int) -> None:
    images = strokes(2, side)
    events = recorded(camera, images)
    for image, sample in zip(images, events, strict=True):
        expected = reference(camera, image)
        assert sum(map(len, expected)) > 200
        for step, addresses in enumerate(expected):
            found = sample.addresses[sample.offsets[step] : sample.offsets[step + 1]]
            assert found.tolist() == sorted(addresses)


def test_path_is_the_triangle_of_n_mnist() -> None:
    path = SaccadeCamera().path
    assert [path[index].tolist() for index in (0, 40, 80, 120)] == [[-56, -56], [56, 0], [-56, 56], [-56, -56]]
    assert path[20].tolist() == [0, -28]
    # Three times the square less twice the cube of a quarter: 5/32 of the way.
    assert path[10].tolist() == [-56 + round(112 * 5 / 32), -56 + round(56 * 5 / 32)]
    assert replace(SaccadeCamera(), smooth=0).path[10].tolist() == [-28, -42]


@pytest.mark.parametrize(("threshold", "count"), [(0.3, 6), (0.375, 4), (0.6, 3), (1.7, 1), (1.9, 0)])
def test_a_rise_has_as_many_events_as_it_has_thresholds(threshold: float, count: int) -> None:
    # From black to white: ln(305 / 50) = 1.808.
    camera = Across(steps=100, substeps=1, amplitude=4, on=threshold, off=threshold, mismatch=0, noise=0)
    spikes = camera.record(EDGE)[..., 0].sum(axis=0)
    # The edge is in front of sensor column 17 at rest, and two columns farther to either side at the ends.
    assert (spikes[ON, 3:31, 16:18] == count).all()
    assert spikes[OFF].sum() == spikes[OFF, :, :8].sum()


def test_reversed_movement_swaps_on_and_off() -> None:
    settings: dict[str, Any] = dict(steps=100, substeps=1, amplitude=6, on=0.25, off=0.25, mismatch=0, noise=0)
    # A border between two grey areas; each pixel sees a single rise or fall.
    image = np.repeat(np.repeat(np.array([[40, 200]], np.uint8), 17, axis=1), 34, axis=0)[None]
    there, back = (camera(**settings).record(image).sum(axis=0) for camera in (Across, Back))
    assert there[ON].sum() + there[OFF].sum() > 300
    np.testing.assert_array_equal(there, back[::-1])


def test_no_event_in_the_refractory_time() -> None:
    camera = SaccadeCamera(steps=120, substeps=1, refractory_ms=25, on=0.1, off=0.1)
    assert camera.silence == 10
    # 99.9 / (3 * 33.3) is more than 1 in binary.
    assert SaccadeCamera(steps=1, substeps=1, saccade_ms=33.3, refractory_ms=99.9).silence == 1
    assert SaccadeCamera(steps=1, substeps=1, saccade_ms=33.3, refractory_ms=100).silence == 2
    spikes = camera.record(strokes(3)).any(axis=1).reshape(120, -1)
    gaps = [np.diff(np.flatnonzero(pixel)).min() for pixel in spikes.T if pixel.sum() > 1]
    assert len(gaps) > 100
    assert min(gaps) == 10


def test_step_holds_each_address_of_its_sub_steps_once() -> None:
    fine = replace(QUIET, steps=120, substeps=1)
    images = strokes(3)
    spikes = fine.record(images)
    np.testing.assert_array_equal(QUIET.record(images), spikes.reshape(30, 4, *spikes.shape[1:]).any(axis=1))


def test_thresholds_of_the_pixels_differ_as_asked_and_belong_to_the_seed() -> None:
    assert set(QUIET.thresholds.reshape(-1).tolist()) == {1536}
    thresholds = SaccadeCamera(on=0.5, mismatch=0.2).thresholds
    assert thresholds[ON].mean() == pytest.approx(2048, rel=0.03)
    assert thresholds[OFF].mean() == pytest.approx(1536, rel=0.03)
    assert thresholds[ON].std() == pytest.approx(0.2 * 2048, rel=0.1)
    assert (thresholds != SaccadeCamera(on=0.5, mismatch=0.2, seed=1).thresholds).mean() > 0.9
    assert (SaccadeCamera(mismatch=0.3).thresholds > 0).all()


def test_noise_has_its_rate_and_both_polarities() -> None:
    camera = SaccadeCamera(noise=20)
    events = recorded(camera, np.zeros((70, 28, 28), np.uint8))
    cells = 30 * 2 * SENSOR**2
    # Twice in the same step is one spike.
    expected = cells * (1 - math.exp(-20 * 0.3 * SENSOR**2 / cells))
    assert len(events.addresses) / 70 == pytest.approx(expected, rel=0.01)
    assert np.mean(events.addresses >= SENSOR**2) == pytest.approx(0.5, abs=0.01)
    assert len(recorded(replace(camera, noise=0), np.zeros((2, 28, 28), np.uint8)).addresses) == 0


def test_noise_belongs_to_seed_split_and_image() -> None:
    camera, images = SaccadeCamera(noise=2), np.zeros((2, 28, 28), np.uint8)
    events = recorded(camera, images)
    assert_same(events, recorded(camera, images))
    assert events[0].addresses.tolist() != events[1].addresses.tolist()
    for other in (recorded(camera, images, 1), recorded(replace(camera, seed=1), images)):
        assert events[0].addresses.tolist() != other[0].addresses.tolist()


def test_batches_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    camera, images = SaccadeCamera(steps=10, noise=3), strokes(11)
    whole = recorded(camera, images)
    for batch in (1, 4, 11):
        monkeypatch.setattr(saccade_camera, "BATCH", batch)
        assert_same(recorded(camera, images), whole)


def test_small_images_are_enlarged() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, 8, 8)).astype(np.uint8)
    result = enlarge(image)
    assert result.shape == (1, 28, 28)
    # The centre of pixel (4, 9) lies at ((4.5, 9.5) * 8 / 28 - 0.5) = (11, 31) / 14 of the small one.
    down, right = 11 / 14, 31 / 14 - 2
    corner = image[0, 0:2, 2:4].astype(float)
    expected = np.array([1 - down, down]) @ corner @ np.array([1 - right, right])
    assert result[0, 4, 9] == round(expected)
    assert result[0, 0, 0] == image[0, 0, 0]
    assert result[0, 27, 27] == image[0, 7, 7]
    assert (enlarge(np.full((2, 3, 3), 77, np.uint8)) == 77).all()
    for side in (28, 34):
        images = strokes(1, side)
        assert enlarge(images) is images
    with pytest.raises(OpzoError, match="35 x 35 pixels exceed the camera's 34 x 34"):
        enlarge(np.zeros((1, 35, 35), np.uint8))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, r"steps of the camera must be a whole number in 1\.\.3000, not 0"),
        ({"steps": 2.5}, "whole number"),
        ({"substeps": 101}, "substeps"),
        ({"saccade_ms": 0.0}, "saccade_ms"),
        ({"amplitude": -1.0}, "amplitude"),
        ({"amplitude": float("nan")}, "amplitude .* not nan"),
        ({"smooth": 2}, "smooth"),
        ({"on": 0.0}, r"on of the camera must be a number in 0.01\.\.5"),
        ({"off": float("inf")}, "off"),
        ({"mismatch": 0.4}, "mismatch"),
        ({"dark": 0.5}, "dark"),
        ({"refractory_ms": -1.0}, "refractory_ms"),
        ({"noise": "much"}, "noise of the camera must be a number in .* not 'much'"),
        ({"seed": -1}, "seed"),
    ],
)
def test_parameters_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(OpzoError, match=message):
        SaccadeCamera(**settings)


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPZO_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "mine.npz"
    np.savez(path, x_train=strokes(6), y_train=np.arange(6), x_test=strokes(2), y_test=[3, 1])
    return path


def test_data_set_is_made_once(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = load_saccade(f"saccade-{images}")
    assert train.y.tolist() == [0, 1, 2, 3, 4, 5]
    assert test.y.tolist() == [3, 1]
    assert (train.steps, train.shape, train.graded) == (30, (2, 34, 34), False)
    assert_same(train, recorded(SaccadeCamera(), strokes(6), 0))
    assert_same(test, recorded(SaccadeCamera(), strokes(2), 1))

    def fail(*_: object) -> None:
        raise RuntimeError("made anew")

    monkeypatch.setattr(SaccadeCamera, "recordings", fail)
    for again, first in zip(load_saccade(f"saccade-{images}"), (train, test), strict=True):
        assert_same(again, first)
        assert again.digest == first.digest
    with pytest.raises(RuntimeError, match="made anew"):
        load_saccade(f"saccade-{images}", camera=SaccadeCamera(seed=1))
    np.savez(images, x_train=strokes(6)[::-1], y_train=np.arange(6), x_test=strokes(2), y_test=[3, 1])
    with pytest.raises(RuntimeError, match="made anew"):
        load_saccade(f"saccade-{images}")


def test_digits_keep_their_split(images: Path) -> None:
    train, test = load_saccade("saccade-digits", camera=SaccadeCamera(steps=6, substeps=1))
    digits = load_data("digits")
    np.testing.assert_array_equal(train.y, digits.train.y)
    np.testing.assert_array_equal(test.y, digits.test.y)
    assert len(train.addresses) / len(train) > 500


def test_data_sets_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(OpzoError, match=r"no synthetic event data set 'digits' .*; choose saccade-digits"):
        load_saccade("digits")
    with pytest.raises(OpzoError, match="there is no data set 'cifar'"):
        load_saccade("saccade-cifar")
    with pytest.raises(OpzoError, match="give --data-root"):
        load_saccade("saccade-mnist")
    np.savez(tmp_path / "flat.npz", x_train=np.eye(2, 8) * 9, y_train=[0, 1], x_test=np.eye(2, 8) * 9, y_test=[0, 1])
    with pytest.raises(OpzoError, match="8 pixels per frame, but no height"):
        load_saccade(f"saccade-{tmp_path / 'flat.npz'}")


def command(*options: str) -> int:
    parser = Parser()
    data_saccade.add(parser)
    return data_saccade.run(parser.parse_args(options))


def test_command_prints_figures_and_writes_files(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written: list[Any] = []
    module = ModuleType("opzo.host.data.events.event_files")
    module.__dict__["save_events"] = lambda *arguments: written.append(arguments)
    monkeypatch.setitem(sys.modules, "opzo.host.data.events.event_files", module)
    picture, out = tmp_path / "picture.png", tmp_path / "out.npz"
    options = ["--images", str(images), "--steps", "10", "--noise", "0", "--seed", "4"]
    assert command(*options, "--json", "--picture", str(picture), "--sample", "5", "--out", str(out)) == 0
    facts = json.loads(capsys.readouterr().out)
    train, test = load_saccade(f"saccade-{images}", camera=SaccadeCamera(steps=10, noise=0, seed=4))
    assert facts["synthetic"] is True
    assert (facts["camera"]["steps"], facts["camera"]["seed"]) == (10, 4)
    for part, events in (("train", train), ("test", test)):
        figures = facts[part]
        assert figures["samples"] == len(events)
        assert figures["events_a_sample"] == pytest.approx(len(events.addresses) / len(events), abs=0.05)
        assert figures["events_a_step"] == pytest.approx(figures["events_a_sample"] / 10, abs=0.01)
        assert figures["fewest_a_step"] < figures["events_a_step"] < figures["most_a_step"]
        assert figures["on_share"] == pytest.approx(np.mean(events.addresses >= SENSOR**2), abs=1e-4)
    assert picture.read_bytes().startswith(b"\x89PNG")
    ((path, first, second, description),) = written
    assert path == out
    assert_same(first, train)
    assert_same(second, test)
    assert "synthetic" in description
    assert command(*options) == 0
    assert "train: 6 samples" in capsys.readouterr().out
    with pytest.raises(OpzoError, match="there is no recording 6; --sample goes from 0 to 5"):
        command(*options, "--picture", str(picture), "--sample", "6")
