"""``opzo import`` and ``opzo export``: there and back, errors, and a network that another program trained."""

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_exchange import assert_same, checkpoint
from torch import nn

from opzo.host.cli.main import main
from opzo.host.data.data_sets import Frames, load_data
from opzo.host.exchange import nir_graph
from opzo.host.exchange import pytorch as exchange
from opzo.host.exchange.nir_graph import to_nir
from opzo.host.exchange.pytorch import from_chip
from opzo.host.training.checkpoint import Checkpoint
from opzo.spec.rules import Input


@pytest.mark.parametrize("suffix", [".pt", ".nir"])
def test_commands_take_a_checkpoint_there_and_back(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, file = checkpoint(Input.SPIKES, 12), str(tmp_path / f"net{suffix}")
    before.save(tmp_path / "before.npz")
    capsys.readouterr()
    assert main(["export", str(tmp_path / "before.npz"), file, "--json"]) == 0
    said = [] if suffix == ".nir" else ["--steps", "5", "--input", "spikes"]
    assert main(["import", file, "--out", str(tmp_path / "after.npz"), "--weight-bits", "12", *said, "--json"]) == 0
    exported, imported = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert exported["network"] == imported["network"] == "12-9-7-4"
    assert [layer["signal_to_noise_db"] for layer in imported["layers"]] == [None] * 3
    after = Checkpoint.load(tmp_path / "after.npz")
    assert_same(after.state.weights, before.state.weights)
    assert (after.network, after.state.weight_bits) == (before.network, 12)


@pytest.mark.parametrize("command", ["import", "export"])
def test_without_the_libraries_the_remedy_is_told(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint().save(tmp_path / "net.npz")
    monkeypatch.setitem(sys.modules, "nir", None)
    monkeypatch.delitem(sys.modules, "opzo.host.exchange.nir_graph")
    files = {"import": ["net.nir", "--out", "out.npz"], "export": ["net.npz", "net.nir"]}
    monkeypatch.chdir(tmp_path)
    assert main([command, *files[command]]) == 2
    assert "install them with: pip install 'opzo[torch]'" in capsys.readouterr().err
    assert not Path("out.npz").exists()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04"])
@pytest.mark.parametrize("suffix", [".pt", ".nir"])
def test_files_that_hold_no_network(
    suffix: str, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"net{suffix}"
    for expected in ("there is no file", "is not a "):
        assert main(["import", str(file), "--out", str(tmp_path / "out.npz")]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert f"{file}" in lines[0]
        assert expected in lines[0]
        file.write_bytes(content)
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "net.h5"], "the suffix of net.h5 is unknown; use .pt, .pth, .nir"),
        (["import", "net.nir", "--threshold", "2"], "--threshold is for .pt files"),
        (["import", "net.pt", "--dt", "1"], "--dt is for .nir files"),
        (["import", "net.pt", "--net", "12-9-4"], "the layers have sizes 12-9-7-4, not 12-9-4"),
        (["import", "net.pt", "--data", "digits"], "has 64 pixels per frame; network 12-9-7-4 has 12 inputs"),
        (["import", "net.pt", "--steps", "9"], "needs 9 time steps; the device has 8"),
    ],
)
def test_options_that_cannot_be(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.pt").write_bytes(exchange.encode_state_dict(from_chip(checkpoint())))
    capsys.readouterr()
    assert main([*arguments, "--out", "out.npz"]) == 2
    assert message in capsys.readouterr().err
    assert not Path("out.npz").exists()


class Surrogate(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, u: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(u)
        return (u >= 0).to(u.dtype)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient / (1 + 4 * context.saved_tensors[0].abs()) ** 2


class Foreign(nn.Module):
    """Spiking network of somebody else: normalised inputs, threshold 0.6, written step by step."""

    MEAN, STD, THRESHOLD, STEPS = 0.3, 0.37, 0.6, 4

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(64, 48), nn.Linear(48, 10)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = (pixels.float() / 255 - self.MEAN) / self.STD
        v, total = torch.zeros(len(x), 48), torch.zeros(len(x), 10)
        for _ in range(self.STEPS):
            v = 0.5 * v + self.hidden(x)
            s = Surrogate.apply(v - self.THRESHOLD)
            v = v - s * self.THRESHOLD
            total = total + self.out(s)
        return total


@pytest.fixture(scope="module")
def trained() -> tuple[Foreign, float]:
    """Network trained on digits, and its accuracy on the test set."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data, module = load_data("digits"), Foreign()
    assert isinstance(data.train, Frames)
    assert isinstance(data.test, Frames)
    x, y = torch.from_numpy(data.train.x), torch.from_numpy(data.train.y.astype(np.int64))
    optimizer = torch.optim.Adam(module.parameters(), 5e-3)
    for _ in range(15):
        for part in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(x[part]), y[part]).backward()
            optimizer.step()
    with torch.no_grad():
        right = module(torch.from_numpy(data.test.x)).argmax(1).numpy() == data.test.y
    return module, float(right.mean())


@pytest.mark.parametrize("weight_bits", [16, 12])
def test_foreign_network_runs_on_the_chip(
    trained: tuple[Foreign, float], weight_bits: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module, accuracy = trained
    assert accuracy > 0.93
    torch.save(module.state_dict(), tmp_path / "foreign.pt")
    out = str(tmp_path / "chip.npz")
    conventions = ["--one", "255", "--mean", str(module.MEAN), "--std", str(module.STD)]
    conventions += ["--threshold", str(module.THRESHOLD), "--steps", str(module.STEPS), "--data", "digits"]
    command = ["import", str(tmp_path / "foreign.pt"), "--out", out, *conventions, "--weight-bits", str(weight_bits)]
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    behaviour = report["behaviour"]
    assert behaviour["samples"] == 359
    # The float network in the chip's conventions is the one that was trained.
    assert behaviour["accuracy_before"] == pytest.approx(accuracy, abs=0.003)
    assert behaviour["accuracy_after"] > accuracy - 0.012
    assert behaviour["decisions_differ"] < 0.02
    assert behaviour["spikes_differ"][0] < (0.002 if weight_bits == 16 else 0.008)
    noise = [layer["signal_to_noise_db"] for layer in report["layers"]]
    assert min(noise) > (60 if weight_bits == 16 else 30)
    # The mean of the pixels makes a bias too large for Q1.10.
    assert (report["layers"][0]["saturated"] > 0) == (weight_bits == 12)
    # The golden model decides as the quantised twin did.
    assert main(["eval", out, "--device", "golden", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["test_accuracy"] == behaviour["accuracy_after"]
    assert (result["steps"], result["weight_bits"]) == (module.STEPS, weight_bits)
    print(json.dumps(report, indent=1))


def test_report_is_told_in_words(
    trained: tuple[Foreign, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = trained[0].state_dict() | {"out.bias": torch.full((10,), 8.5)}
    torch.save(tensors, tmp_path / "foreign.pt")
    command = ["import", str(tmp_path / "foreign.pt"), "--out", str(tmp_path / "chip.npz"), "--data", "digits"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert "weights beyond the range of 16 bits were clipped" in captured.err
    lines = captured.out.splitlines()
    assert "network: 64-48-10" in lines
    assert any(line.startswith("out       8.500     2.041%") for line in lines)
    assert lines[-1].startswith("accuracy: ")


def test_checkpoint_opens_as_any_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.nir").write_bytes(nir_graph.encode_nir(to_nir(checkpoint())))
    out = str(tmp_path / "chip.npz")
    assert main(["import", str(tmp_path / "net.nir"), "--out", out, "--rule", "dfa", "--lanes", "4"]) == 0
    capsys.readouterr()
    assert main(["info", out, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["network"], facts["rule"], facts["lanes"], facts["steps"]) == ("12-9-7-4", "dfa", 4, 5)
    loaded = Checkpoint.load(Path(out))
    assert [matrix.shape for matrix in loaded.state.feedback] == [(4, 9), (4, 7)]
    assert sum(a * b for a, b in pairwise(loaded.network.sizes)) == sum(m[:-1].size for m in loaded.state.weights)
