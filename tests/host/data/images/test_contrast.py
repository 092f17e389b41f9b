"""Colours as two channels each, above and below the mean of the training images."""

from pathlib import Path

import numpy as np
import pytest

from opzo.host.cli.main import main
from opzo.host.data.data_sets import load_data
from opzo.host.data.images.contrast import Contrast
from opzo.host.data.images.frames import Frames
from opzo.host.training.checkpoint import Checkpoint
from opzo.spec.errors import OpzoError

RUN = ["--device", "golden", "--lanes", "4", "--net", "150-6-2", "--epochs", "1", "--steps", "2"]


def test_values_by_hand() -> None:
    contrast = Contrast((100.0, 50.0), (40.0, 10.0))
    planes = np.array([[[[100, 101, 140, 60]], [[50, 255, 49, 0]]]], np.uint8)
    # 255 is two standard deviations: 127.5 (p - mean) / std.
    assert contrast.code(planes)[0, :, 0].tolist() == [[0, 3, 128, 0], [0, 0, 0, 128], [0, 255, 0, 0], [0, 0, 13, 255]]


def test_statistics_are_those_of_each_colour() -> None:
    planes = np.random.default_rng(0).integers(0, 256, (20, 3, 5, 4), np.uint8)
    planes[:, 1] //= 3
    contrast = Contrast.of(planes, "x")
    np.testing.assert_allclose(contrast.mean, planes.mean((0, 2, 3)), rtol=1e-14)
    np.testing.assert_allclose(contrast.std, planes.std((0, 2, 3)), rtol=1e-14)
    planes[:, 2] = 7
    with pytest.raises(OpzoError, match="x: all pixels of colour 2 are equal"):
        Contrast.of(planes, "x")


@pytest.mark.parametrize(
    ("mean", "std"), [((), ()), ((1.0,), (1.0, 2.0)), ((256.0,), (1.0,)), ((1.0,), (0.0,)), ((1.0,), (float("nan"),))]
)
def test_other_numbers_are_not_statistics(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="mean"):
        Contrast(mean, std)


def colours(path: Path, seed: int = 0, **changes: np.ndarray) -> Path:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 200 + seed, (30, 5, 5, 3), np.uint8)
    y = np.arange(30) % 2
    np.savez(path, **({"x_train": x[:20], "y_train": y[:20], "x_test": x[20:], "y_test": y[20:]} | changes))
    return path


def test_images_of_a_file_are_coded_if_wanted(tmp_path: Path) -> None:
    path = colours(tmp_path / "a.npz")
    raw, data = load_data(str(path)), load_data(str(path), contrast=True)
    assert isinstance(raw.train, Frames)
    assert isinstance(data.test, Frames)
    assert raw.train.contrast is None
    assert (raw.train.shape, data.train.shape, data.train.channels_last) == ((3, 5, 5), (6, 5, 5), False)
    contrast = Contrast.of(raw.train.planes(raw.train.x), "x")
    assert data.test.contrast == contrast
    np.testing.assert_array_equal(data.test.planes(data.test.x), contrast.code(raw.test.planes(raw.test.x)))
    # Those of a run, in place of those of the file.
    other = Contrast((9.0, 80.0, 7.0), (6.0, 5.0, 4.0))
    assert load_data(str(path), contrast=other).test.contrast == other
    with pytest.raises(
        OpzoError, match=r"images of 3 x 5 x 5 pixels, which are not coded by the contrast of 2 colours"
    ):
        load_data(str(path), contrast=Contrast((9.0, 80.0), (6.0, 5.0)))
    with pytest.raises(OpzoError, match="images of 6 x 5 x 5 pixels"):
        data.train.by_contrast(contrast, "x")


def test_other_data_have_no_colours(tmp_path: Path) -> None:
    flat = np.random.default_rng(0).integers(0, 255, (20, 75), np.uint8)
    path = colours(tmp_path / "a.npz", x_train=flat, x_test=flat[:10])
    with pytest.raises(OpzoError, match="without height and width, whose colours are unknown; store images as"):
        load_data(str(path), contrast=True)
    spikes = (flat > 99).reshape(20, 5, 15)
    path = colours(tmp_path / "b.npz", x_train=spikes, x_test=spikes[:10], input=np.array("spikes"))
    with pytest.raises(OpzoError, match=r"b.npz has events, which have no colours; leave contrast out"):
        load_data(str(path), contrast=True)


def test_a_run_keeps_its_statistics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, run = colours(tmp_path / "a.npz"), str(tmp_path / "run")
    assert main(["train", "--data", str(path), "--contrast", "1", "--out", run, *RUN, "--quiet"]) == 0
    trained = Checkpoint.load(tmp_path / "run" / "checkpoint.npz")
    assert trained.contrast == load_data(str(path), contrast=True).train.contrast
    assert main(["eval", run, "--json"]) == 0
    assert main(["train", "--resume", run, "--quiet"]) == 0
    capsys.readouterr()
    # The test images of another file are coded by the statistics of the run.
    other = colours(tmp_path / "b.npz", 55)
    assert main(["eval", run, "--data", str(other), "--json"]) == 0
    by_run = capsys.readouterr().out
    assert '"test_accuracy"' in by_run
    coded = load_data(str(other), contrast=trained.contrast)
    arrays = {f"{k}_{part}": getattr(getattr(coded, part), k) for k in "xy" for part in ("train", "test")}
    np.savez(tmp_path / "coded.npz", **arrays)
    assert main(["eval", run, "--data", str(tmp_path / "coded.npz"), "--contrast", "0", "--json"]) == 0
    assert by_run.replace("b.npz", "coded.npz") == capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"contrast_mean": np.zeros(3, np.float32)}, "contrast_mean is float32"),
        ({"contrast_std": None}, "contrast_std is missing"),
        ({"contrast_std": np.zeros(3)}, "standard deviation 0 of a colour"),
    ],
)
def test_damaged_statistics_are_told(changes: dict[str, np.ndarray | None], message: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(["train", "--data", str(colours(tmp_path / "a.npz")), "--contrast", "1", "--out", str(run), *RUN]) == 0
    with np.load(run / "checkpoint.npz") as file:
        arrays = {key: value for key, value in (dict(file) | changes).items() if value is not None}
    np.savez(run / "checkpoint.npz", **arrays)
    with pytest.raises(OpzoError, match=message):
        Checkpoint.load(run / "checkpoint.npz")
