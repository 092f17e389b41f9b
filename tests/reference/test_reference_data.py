"""Data sets of the reference, on small files that the tests make."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from random_draws import RNG, draws

from opzo.host.data.events.event_files import save_events
from opzo.host.data.events.event_sample import EventSample
from opzo.host.data.events.event_samples import Events
from opzo.reference.data.augment import crop, cutout, flip
from opzo.reference.data.data_sets import load
from opzo.reference.data.imagenet import MEAN, SIZE, STD, random_box
from opzo.reference.data.patches import cut_patches
from opzo.spec.errors import OpzoError


def test_crops_shift_within_bounds_both_ways() -> None:
    image = torch.arange(1.0, 101).view(1, 1, 10, 10)
    images = image.expand(400, 2, 10, 10)
    shifted = crop(images, 2, draws())
    assert shifted.shape == images.shape
    seen = set()
    for one in shifted:
        found = [
            (down, across)
            for down in range(-2, 3)
            for across in range(-2, 3)
            if torch.equal(
                one[0], torch.nn.functional.pad(image[0, 0], (2, 2, 2, 2))[2 + down :, 2 + across :][:10, :10]
            )
        ]
        assert len(found) == 1
        assert torch.equal(one[0], one[1])
        seen.add(found[0])
    assert len(seen) == 25


def test_flips_mirror_half() -> None:
    images = torch.arange(12.0).view(1, 1, 3, 4).expand(400, 1, 3, 4)
    flipped = flip(images, draws())
    mirrored = [torch.equal(one, images[0].flip(2)) for one in flipped]
    assert all(m or torch.equal(one, images[0]) for m, one in zip(mirrored, flipped, strict=True))
    assert 150 < sum(mirrored) < 250


def test_cutout_holes_are_squares_that_may_reach_over_the_border() -> None:
    holes = cutout(torch.ones(500, 3, 16, 16), 6, draws()) == 0
    sizes = set()
    for one in holes:
        assert torch.equal(one[0], one[1])
        rows, columns = one[0].any(1), one[0].any(0)
        assert torch.equal(one[0], rows[:, None] & columns)
        sizes.add((int(rows.sum()), int(columns.sum())))
    assert {height for height, _ in sizes} == {3, 4, 5, 6}
    assert max(sizes) == (6, 6)


def write_images(root: Path) -> None:
    for part in ("train", "val"):
        for label, colour in (("n01", (200, 10, 30)), ("n02", (0, 90, 250))):
            (root / part / label).mkdir(parents=True)
            for number in range(2):
                Image.new("RGB", (300 + 40 * number, 280), colour).save(
                    root / part / label / f"{number}.JPEG", quality=95
                )


def test_imagenet_folder(tmp_path: Path) -> None:
    write_images(tmp_path)
    wide = np.zeros((256, 512, 3), np.uint8)
    wide[:, 256 - 112 : 256 + 112] = 255
    Image.fromarray(wide).save(tmp_path / "val" / "n02" / "9.png")
    data = load("imagenet", str(tmp_path))
    assert (len(data.train), len(data.test), data.classes) == (4, 5, 1000)
    x, y = data.test.batch(np.arange(5), None)
    assert x.shape == (5, 1, 3, SIZE, SIZE)
    assert y.tolist() == [0, 0, 1, 1, 1]
    raw = x[:, 0] * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    np.testing.assert_allclose(raw[0, :, 100, 100] * 255, [200, 10, 30], atol=3)
    # Resized to 256 of height, the middle 224 x 224 is the white part.
    assert float(raw[4].min()) > 0.99
    first, second = (data.train.batch(np.arange(4), draws())[0] for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (4, 1, 3, SIZE, SIZE)
    half = np.zeros((300, 400, 3), np.uint8)
    half[:, :200] = 255
    Image.fromarray(half).save(tmp_path / "train" / "n01" / "0.JPEG")
    many, _ = data.train.batch(np.zeros(40, np.intp), draws())
    leaning = (many[..., : SIZE // 2] - many[..., SIZE // 2 :]).mean((1, 2, 3, 4))
    assert 5 < int((leaning > 0).sum()) < 35, "half of the images are mirrored"
    (tmp_path / "train" / "n01" / "0.JPEG").write_bytes(b"no picture")
    with pytest.raises(OpzoError, match=r"cannot read the image .*n01/0.JPEG"):
        data.train.batch(np.arange(4), draws())


def test_what_operating_systems_leave_beside_images_is_no_image(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_images(tmp_path)
    for place in (tmp_path / "train", tmp_path / "train" / "n01"):
        for name in (".DS_Store", "._0.JPEG", "Thumbs.db"):
            (place / name).write_bytes(b"\0\5\x16\7")
    (tmp_path / "train" / "__MACOSX").mkdir()
    data = load("imagenet", str(tmp_path))
    assert len(data.train) == 4
    assert not caplog.text
    (tmp_path / "train" / "n01" / "1.webp").write_bytes(b"RIFF")
    load("imagenet", str(tmp_path))
    assert "n01: 1 files are passed over, being none of .jpeg, .jpg, .png" in caplog.text
    (tmp_path / "train" / "n02" / "images").mkdir()
    for path in (tmp_path / "train" / "n02").glob("*.JPEG"):
        path.rename(path.parent / "images" / path.name)
    with pytest.raises(OpzoError, match=r"no images in .*n02; put the images of a class into its folder itself"):
        load("imagenet", str(tmp_path))


@pytest.mark.parametrize("where", [0, 20, 60, -30])
def test_damaged_images_are_told(where: int, tmp_path: Path) -> None:
    write_images(tmp_path)
    path = tmp_path / "val" / "n01" / "8.png"
    noise = RNG.integers(0, 256, (300, 300, 3), np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:where] + b"\x00\xff\x00\x07" * 6 + whole[where:][24:])
    data = load("imagenet", str(tmp_path))
    with pytest.raises(OpzoError, match=r"cannot read the image .*n01/8.png \(.*; get it again, or take it away"):
        data.test.batch(np.arange(len(data.test)), None)


def test_training_and_test_images_have_the_same_classes(tmp_path: Path) -> None:
    write_images(tmp_path)
    (tmp_path / "val" / "n01").rename(tmp_path / "val" / "n03")
    with pytest.raises(OpzoError, match=r"only one of them has n01, n03; sort the images of val"):
        load("imagenet", str(tmp_path))


def test_random_boxes_lie_inside_and_have_the_areas_of_the_paper() -> None:
    areas = []
    for _ in range(500):
        left, top, right, bottom = random_box(400, 300, RNG.random(32).tolist())
        assert 0 <= left < right <= 400
        assert 0 <= top < bottom <= 300
        assert 0.7 < (right - left) / (bottom - top) < 1.4
        areas.append((right - left) * (bottom - top) / 120_000)
    assert min(areas) < 0.12
    assert max(areas) > 0.8
    assert random_box(1000, 10, [0.99] * 32) == (495.0, 0.0, 505.0, 10.0)


def test_event_files_become_frames(tmp_path: Path) -> None:
    samples = [
        EventSample(np.array([1, 7, 3], np.uint16), np.array([0, 2, 3]), np.array([5, 9, 1], np.uint8), 0),
        EventSample(np.array([0], np.uint16), np.array([0, 0, 1]), np.array([2], np.uint8), 2),
    ]
    events = Events.of(samples, (2, 2, 2))
    save_events(tmp_path / "events.npz", events, events, "made by a test")
    data = load(str(tmp_path / "events.npz"))
    assert (data.shape, data.steps, data.classes) == ((2, 2, 2), 2, 3)
    x, y = data.train.batch(np.array([1, 0]), None)
    assert y.tolist() == [2, 0]
    expected = torch.zeros(2, 2, 2, 2, 2)
    expected[0, 1, 0, 0, 0] = 2
    expected[1, 0, 0, 0, 1], expected[1, 0, 1, 1, 1], expected[1, 1, 0, 1, 1] = 5, 9, 1
    assert torch.equal(x, expected)


def test_gestures_have_the_papers_size_and_count_events(tmp_path: Path) -> None:
    for part in ("ibmGestureTrain", "ibmGestureTest"):
        path = tmp_path / "DVSGesture" / part / "user01_natural" / "3.npy"
        path.parent.mkdir(parents=True)
        # x, y, polarity, milliseconds: the first two fall on the same pixel of 48 x 48.
        np.save(path, np.array([[127, 0, 1, 1], [126, 1, 1, 1], *([[0, 127, 0, t] for t in range(2, 40)])], float))
    data = load("dvs-gesture", str(tmp_path))
    assert (data.shape, data.steps, len(data.train)) == ((2, 48, 48), 20, 1)
    x, y = data.train.batch(np.array([0]), draws())
    assert x.shape == (1, 20, 2, 48, 48)
    assert y.tolist() == [3]
    assert float(x[0, 0, 1, 0, 47]) == 2
    assert float(x.sum()) == 40


def test_cifar10_dvs_is_normalised_and_all_steps_of_a_sample_shift_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [EventSample(np.array([5 * 8 + 4] * 3, np.uint16), np.arange(4), None, n % 2) for n in range(40)]
    events = Events.of(samples, (1, 8, 8))
    asked = {}

    def recorded(name: str, root: str, *, binning: Any) -> tuple[Events, Events]:
        asked["binning"] = binning
        return events, events

    monkeypatch.setattr("opzo.reference.data.data_sets.load_recorded_data", recorded)
    data = load("cifar10-dvs", "somewhere")
    assert (asked["binning"].size, asked["binning"].counts, asked["binning"].steps) == ((48, 48), True, 10)
    x, _ = data.test.batch(np.arange(40), None)
    assert float(x.mean()) == pytest.approx(0, abs=1e-5)
    assert float(x.std(correction=0)) == pytest.approx(1, abs=1e-4)
    moved, _ = data.train.batch(np.arange(40), draws())
    brightest = moved.flatten(3).argmax(3)[:, :, 0]
    assert (brightest == brightest[:, :1]).all()
    assert len(brightest.unique()) > 10


def test_digits_are_normalised_and_subsets_drawn_by_lot() -> None:
    whole, some = load("digits"), load("digits", train=100, test=50)
    x, y = whole.train.batch(np.arange(len(whole.train)), None)
    assert (x.shape[1:], whole.classes) == ((1, 1, 8, 8), 10)
    assert float(x.mean()) == pytest.approx(0, abs=1e-4)
    assert float(x.std()) == pytest.approx(1, abs=1e-3)
    part, labels = some.train.batch(np.arange(100), None)
    assert (len(some.train), len(some.test)) == (100, 50)
    assert len({tuple(one.flatten().tolist()) for one in part}) == 100
    again, _ = load("digits", train=100).train.batch(np.arange(100), None)
    assert torch.equal(part, again)
    assert not torch.equal(labels, y[:100])


def test_patches_of_training_and_test_share_no_pixel() -> None:
    (train, labels), (test, _) = cut_patches()
    assert train.shape == (2000, 3, 32, 32)
    assert test.shape == (500, 3, 32, 32)
    assert np.bincount(labels).tolist() == [200] * 10
    assert len({patch.tobytes() for patch in train}) > 1900
    rows = {row.tobytes() for patch in train.transpose(0, 2, 3, 1) for row in patch}
    assert not any(row.tobytes() in rows for patch in test.transpose(0, 2, 3, 1) for row in patch)
    assert np.array_equal(cut_patches()[0][0], train)
