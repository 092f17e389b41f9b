"""Augmentation of training images."""

from pathlib import Path

import numpy as np
import pytest

from opzo.host.cli.main import main
from opzo.host.data.augment import Augmentation
from opzo.host.data.images.frames import Frames, encode_frame
from opzo.host.driver.device import open_device
from opzo.host.driver.initial_weights import AUGMENTATION, generator, order_seed
from opzo.host.training.config import Hyperparameters
from opzo.host.training.trainer import Trainer
from opzo.spec.errors import OpzoError
from opzo.spec.events import decode_frame_pairs
from opzo.spec.network import Network
from opzo.spec.shuffle import order

IMAGE = np.zeros((7, 7), np.uint8)
IMAGE[2, 3], IMAGE[3, 3] = 100, 200


def moved(augmentation: Augmentation, *draw: float) -> np.ndarray:
    return augmentation.move(IMAGE, np.array(draw))


def test_moves_by_hand() -> None:
    np.testing.assert_array_equal(moved(Augmentation(0, 0, 2), 0, 0, 0.5, 0), np.roll(IMAGE, -1, axis=0))
    np.testing.assert_array_equal(moved(Augmentation(0, 0, 2), 0, 0, 0, -1), np.roll(IMAGE, 2, axis=1))
    assert moved(Augmentation(0, 0, 1), 0, 0, 0, 0.5)[3, 2:4].tolist() == [200, 0]
    np.testing.assert_array_equal(moved(Augmentation(90, 0, 0), 1, 0, 0, 0), np.rot90(IMAGE, -1))
    half = moved(Augmentation(0, 0, 0.5), 0, 0, 0, 1)
    assert half[3, 2:4].tolist() == [100, 100]
    assert half[2, 2:4].tolist() == [50, 50]
    # Twice as large about the middle, which is pixel (3, 3).
    assert moved(Augmentation(0, 1, 0), 0, 1, 0, 0)[1:4, 3].tolist() == [100, 150, 200]


def test_draws_belong_to_seed_and_epoch() -> None:
    augmentation = Augmentation(5, 0.1, 1)
    draws = augmentation.draw(3, 1, 50)
    assert draws.shape == (50, 5)
    # Those of runs before there were mirrors.
    np.testing.assert_array_equal(draws[:, :4], generator(3, AUGMENTATION, 1).uniform(-1, 1, (50, 4)))
    assert np.abs(draws).max() <= 1
    np.testing.assert_array_equal(draws, augmentation.draw(3, 1, 50))
    assert (draws != augmentation.draw(3, 2, 50)).all()
    assert (draws != augmentation.draw(4, 1, 50)).all()


def test_every_channel_is_moved_for_itself() -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (3, 4, 6, 9), np.uint8)
    augmentation = Augmentation(20, 0.1, 1.5)
    order, draws = np.array([2, 0, 1]), augmentation.draw(0, 0, 3)
    expected = np.stack(
        [[augmentation.move(plane, draw) for plane in x[index]] for index, draw in zip(order, draws, strict=True)]
    )
    for given, axis in ((x, 1), (np.moveaxis(x, 1, -1), -1)):
        frames = Frames.of(given, [0, 1, 1])
        assert frames.shape == (4, 6, 9)
        for sample, planes in zip(augmentation.samples(frames, order, draws), expected, strict=True):
            assert sample.runs[0] == encode_frame(np.moveaxis(planes, 0, axis if axis < 0 else 0).reshape(-1))


COLOUR = np.random.default_rng(2).integers(1, 256, (3, 5, 7), np.uint8)


def test_channels_are_mirrored_alike() -> None:
    augmentation = Augmentation(0, 0, 0, True)
    assert augmentation
    np.testing.assert_array_equal(augmentation.move(COLOUR, np.array([0, 0, 0, 0, -0.1])), COLOUR[..., ::-1])
    np.testing.assert_array_equal(augmentation.move(COLOUR, np.array([0, 0, 0, 0, 0.1])), COLOUR)
    np.testing.assert_array_equal(augmentation.move(IMAGE, np.array([0, 0, 0, 0, -1])), IMAGE[:, ::-1])
    mirrored = augmentation.draw(0, 0, 1000)[:, 4] < 0
    assert 450 < mirrored.sum() < 550


