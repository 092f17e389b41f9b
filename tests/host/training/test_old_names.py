"""Old names of settings: in files, in Python, and in what earlier versions wrote."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import SMALL, assert_same_weights, error_of

import opzo
from opzo.host.cli.main import main
from opzo.host.training.checkpoint import LATER_COUNTERS, Checkpoint
from opzo.host.training.run_folder import RunFolder
from opzo.host.training.sweep import plan


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunFolder, "write_curve", lambda self, title: None)


def as_earlier_versions_wrote(folder: Path) -> None:
    """Put the old name into a run folder."""
    config = folder / "config.toml"
    lines = config.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(("leak = ", "reset = "))]
    config.write_text("".join(kept).replace("feedback_leak = ", "leak = "))
    with np.load(folder / "checkpoint.npz") as file:
        arrays = dict(file)
    settings = json.loads(str(arrays["settings"]))
    del settings["leak"], settings["reset"]
    settings["leak"] = settings.pop("feedback_leak")
    assert settings["leak"] == 15
    later = list(LATER_COUNTERS)
    arrays |= {"settings": np.array(json.dumps(settings)), "format_version": np.array(3)}
    arrays["counters"] = np.delete(arrays["counters"], later)
    del arrays["leak"], arrays["reset"]
    np.savez(folder / "checkpoint.npz", **arrays)


def test_option_has_another_meaning(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = error_of(["train", "--leak", "15"], capsys)
    assert "leak is that of the neurons, 1/2, 3/4, 7/8, 15/16 or 1, not '15'; the leak of the feedback" in said
    # A text under the old name is the leak of the neurons, without a notice.
    file = tmp_path / "c.toml"
    file.write_text('leak = "3/4"\nfeedback_leak = 15\n')
    arguments = ["train", "--config", str(file), "--data", data, "-q", *SMALL, "--out", str(tmp_path / "run")]
    assert main(arguments) == 0
    assert capsys.readouterr().err == ""
    settings = RunFolder(tmp_path / "run").settings()
    assert (settings["leak"], settings["feedback_leak"]) == ("3/4", 15)


def test_toml_file_works_with_a_notice(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.toml"
    file.write_text("leak = 15\n")
    arguments = ["train", "--config", str(file), "--data", data, "-q", *SMALL, "--out"]
    assert main([*arguments, str(tmp_path / "run")]) == 0
    assert f"opzo: note: leak is now feedback_leak; the old name works in this version only in {file}" in (
        capsys.readouterr().err
    )
    assert RunFolder(tmp_path / "run").settings()["feedback_leak"] == 15
    file.write_text("leak = 15\nfeedback_leak = 16\n")
    assert "has both feedback_leak and its old name leak; remove leak" in error_of([*arguments, "x"], capsys)


def test_runs_of_earlier_versions_resume_to_the_same_bits(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", data, "--feedback-leak", "15", "-q", *SMALL]
    complete, stopped, begun = tmp_path / "complete", tmp_path / "stopped", tmp_path / "begun"
    assert main(["train", "--out", str(complete), *options]) == 0
    save = Checkpoint.save

    def stop_after_an_epoch(self: Checkpoint, path: Path) -> None:
        save(self, path)
        if self.epoch == 1:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "save", stop_after_an_epoch)
        assert main(["train", "--out", str(stopped), *options]) == 130
    as_earlier_versions_wrote(stopped)
    # Stopped before its first checkpoint.
    begun.mkdir()
    shutil.copy(stopped / "config.toml", begun)
    capsys.readouterr()
    for folder in (stopped, begun):
        assert main(["train", "--resume", str(folder), "-q"]) == 0
        assert capsys.readouterr().err == ""
        assert_same_weights(folder, complete)


def test_sweep_file_works_and_finds_the_folders_of_earlier_versions(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "s.toml"
    text = f'[settings]\ndata = "{data}"\nnet = "9-4-3"\n[sweep]\nleak = [15, 16]\n'
    file.write_text(text)
    (tmp_path / "leak=15").mkdir()
    for content in (text, text.replace("leak", "feedback_leak")):
        file.write_text(content)
        runs = plan(file, tmp_path)
        assert [run.config.feedback_leak for run in runs] == [15, 16]
        assert [run.folder.name for run in runs] == ["leak=15", "feedback_leak=16"]
        assert runs[0].swept == {"feedback_leak": 15}


def test_python_api_works_with_a_warning(tmp_path: Path) -> None:
    network = opzo.Network("9-4-3")
    with opzo.connect("golden", network, lanes=4) as device:
        with pytest.warns(DeprecationWarning, match="leak is now feedback_leak") as caught:
            model = opzo.Model(network, device, leak=15)
        assert caught[0].filename == __file__
        assert model.hyper.feedback_leak == 15
        with pytest.warns(DeprecationWarning, match="leak is now feedback_leak") as caught:
            assert model.hyper.leak == 15  # type: ignore[attr-defined]
        assert caught[0].filename == __file__
        with pytest.warns(DeprecationWarning, match="leak is now feedback_leak") as caught:
            assert opzo.Hyperparameters(leak=15) == model.hyper  # type: ignore[call-arg]
        assert caught[0].filename == __file__
        with pytest.raises(AttributeError, match="no attribute 'laek'"):
            _ = model.hyper.laek  # type: ignore[attr-defined]
