"""bench/speed.py on a small network: the figures and where they come from."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from baselines.ottt import METHODS, BaselineSettings, EventTrainer, Minibatch

from opzo.spec.network import Network
from opzo.spec.rules import Input

BENCH = Path(__file__).parents[2] / "bench" / "speed.py"
TINY = ("--data", "digits", "--net", "64-16-10", "--lanes", "4", "--samples", "4", "--epochs", "1")


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(BENCH), *options], capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("speed")


@pytest.fixture(scope="module")
def report(folder: Path) -> Path:
    path = folder / "build.json"
    path.write_text(json.dumps({"board": "some-board", "lanes": 4, "clock_mhz": 62.5, "bitstream": "x.bit"}))
    return path


@pytest.fixture(scope="module")
def figures(folder: Path, report: Path) -> dict:
    done = bench(
        *TINY, "--local", "0", "--build", str(report), "--torch-seconds", "0.05", "--out", str(folder), "--json"
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_one_width_stands_at_the_top(figures: dict) -> None:
    assert figures["lanes"] == 4
    assert figures["local"] == 0
    for key, value in figures["chips"][0].items():
        assert figures[key] == value


def test_model_counts_row_words_and_entries(figures: dict) -> None:
    train, test = figures["train"], figures["test"]
    # Feedback goes through C entries for each of 4 words, in each of 6 steps.
    assert train["feedback"] == 10 * 4 * 6
    assert test["feedback"] == test["learn"] == 0
    # Each of the 4 words of layer 1 reads all its active rows once, then the read-out's three words in each step.
    assert 4 * 10 + 6 * 3 < test["integrate"] < 4 * 65 + 6 * 3 * 17
    assert figures["model"] == pytest.approx(train["integrate"] + train["feedback"] + train["learn"], abs=0.2)
    assert train["fire"] == test["fire"] == 4 * 6
    assert figures["cycles_per_train_sample"] == pytest.approx(sum(train.values()), abs=0.2)
    assert figures["useful_share"] == pytest.approx(figures["model"] / figures["cycles_per_train_sample"], abs=1e-4)
    assert figures["ratio"] == pytest.approx(1 / figures["useful_share"], abs=1e-3)
    assert figures["cycles_per_test_sample"] < figures["cycles_per_train_sample"]


def test_clock_of_a_build_and_nominal_clock(figures: dict) -> None:
    built, nominal = figures["clocks"]
    assert (built["clock"], built["clock_mhz"]) == ("some-board, routed", 62.5)
    assert (nominal["clock"], nominal["clock_mhz"]) == ("nominal", 100.0)
    for clock in (built, nominal):
        expected = clock["clock_mhz"] * 1e6 / figures["cycles_per_train_sample"]
        assert clock["train_samples_per_second"] == round(expected)


def test_pytorch_is_measured_and_others_have_a_source(figures: dict) -> None:
    assert [(row["method"], row["batch"]) for row in figures["pytorch"]] == [
        *(("BPTT, SGD", 1), ("BPTT, AdamW", 128), ("OTTT, AdamW", 1), ("OTTT, AdamW", 128))
    ]
    assert all(row["train_samples_per_second"] > 0 for row in figures["pytorch"])
    assert all(row["basis"] in ("published", "derived") and row["source"] for row in figures["others"])


def test_folder_holds_table_and_picture(figures: dict, folder: Path) -> None:
    text = (folder / "speed.md").read_text()
    assert f"| 4 | 0 | {figures['cycles_per_train_sample']:,.0f} |" in text
    assert (folder / "speed.png").read_bytes().startswith(b"\x89PNG")


def test_checkpoint_takes_the_place_of_training(figures: dict, folder: Path, tmp_path: Path) -> None:
    kept = folder / "64-16-10,local0,1" / "checkpoint.npz"
    done = bench(*TINY, "--checkpoint", str(kept), "--torch-seconds", "0", "--out", str(tmp_path), "--json")
    again = json.loads(done.stdout)
    assert again["cycles_per_test_sample"] == figures["cycles_per_test_sample"]
    assert again["pytorch"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "mnist"), "mnist needs the folder of its four IDX files; give --data-root DIR"),
        ((*TINY, "--build", "missing.json"), "cannot read missing.json: No such file or directory; give the output of"),
        ((*TINY, "--build", str(BENCH)), "is not a build report"),
        (("--data", "saccade-digits", "--net", "2312-4-10", "--epochs", "1"), "has events; use bench/cycles.py"),
    ],
)
def test_errors_name_the_remedy(options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = bench(*options, "--out", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith("opzo: error: ")
    assert message in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("method", list(METHODS))
def test_frames_learn_as_the_same_graded_event_in_every_step(method: str) -> None:
    spec = importlib.util.spec_from_file_location("speed_torch", BENCH.with_name("speed_torch.py"))
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(speed_torch := importlib.util.module_from_spec(spec))
    network = Network.parse("9-7-6-3", steps=4, input=Input.GRADED)
    rng = np.random.default_rng(5)
    weights = [rng.normal(0, 0.9, (n_in + 1, n_out)) for n_in, n_out in ((9, 7), (7, 6), (6, 3))]
    pixels, y = rng.integers(1, 256, (5, 9)), rng.integers(0, 3, 5)
    events = SimpleNamespace(
        offsets=9 * np.arange(4)[None] + 36 * np.arange(5)[:, None], addresses=np.tile(np.arange(9), 20), y=y, inputs=9
    )
    events.offsets = np.hstack([events.offsets, events.offsets[:, -1:] + 9])
    events.values = np.repeat(pixels[:, None], 4, axis=1).reshape(-1)
    trainer = EventTrainer(network, weights, BaselineSettings(method))
    expected, outputs = trainer.gradients(Minibatch.of(events, np.arange(5), torch.float64))
    batch = speed_torch.FrameBatch(torch.from_numpy(pixels / 256), torch.from_numpy(y), 4)
    actual, again = trainer.gradients(batch)
    assert any(float(matrix.abs().max()) > 0 for matrix in expected)
    torch.testing.assert_close(again, outputs)
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other)
