"""Training runs on digits by the command line: the simulated chip ends where the golden model ends."""

import json
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from opzo.host.cli.main import main
from opzo.host.training.checkpoint import Checkpoint
from opzo.spec.registers import TIMING_COUNTERS

MNIST = Path(__file__).resolve().parents[4] / "shared" / "data" / "mnist"
"""The four IDX files, next to the checkout."""
# With 4 lanes the smallest usual chip, which other tests compile as well.
SHORT = ["--net", "64-16-10", "--lanes", "4", "--epochs", "1"]


def train(folder: Path, *arguments: str, code: int = 0) -> Path:
    assert main(["train", "--out", str(folder), "--json", *arguments]) == code
    return folder


def arrays(folder: Path) -> dict[str, Any]:
    """All of a checkpoint that does not depend on the device."""
    with np.load(folder / "checkpoint.npz") as file:
        content = {name: file[name] for name in file.files if name != "settings"}
    content["counters"] = np.delete(content["counters"], TIMING_COUNTERS)
    return content


def assert_equal_runs(a: Path, b: Path) -> None:
    first, second = arrays(a), arrays(b)
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    rows = [[json.loads(line) for line in (f / "metrics.jsonl").read_text().splitlines()] for f in (a, b)]
    for one, other in zip(*rows, strict=True):
        for part in ("train", "test"):
            same = one[part].keys() - {"cycles", "cycles_per_sample", "link_bytes_per_sample"}
            assert {key: one[part][key] for key in same} == {key: other[part][key] for key in same}


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    return train(folder, "--device", "golden", "--checkpoint-every", "512", *SHORT)


def test_chip_ends_with_everything_that_the_golden_model_ends_with(golden: Path, tmp_path: Path) -> None:
    assert_equal_runs(train(tmp_path / "rtl", "--device", "rtl", *SHORT), golden)


def test_run_begun_on_the_golden_model_is_finished_by_the_chip(golden: Path, tmp_path: Path) -> None:
    folder = tmp_path / "moved"
    watched: list[Checkpoint] = []
    save = Checkpoint.save

    def stop_in_the_middle(self: Checkpoint, path: Path) -> None:
        save(self, path)
        watched.append(self)
        if self.position > 700:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "save", stop_in_the_middle)
        train(folder, "--device", "golden", "--checkpoint-every", "512", *SHORT, code=130)
    assert watched[-1].position == 1024
    assert main(["train", "--resume", str(folder), "--device", "rtl", "--json"]) == 0
    assert_equal_runs(folder, golden)


def test_fast_twin_ends_with_everything_that_the_golden_model_ends_with(golden: Path, tmp_path: Path) -> None:
    assert_equal_runs(train(tmp_path / "fast", "--device", "fast", *SHORT), golden)


@pytest.mark.parametrize("device", ["fast", "rtl"])
def test_narrow_weights_and_local_learning_end_as_on_the_golden_model(tmp_path: Path, device: str) -> None:
    options = [*SHORT, "--weight-bits", "12", "--local", "1", "--rotate", "5", "--shift", "0.5"]
    folders = [train(tmp_path / name, "--device", name, *options) for name in ("golden", device)]
    assert_equal_runs(*folders)
    weights = Checkpoint.load(folders[0] / "checkpoint.npz").state.weights
    assert all(not (matrix & 3).any() for matrix in weights)


@pytest.mark.slow
def test_epoch_of_mnist_on_the_chip_ends_as_on_the_fast_twin(tmp_path: Path) -> None:
    options = ["--data", "mnist", "--data-root", str(MNIST), "--lanes", "64", "--epochs", "1", "--local", "0"]
    assert_equal_runs(*(train(tmp_path / device, "--device", device, *options) for device in ("fast", "rtl")))


@pytest.mark.slow
def test_digits_reach_97_percent_on_the_golden_model(tmp_path: Path) -> None:
    accuracies = []
    for seed in ("0", "1", "2"):
        folder = train(tmp_path / seed, "--device", "golden", "--seed", seed)
        accuracies.append(json.loads((folder / "figures.json").read_text())["test_accuracy"])
    assert median(accuracies) >= 0.97
    assert min(accuracies) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["opzo", "dfa"])
def test_full_run_on_digits_is_equal_on_both_devices(tmp_path: Path, rule: str) -> None:
    folders = [train(tmp_path / device, "--device", device, "--rule", rule) for device in ("golden", "rtl")]
    assert_equal_runs(*folders)