def test_several_channels_move_by_whole_pixels() -> None:
    augmentation = Augmentation(0, 0, 2)
    padded = np.pad(COLOUR, ((0, 0), (2, 2), (2, 2)))
    seen = set()
    for draw in augmentation.draw(1, 0, 500):
        result = augmentation.move(COLOUR, draw)
        found = [(y, x) for y, x in np.ndindex(5, 5) if np.array_equal(result, padded[:, y : y + 5, x : x + 7])]
        assert len(found) == 1
        seen.add(found[0])
        # Towards the same side as with interpolation; each of five shifts is a fifth of the draws.
        assert np.abs(np.array(found[0]) - 2 - 2.5 * draw[2:4]).max() <= 0.5
    assert len(seen) == 25
    assert (Augmentation(0, 0, 9).move(COLOUR, np.array([0, 0, 1.0, 0, 0])) == 0).all()
    np.testing.assert_array_equal(
        Augmentation(0, 0, 2, True).move(COLOUR, np.array([0, 0, -1, 0, -1])),
        augmentation.move(COLOUR[..., ::-1], np.array([0, 0, -1.0, 0, 1])),
    )


def test_other_shifts_are_interpolated() -> None:
    half = np.array([0, 0, 0, 0.5, 0])
    for shift, image in ((1.5, IMAGE), (0.5, IMAGE[None]), (1.5, COLOUR)):
        result = Augmentation(0, 0, shift).move(image, half)
        # Without the columns that come in from outside.
        whole = [np.roll(image, -x, axis=-1)[..., :-2] for x in range(3)]
        assert not any(np.array_equal(result[..., :-2], one) for one in whole)
    assert Augmentation(0, 0, 0.5).move(IMAGE, np.array([0, 0, 0, 1.0, 0]))[3, 2:4].tolist() == [100, 100]


@pytest.mark.parametrize("shape", [(256,), (64,), (8,), (1, 64), (64, 1), (1, 1, 64), (6, 8, 8), (3, 4, 4)])
def test_images_of_unknown_height_and_width_are_not_moved(shape: tuple[int, ...]) -> None:
    frames = Frames.of(np.full((2, *shape), 99), [0, 1])
    assert frames.shape is None
    pixels = np.prod(shape)
    with pytest.raises(OpzoError, match=f"the training data has {pixels} pixels per frame, but no height and width"):
        Augmentation(5, 0, 0).check(frames, "the training data")
    Augmentation(0, 0, 0).check(frames, "the training data")
    with pytest.raises(OpzoError, match="cannot transform"):
        Augmentation(5, 0, 0).move(frames.x[0], np.zeros(4))


def test_no_run_is_begun_with_images_of_unknown_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = np.random.default_rng(0).integers(0, 256, (6, 64), np.uint8), np.arange(6) % 2
    np.savez(tmp_path / "flat.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    command = ["train", "--data", str(tmp_path / "flat.npz"), "--device", "golden", "--rotate", "5"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 2
    assert "no height and width" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_trainer_sends_the_moved_images_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network((49, 4, 2), 2)
    frames = Frames.of(np.stack([IMAGE, IMAGE.T] * 40), [0, 1] * 40)
    hyper = Hyperparameters(epochs=1, seed=5, rotate=10.0, zoom=0.1, shift=1.5)
    device = open_device("golden", network, 4)
    sent = []
    run = type(device).run

    def spy(self, samples, **options):
        samples = list(samples)
        sent.extend(samples)
        return run(self, samples, **options)

    monkeypatch.setattr(type(device), "run", spy)
    Trainer(device, network, hyper).fit(frames, None)
    augmentation = Augmentation(10, 0.1, 1.5)
    draws = augmentation.draw(5, 0, 80)
    for sample, index, draw in zip(sent, order(order_seed(5, 0), 80), draws, strict=True):
        expected = augmentation.move(frames.x[index].reshape(7, 7), draw).reshape(-1)
        addresses, values, _ = decode_frame_pairs(sample.runs[0])
        assert dict(zip(addresses.tolist(), values.tolist(), strict=True)) == {
            int(a): int(expected[a]) for a in np.flatnonzero(expected)
        }
        assert sample.label == frames.y[index]
