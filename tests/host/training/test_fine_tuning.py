"""opzo train --from: a new run with the weights and the feedback of an earlier one."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import assert_same_weights, error_of

from opzo.host.cli.main import main
from opzo.host.data.data_sets import load_data
from opzo.host.driver.device import open_device
from opzo.host.driver.state import State
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Config
from opzo.host.training.fine_tuning import beginning
from opzo.host.training.run_folder import RunFolder
from opzo.host.training.sweep import plan
from opzo.host.training.trainer import Trainer
from opzo.spec.formats import MAGNITUDE_MAX
from opzo.spec.lfsr import lane_states
from opzo.spec.network import Network
from opzo.spec.rules import Rule


@pytest.fixture
def other_data(data: str, tmp_path: Path) -> str:
    """The same images with classes 0 and 2 swapped."""
    arrays = dict(np.load(data))
    np.savez(tmp_path / "other.npz", **{name: 2 - array if name[0] == "y" else array for name, array in arrays.items()})
    return str(tmp_path / "other.npz")


def test_begins_with_the_weights_of_the_run_and_learns_other_data(
    run: Path, other_data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Checkpoint.load(run / "checkpoint.npz")
    out = tmp_path / "tuned"
    assert main(["train", "--from", str(run), "--data", other_data, "--epochs", "6", "--out", str(out), "--json"]) == 0
    captured = capsys.readouterr()
    figures = json.loads(captured.out)
    assert (figures["network"], figures["epochs"], figures["data"], figures["lanes"]) == ("9-8-3", 6, other_data, 4)
    assert f"beginning with {run}: weights, feedback matrices and settings of 9-8-3, rule opzo, after 2" in captured.err
    after = Checkpoint.load(out / "checkpoint.npz")
    assert after.settings["from_run"] == RunFolder(out).settings()["from_run"] == str(run)
    assert after.epoch == 6
    with open_device("golden", before.network, 4) as device:
        config = Config.of(after.settings, "settings")
        trainer = Trainer(device, before.network, config, beginning(before, config, 4))
        trainer.fit(load_data(other_data).train, None)
        by_hand = trainer.checkpoint()
    for ours, theirs in zip(after.state.weights, by_hand.state.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(after.state.lfsr, by_hand.state.lfsr)
    # A run that was stopped before its first checkpoint begins in the same way.
    again = tmp_path / "again"
    again.mkdir()
    shutil.copy(out / "config.toml", again)
    assert main(["train", "--resume", str(again), "--json"]) == 0
    assert_same_weights(out, again)


def test_beginning_has_the_learned_state_and_new_schedules(run: Path) -> None:
    before = Checkpoint.load(run / "checkpoint.npz")
    assert before.state.samples > 0
    start = beginning(before, Config.of(before.settings | {"seed": 5}, "settings"), 8)
    assert (start.epoch, start.position, start.tally.samples, start.state.samples) == (0, 0, 0, 0)
    for name in ("weights", "feedback", "local", "intermediate"):
        for ours, theirs in zip(getattr(start.state, name), getattr(before.state, name), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(start.state.feedback_shift, before.state.feedback_shift)
    np.testing.assert_array_equal(start.state.lfsr, lane_states(5, 8))


def test_gradients_and_their_sums_begin_as_in_a_new_run() -> None:
    network = Network("1x4x4-2c3-3")
    config = Config(net=str(network), lanes=4)
    with open_device("golden", network, 4) as device:
        state = State.initial(network, Rule.OPZO, 0, device.limits)
    learned = replace(state, gradients=[state.gradients[0] + 7], magnitudes=np.array([99], np.uint32), pending=3)
    start = beginning(Checkpoint(network, Rule.OPZO, learned), config, 4)
    assert not start.state.gradients[0].any()
    assert start.state.magnitudes.tolist() == [MAGNITUDE_MAX]
    assert start.state.pending == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--net", "9-10-3"], "the checkpoint is of 9-8-3 with 6 steps, frame input and rule opzo, not 9-10-3"),
        (["--rule", "dfa"], "and rule dfa; leave --net"),
        (["--steps", "4"], "not 9-8-3 with 4 steps"),
        (["--weight-bits", "12"], "16 bits per weight and golden has 12"),
        (["--init-rate", "0.1"], "init_rate scales the weights of a new network"),
        (["--data", "digits"], "64 pixels per frame; network 9-8-3 has 9 inputs"),
    ],
)
def test_what_does_not_fit_is_refused(
    options: list[str], said: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert said in error_of(["train", "--from", str(run), "--out", str(out), *options], capsys)
    assert not (out / "checkpoint.npz").exists()


def test_a_run_that_is_not_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no file" in error_of(["train", "--from", str(tmp_path / "none")], capsys)


def test_a_sweep_can_begin_with_a_run(run: Path, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(f'[settings]\nfrom_run = "{run}"\n[sweep]\nrate = [20, 40]\n')
    first, second = plan(tmp_path / "s.toml", tmp_path / "runs")
    assert (first.config.net, first.config.rate, second.config.rate) == ("9-8-3", 20, 40)
    assert f"--from={run}" in first.command()
