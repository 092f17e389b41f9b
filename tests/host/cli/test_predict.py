"""opzo predict: what it writes for labelled and for unlabelled data."""

import csv
import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from command_line import error_of

from opzo.host.api.model import Model
from opzo.host.cli.main import main
from opzo.host.data.data_sets import load_data
from opzo.host.data.events.event_files import load_events, save_events
from opzo.host.data.events.event_samples import Events, EventSample
from opzo.host.data.images.frames import Frames
from opzo.host.driver.device import open_device
from opzo.host.training.prediction import predictions, probabilities
from opzo.spec.network import Network


def test_csv_in_a_pipe_has_a_line_for_each_sample(run: Path, data: str) -> None:
    command = [sys.executable, "-m", "opzo", "predict", str(run), data]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = list(csv.DictReader(StringIO(process.stdout)))
    assert list(rows[0]) == ["sample", "class", "name", "label", "p_0", "p_1", "p_2"]
    assert [row["sample"] for row in rows] == [str(sample) for sample in range(60)]
    samples = load_data(data).test
    model = Model.load(run, "golden")
    predicted = model.predict(samples)
    assert [int(row["class"]) for row in rows] == predicted.tolist()
    shares = [[float(row[f"p_{label}"]) for label in range(3)] for row in rows]
    np.testing.assert_allclose(shares, model.predict_proba(samples), atol=1e-6)
    assert [int(row["label"]) for row in rows] == samples.y.tolist()
    np.testing.assert_allclose(np.sum(shares, axis=1), 1, atol=1e-5)
    assert np.argmax(shares, axis=1).tolist() == predicted.tolist()
    accuracy = np.mean(predicted == samples.y)
    assert f"60 samples of {data}, accuracy {accuracy:.2%}" in process.stderr


def test_json_lines_and_json_and_csv_agree(
    run: Path, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(run), data, "--set", "train", "--format", "jsonl"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert main(["predict", str(run), data, "--set", "train", "--json"]) == 0
    captured = capsys.readouterr()
    whole = json.loads(captured.out)
    assert whole["predictions"] == lines
    assert (whole["samples"], whole["set"], captured.err) == (200, "train", "")
    assert whole["accuracy"] == np.mean([line["class"] == line["label"] for line in lines])
    out = tmp_path / "found.jsonl"
    assert main(["predict", str(run), data, "--set", "train", "--json", "--out", str(out)]) == 0
    assert json.loads(capsys.readouterr().out) == {k: v for k, v in whole.items() if k != "predictions"} | {
        "file": str(out)
    }
    assert [json.loads(line) for line in out.read_text().splitlines()] == lines
    assert main(["predict", str(run), data, "--set", "train", "--out", str(tmp_path / "found.csv"), "-q"]) == 0
    assert capsys.readouterr().err == ""
    table = list(csv.reader((tmp_path / "found.csv").open()))[1:]
    assert [[float(cell) for cell in row[4:]] for row in table] == [line["probabilities"] for line in lines]


def test_images_need_no_labels(run: Path, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(run), data, "--json"]) == 0
    labelled = json.loads(capsys.readouterr().out)
    for name in ("x", "x_test"):
        np.savez(tmp_path / "images.npz", **{name: np.load(data)["x_test"]})
        assert main(["predict", str(run), str(tmp_path / "images.npz"), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert "accuracy" not in found
        expected = [{k: v for k, v in record.items() if k != "label"} for record in labelled["predictions"]]
        assert found["predictions"] == expected
    assert "lacks x_train, y_train, y_test" in error_of(
        ["eval", str(run), "--data", str(tmp_path / "images.npz")], capsys
    )


def test_event_files_need_no_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = [EventSample(np.arange(k, 9, 3, dtype=np.uint16), np.array([0, 1, 2, 3]), label=k) for k in (0, 1, 2) * 4]
    events = Events.of(samples, (1, 3, 3))
    path, bare = tmp_path / "events.npz", tmp_path / "bare.npz"
    save_events(path, events, events, "made up")
    np.savez(bare, **{name: array for name, array in np.load(path).items() if not name.endswith("_y")})
    assert not load_events(bare, labels=False)[1].labelled
    settings = [
        "--net",
        "9-8-3",
        "--input",
        "spikes",
        "--steps",
        "3",
        "--epochs",
        "1",
        "--lanes",
        "4",
        "--device",
        "golden",
    ]
    assert main(["train", "--data", str(path), *settings, "--out", str(tmp_path / "run"), "--json"]) == 0
    capsys.readouterr()
    assert main(["predict", str(tmp_path / "run"), str(bare), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    model = Model.load(tmp_path / "run", "golden")
    assert [record["class"] for record in found["predictions"]] == model.predict(events).tolist()


def test_probabilities_are_those_of_the_loss_of_the_device() -> None:
    np.testing.assert_allclose(probabilities([[0.0, np.log(3.0)], [2.0, 2.0]]), [[0.25, 0.75], [0.5, 0.5]])
    network = Network("9-8-3", steps=1)
    with open_device("golden", network, 4) as device:
        model = Model(network, device, seed=1)
        rng = np.random.default_rng(0)
        frames = Frames.of(rng.integers(0, 256, (40, 9)), np.arange(40) % 3)
        found = list(predictions(device, network, frames))
        results = list(device.run(frames.samples()))
        assert len({answer.label for answer in found}) > 1
        for answer, result, label in zip(found, results, frames.y.tolist(), strict=True):
            assert answer.label == result.prediction
            # The device rounds exponents to 1/64 and the logarithm to 1/256.
            assert -np.log2(answer.probabilities[label]) == pytest.approx(result.loss / 256, abs=0.03)
        assert model.predict(frames).tolist() == [answer.label for answer in found]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"z": np.zeros((2, 9))}, "lacks x (it has z); write it with numpy.savez, as an array x of samples"),
        ({"x": np.full((2, 8), 200)}, "8 pixels per frame; network 9-8-3 has 9 inputs"),
        ({"x": np.full((2, 9), 0.5)}, "x in "),
    ],
)
def test_samples_that_do_not_fit_are_an_error(
    arrays: dict[str, np.ndarray], said: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "wrong.npz", **arrays)
    assert said in error_of(["predict", str(run), str(tmp_path / "wrong.npz")], capsys)


def test_outputs_that_cannot_be_written_are_an_error(
    run: Path, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "there is no folder" in error_of(
        ["predict", str(run), data, "--out", str(tmp_path / "no" / "p.csv")], capsys
    )
    assert "there is no data set 'digit' (did you mean 'digits'?)" in error_of(["predict", str(run), "digit"], capsys)
