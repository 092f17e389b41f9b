"""Runs of the reference: metrics, checkpoints, the command."""

import argparse
import csv
import json
import re
import shutil
import sys
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from opzo.host.cli.main import main
from opzo.host.cli.reference import train as reference_train
from opzo.host.cli.reference.train import SETTINGS, add
from opzo.reference.methods.credit import METHODS
from opzo.reference.runs.probe import probe, relative_variance
from opzo.reference.runs.run import ReferenceRun
from opzo.reference.runs.training import Training, load_checkpoint, load_run, start
from opzo.spec.errors import OpzoError
from opzo.system.folder_lock import locked

SMALL = {"train_samples": 160, "test_samples": 60, "epochs": 3, "batch": 40}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def small(**given: Any) -> ReferenceRun:
    return ReferenceRun.of("digits-fc", {**SMALL, **given})


def weights(training: Training) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in training.learner.state_dict().items()}


def without_seconds(training: Training) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in training.rows]


@pytest.mark.parametrize("name", METHODS)
def test_a_resumed_run_is_the_run_that_was_not_stopped(name: str, tmp_path: Path) -> None:
    straight = start(small(method=name, local=True, dropout=0.2))
    while straight.epoch < 3:
        straight.run_epoch()
    stopped = start(small(method=name, local=True, dropout=0.2))
    stopped.run_epoch()
    stopped.save(tmp_path)

    def kill(tally: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped.run_epoch(kill)
    torch.manual_seed(99)
    resumed = load_run(tmp_path)
    assert (resumed.epoch, resumed.run) == (1, stopped.run)
    while resumed.epoch < 3:
        resumed.run_epoch()
    expected = weights(straight)
    for key, value in weights(resumed).items():
        assert torch.equal(value, expected[key]), key
    assert without_seconds(resumed) == without_seconds(straight)


@pytest.mark.parametrize("name", ["bp", "dfa", "dkp", "opzo"])
def test_methods_learn_digits(name: str) -> None:
    training = start(ReferenceRun.of("digits-fc", {"method": name, "epochs": 6}))
    while training.epoch < 6:
        result = training.run_epoch()
    assert result.test_accuracy > 0.9
    assert result.train_accuracy > 0.9


def test_schedules_fall_from_first_to_last() -> None:
    run = small(alpha_first=0.4, alpha_last=0.1)
    training = start(run)
    assert [round(run.recipe.alpha(epoch), 6) for epoch in range(3)] == [0.4, 0.25, 0.1]
    rates = []
    optimizer = training._optimizer
    while training.epoch < 3:
        training.run_epoch(lambda tally: rates.append(optimizer.param_groups[0]["lr"]))
    assert len(rates) == 12
    assert rates[0] == run.recipe.rate
    assert rates[6] == pytest.approx(run.recipe.rate / 2)
    assert sorted(rates, reverse=True) == rates
    assert rates[-1] < 0.02 * run.recipe.rate


def test_zo_has_its_own_step_size_and_no_dropout() -> None:
    assert ReferenceRun.of("mnist-fc", {}).recipe.dropout == 0.2
    assert ReferenceRun.of("mnist-fc", {"method": "zo"}).recipe.dropout == 0.0
    assert ReferenceRun.of("mnist-fc", {"method": "zo"}).recipe.rate == pytest.approx(2e-5)
    assert ReferenceRun.of("mnist-fc", {"method": "zo", "rate": 0.1}).recipe.rate == 0.1


def test_probes_change_nothing_and_tell_methods_apart() -> None:
    plain = start(small(method="opzo"))
    plain.run_epoch()
    plain.run_epoch()
    probed = start(small(method="opzo", probes=3))
    probed.run_epoch()
    result = probed.run_epoch()
    for key, value in weights(plain).items():
        assert torch.equal(value, weights(probed)[key]), key
    found = result.probe
    assert found is not None
    assert len(found.cosine) == len(found.variance) == 3
    assert all(0 < variance for variance in found.variance)
    exact = start(small(method="bp", probes=3)).run_epoch().probe
    assert exact is not None
    assert exact.variance == exact.bp_variance
    assert exact.cosine == pytest.approx([1, 1, 1])
    assert found.cosine[2] > 0.9, "the read-out has its own error, only noise makes a difference"
    assert found.cosine[0] < 0.9


def test_zo_gradients_vary_more_than_those_of_opzo_and_bp() -> None:
    trained = start(small(method="opzo", train_samples=600, epochs=5))
    while trained.epoch < 5:
        trained.run_epoch()
    batches = [trained.batch(trained.data.train, indices, augment=False) for indices in blocks(600, 60)]
    opzo = probe(trained.learner, batches, 0.2)
    zo = start(small(method="zo"))
    zo.take_network({"learner": weights(trained)})
    single = probe(zo.learner, batches, 0.2)

    assert single.bp_variance == opzo.bp_variance
    assert single.variance[1] > 10 * single.bp_variance[1]
    assert opzo.variance[1] < single.bp_variance[1]
    assert single.relative_variance[1] > 10 * opzo.relative_variance[1]
    assert 0.1 < opzo.relative_variance[1] / opzo.bp_relative_variance[1] < 10


def test_relative_variance_is_that_of_scaled_and_noisy_gradients() -> None:
    mean, noise = torch.ones(4000).double(), torch.randn(20, 4000, generator=torch.Generator().manual_seed(1)).double()
    for scale in (1e-4, 1, 1e4):
        assert relative_variance(scale * (mean + 3 * noise)) == pytest.approx(9, rel=0.1)
    assert relative_variance(mean.expand(20, -1)) == pytest.approx(0, abs=1e-12)
    assert relative_variance(noise - noise.mean(0)) == inf
    assert relative_variance(noise[:1]) == inf


def blocks(count: int, size: int) -> list[np.ndarray]:
    return [np.arange(begin, begin + size) for begin in range(0, count, size)]


def test_command_trains_resumes_and_writes_metrics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    options = ["--train-samples", "160", "--test-samples", "60", "--batch", "40", "--threads", "1", "--seed", "1"]
    command = ["reference", "train", "--preset", "digits-fc", "--method", "dkp", "--epochs", "2", *options]
    assert main([*command, "--out", str(out), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["recipe"]["seed"] == 1
    assert figures["recipe"]["method"]["name"] == "dkp"
    with (out / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["test_accuracy"]) == figures["test_accuracy"]
    assert 0 < float(rows[1]["firing_rate_1"]) < 1
    assert load_checkpoint(out)["epoch"] == 2
    assert main([*command, "--out", str(out)]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main(["reference", "train", "--resume", str(out)]) == 0
    captured = capsys.readouterr()
    assert "test accuracy" in captured.out
    assert f"nothing is left to do in {out}: all 2 epochs are trained" in captured.err
    next_run = tmp_path / "next"
    assert main([*command, "--weights", str(out), "--out", str(next_run), "--rate", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test_accuracy"] == figures["test_accuracy"]


def test_what_is_printed_last_brings_the_network_to_the_chip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["reference", "train", "--preset", "digits-fc", "--epochs", "2", "--threads", "1"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    said, last = capsys.readouterr().out.strip().splitlines()[-2:]
    assert last.startswith("import to the chip with: opzo import ")
    options = [*last.split()[6:], "--data", "digits", "--json"]
    assert main(options) == 0
    behaviour = json.loads(capsys.readouterr().out)["behaviour"]
    assert f"test accuracy {behaviour['accuracy_before']:.2%};" in said


def test_interrupted_command_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Training, "run_epoch", lambda self, progress: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["reference", "train", "--preset", "digits-fc", "--out", str(tmp_path / "run")]) == 130
    said = capsys.readouterr().err
    assert f"opzo reference train --resume {tmp_path / 'run'}" in said
    assert load_checkpoint(tmp_path / "run")["epoch"] == 0


def test_a_folder_belongs_to_one_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Training, "run_epoch", lambda self, progress: (_ for _ in ()).throw(KeyboardInterrupt))
    out, command = tmp_path / "run", ["reference", "train", "--preset", "digits-fc"]
    with locked(out, ""):
        assert main([*command, "--out", str(out)]) == 2
        assert main(["reference", "train", "--resume", str(out)]) == 2
        assert list(out.iterdir()) == []
    assert capsys.readouterr().err.count(f"another process is training in {out}; wait for it") == 2
    out.mkdir()
    # Another process has made the folder in the same second.
    monkeypatch.setattr(reference_train, "_new_folder", lambda preset, plan: out)
    assert main(command) == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run-2"]
    (tmp_path / "file").touch()
    monkeypatch.setattr("opzo.reference.runs.training.start", lambda *arguments: pytest.fail("the data were read"))
    assert main([*command, "--out", str(tmp_path / "file")]) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--preset", "nope"], "there is no preset 'nope'; choose mnist-fc"),
        (["--preset", "digits-fc", "--method", "nope"], "there is no method 'nope'; choose bp"),
        (["--preset", "digits-fc", "--noise", "pink"], "there is no noise 'pink'; choose gaussian, rademacher"),
        (["--preset", "digits-fc", "--intermediate"], "take a conv9 preset"),
        (["--preset", "digits-fc", "--epochs", "0"], "--epochs: the value must be 1 or more"),
        (["--preset", "digits-fc", "--rate", "-1"], "--rate: the value must be 0 or more"),
        (["--preset", "digits-fc", "--dropout", "1"], "dropout must be less than 1"),
        (["--preset", "digits-fc", "--device", "nope"], "PyTorch has no device 'nope'"),
        (["--preset", "digits-fc", "--weights", "nowhere"], "checkpoint.pt; give the folder of a run"),
        (["--preset", "mnist-fc"], "mnist needs the folder"),
        (["--resume", "nowhere"], "there is no nowhere/checkpoint.pt"),
        (["--resume", "nowhere", "--seed", "1"], "leave --seed out"),
        ([], "one of the arguments --preset --resume is required"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["reference", "train", *arguments]) == 2
    errors = capsys.readouterr().err.strip()
    assert errors.startswith("opzo: error: ")
    assert "\n" not in errors
    assert said in errors
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", [["train", "--preset", "digits-fc"], ["table", "run"], ["cost"]])
def test_without_pytorch_it_says_how_to_get_it(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The import that fails leaves a new, empty package there, which later tests must not find.
    monkeypatch.setattr("opzo.reference", sys.modules["opzo.reference"])
    for module in [name for name in sys.modules if name.startswith("opzo.reference")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["reference", *command]) == 2
    assert "pip install 'opzo[torch]'" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["x_train", "y_train", "x_test", "y_test"])
def test_a_run_is_not_resumed_with_other_data(part: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shapes = {"x_train": (40, 8, 8), "x_test": (20, 8, 8)}
    arrays: dict[str, Any] = {name: rng.integers(0, 256, shape) for name, shape in shapes.items()}
    arrays |= {"y_train": np.arange(40) % 3, "y_test": np.arange(20) % 3}
    path, folder = tmp_path / "d.npz", tmp_path / "run"
    folder.mkdir()
    np.savez(path, **arrays)
    start(replace(small(), data=str(path), train_samples=30, test_samples=10)).save(folder)
    assert load_run(folder).epoch == 0
    np.savez(path, **arrays | {part: arrays[part][::-1]})
    with pytest.raises(OpzoError, match=r"d.npz is not the data that .*run was trained on; give the same files"):
        load_run(folder)


def test_a_run_that_began_with_weights_resumes_without_them(tmp_path: Path) -> None:
    first = start(small(seed=5))
    first.run_epoch()
    (tmp_path / "first").mkdir()
    first.save(tmp_path / "first")
    second = start(small(seed=6, weights=str(tmp_path / "first")))
    for key, value in first.learner.network.state_dict().items():
        assert torch.equal(value, second.learner.network.state_dict()[key]), key
    (tmp_path / "second").mkdir()
    second.save(tmp_path / "second")
    shutil.rmtree(tmp_path / "first")
    assert load_run(tmp_path / "second").epoch == 0


@pytest.mark.parametrize(
    "options",
    [
        *(["--epochs", value] for value in ("-1", "nan", "1.5", "99999999999")),
        *(["--batch", value] for value in ("0", "1e3", "99999999999")),
        *(["--rate", value] for value in ("nan", "inf", "1e30")),
        *(["--decay", value] for value in ("-1", "nan")),
        *(["--dropout", value] for value in ("-0.1", "nan", "2")),
        *(["--momentum", value] for value in ("1", "nan")),
        *(["--alpha-first", value] for value in ("-1", "inf")),
        *(["--seed", value] for value in ("-1", str(1 << 63), "x")),
        *(["--probes", value] for value in ("-1", "x")),
        *(["--train-samples", value] for value in ("0", "-5", "99999999")),
        *(["--threads", value] for value in ("0", "99999999999")),
        *(["--device", value] for value in ("nope", "meta", "cuda:99", "")),
        ["--out", "file"],
        ["--out", "file/below"],
    ],
)
def test_settings_at_their_edges(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    assert main(["reference", "train", "--preset", "digits-fc", *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("opzo: error: ")
    assert "device type at start" not in line, "text of torch"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run": 3}, "not a run of this version"),
        ({"rows": 3}, "not a run of this version|does not fit its run"),
        ({"rows": [{"epoch": 1}]}, "not a run of this version|does not fit its run"),
        ({"rows": [{"epoch": 7, "train_accuracy": 1.0}]}, "not a run of this version|does not fit its run"),
        ({"learner": 3}, "does not fit its run"),
        ({"optimizer": {}}, "does not fit its run"),
        ({"random": 3}, "does not fit its run"),
        ({"recipe": {"network": "fc9"}}, "there is no network 'fc9'"),
        ({"recipe": {"epochs": "many"}}, "epochs must be a whole number"),
        ({"recipe": {"rate": float("nan")}}, "rate must be"),
        ({"recipe": {"other": 1}}, "not a run of this version"),
        ({"plan": {"data": 3}}, "data must be a string"),
        ({"plan": {"train_samples": -1}}, "train_samples must be"),
    ],
)
def test_every_value_of_a_checkpoint_is_checked(
    changes: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start(small()).save(tmp_path)
    state = load_checkpoint(tmp_path)
    state["run"]["recipe"] |= changes.pop("recipe", {})
    state["run"] |= changes.pop("plan", {})
    torch.save(state | changes, tmp_path / "checkpoint.pt")
    assert main(["reference", "train", "--resume", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)


def test_damaged_and_foreign_checkpoints_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = start(small())
    training.save(tmp_path)
    path = tmp_path / "checkpoint.pt"
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    assert main(["reference", "train", "--resume", str(tmp_path)]) == 2
    assert "is not a checkpoint of a run" in capsys.readouterr().err
    path.write_bytes(whole)
    state = load_checkpoint(tmp_path)
    state["run"]["recipe"]["network"] = "conv5"
    torch.save(state, path)
    assert main(["reference", "train", "--resume", str(tmp_path)]) == 2
    assert "does not fit its run" in capsys.readouterr().err


def test_settings_are_those_of_the_command() -> None:
    parser = argparse.ArgumentParser()
    add(parser)
    told = {action.dest for action in parser._actions}
    assert set(SETTINGS) <= told
    assert told - set(SETTINGS) == {"help", "preset", "resume", "device", "threads", "out", "json", "verbose", "quiet"}
    run = ReferenceRun.of(
        "digits-fc", {"method": "zo", "local": True, "noise": "rademacher", "place": "before", "independent": True}
    )
    method = run.recipe.method
    assert (method.name, method.local, method.noise.kind, method.noise.place) == ("zo", True, "rademacher", "before")
    assert not method.noise.antithetic
