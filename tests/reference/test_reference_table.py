"""Runs side by side, connections counted, costs."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from opzo.host.cli.main import main
from opzo.host.cli.reference.cost import SHAPES
from opzo.reference.methods.connections import FeedbackCost, feedback_cost, wiring
from opzo.reference.methods.learner import Method
from opzo.reference.methods.noise import Noise
from opzo.reference.methods.paper import ACCURACIES
from opzo.reference.methods.presets import NETWORKS, PRESETS
from opzo.reference.networks.networks import SpikingNetwork, convolutional, fully_connected
from opzo.reference.networks.neuron import LIF
from opzo.reference.networks.resnet import Block
from opzo.reference.networks.synapses import Traced, TracedConv2d, TracedLinear
from opzo.reference.runs.results import ReferenceResult, summarise
from opzo.reference.runs.run import ReferenceRun
from opzo.reference.runs.training import load_checkpoint, start

SHAPE = (2, 9, 7)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def block_network() -> SpikingNetwork:
    body = nn.Sequential(
        TracedConv2d(2, 3, stride=2, spikes_in=False), Block(3, 3, 1, 1.0), Block(3, 4, 2, 1.0), LIF(), nn.Flatten()
    )
    return SpikingNetwork(body, TracedLinear(4 * 3 * 2, 5))


NETS = {
    "fc": lambda: fully_connected(SHAPE, 5, (6, 4), 0.0),
    "conv": lambda: convolutional(SHAPE, 5, (3, "pool", 4, 2), 0.0),
    "resnet": block_network,
}


def by_jacobian(part: Traced, shape: torch.Size) -> int:
    """Connections of synapses by brute force: which outputs change with which inputs."""

    def current(x: Tensor) -> Tensor:
        if isinstance(part, TracedLinear):
            return x @ torch.ones_like(part.weight).T
        assert isinstance(part, TracedConv2d)
        return torch.nn.functional.conv2d(x, torch.ones_like(part.weight), None, part.stride, part.padding)

    return int((torch.autograd.functional.jacobian(current, torch.zeros(1, *shape)) != 0).sum())


@pytest.mark.parametrize("name", NETS)
def test_connections_are_those_of_the_jacobian(name: str) -> None:
    network = NETS[name]()
    counted = wiring(network, SHAPE)
    parts = []
    for part in network.modules():
        if isinstance(part, Traced):
            part.register_forward_hook(lambda module, inputs, output: parts.append((module, inputs[0].shape[1:])))
    network.eval()(torch.zeros(1, *SHAPE))
    assert [layer.connections for layer in counted.synapses] == [by_jacobian(*part) for part in parts]
    assert [layer.inputs for layer in counted.synapses] == [shape.numel() for _, shape in parts]
    assert sum(layer.weights for layer in counted.synapses) == sum(
        p.numel() for key, p in network.named_parameters() if key.endswith("weight")
    )
    assert counted.classes == 5


def test_sources_of_synapses() -> None:
    assert [layer.source for layer in wiring(NETS["conv"](), SHAPE).synapses] == [None, 0, 1, 2]
    # Stem, two of the first block, shortcut and two of the second, read-out.
    assert [layer.source for layer in wiring(NETS["resnet"](), SHAPE).synapses] == [None, 0, 1, 2, 2, 3, 4]


def test_operations_of_spikes_and_costs_by_hand() -> None:
    counted = wiring(fully_connected((1, 1, 10), 3, (6, 4), 0.0), (1, 1, 10))
    assert counted.operations([5.0, 2.0]) == 5 * 4 + 2 * 3
    assert feedback_cost(counted, "bp") == FeedbackCost(6 * 4 + 4 * 3, 6 * 4 + 4 * 3)
    assert feedback_cost(counted, "dfa") == FeedbackCost(3 * 10, 3 * 10)
    assert feedback_cost(counted, "opzo") == FeedbackCost(3 * 10, 3 * 10, 3 * 10)
    assert feedback_cost(counted, "zo") == FeedbackCost(0, 10)
    pooled = wiring(convolutional((1, 4, 4), 3, (2, "pool", 1), 0.0), (1, 4, 4))
    # 2 x 2 pixels behind the pool, all connected with each other: 4 spikes count as one input each.
    assert pooled.operations([4.0, 0.0]) == 4 * 4 * 1


def trained(folder: Path, epochs: int = 2, **given: Any) -> Path:
    small = {"train_samples": 120, "test_samples": 60, "epochs": 2, "batch": 40, "probes": 2, **given}
    training = start(ReferenceRun.of("digits-fc", small))
    while training.epoch < epochs:
        training.run_epoch()
    folder.mkdir()
    training.save(folder)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("runs")
    return [
        trained(root / "a", method="bp", seed=1),
        trained(root / "b", method="opzo", seed=1),
        trained(root / "c", method="opzo", seed=2),
        trained(root / "d", epochs=1, method="opzo", noise="rademacher", place="before"),
    ]


def test_table_groups_seeds_and_marks_what_is_unfinished(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ACCURACIES, ("digits", "fc"), {"opzo": (50.0, 0.1)})
    assert main(["reference", "table", *map(str, runs), "--out", str(tmp_path / "out"), "--json"]) == 0
    methods = json.loads(capsys.readouterr().out)["methods"]
    assert [one["method"] for one in methods] == ["bp", "opzo", "opzo rademacher before"]
    assert [one["seeds"] for one in methods] == [[1], [1, 2], [2022]]
    assert [one["finished"] for one in methods] == [True, True, False]
    rows = [load_checkpoint(run)["rows"][-1] for run in runs]
    accuracies = [100 * row["test_accuracy"] for row in rows]
    mean = (accuracies[1] + accuracies[2]) / 2
    assert methods[1]["test_accuracy"] == pytest.approx(mean)
    assert methods[1]["test_accuracy_std"] == pytest.approx(abs(accuracies[1] - accuracies[2]) / 2**0.5)
    assert methods[1]["difference"] == pytest.approx(mean - 50)
    assert methods[0]["paper"] is None
    spikes = [rows[0][f"firing_rate_{layer}"] * 800 * 6 for layer in (1, 2)]
    assert methods[0]["synaptic_operations_per_sample"] == pytest.approx(spikes[0] * 800 + spikes[1] * 10)
    assert methods[0]["firing_rate_total"] == pytest.approx(sum(spikes) / 9600)
    text = (tmp_path / "out" / "README.md").read_text()
    assert "1 of 2, not finished" in text
    assert f"{mean:.2f} ±" in text
    for name in ("dynamics", "variance", "relative-variance", "cosine"):
        picture = (tmp_path / "out" / f"{name}.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) > 10_000
        assert f"({name}.png)" in text


def test_table_without_probes_has_no_picture_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(tmp_path / "run", method="dfa", probes=0)
    assert main(["reference", "table", str(run), "--out", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["README.md", "dynamics.png"]
    assert "| digits, fc (120 samples) | dfa |" in capsys.readouterr().out


def test_folders_that_are_no_runs_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reference", "table", str(tmp_path)]) == 2
    assert "checkpoint.pt; give the folder of a run" in capsys.readouterr().err
    trained(tmp_path / "run", epochs=0)
    assert main(["reference", "table", str(tmp_path / "run")]) == 2
    assert "has no completed epoch" in capsys.readouterr().err
    state = load_checkpoint(tmp_path / "run")
    torch.save({**state, "run": {"recipe": 1}}, tmp_path / "run" / "checkpoint.pt")
    assert main(["reference", "table", str(tmp_path / "run")]) == 2
    assert "not a run of this version" in capsys.readouterr().err


def test_labels_tell_what_differs_from_the_papers_default() -> None:
    assert Method("opzo", local=True, intermediate=3).label == "opzo-ll-igl"
    assert (
        Method("zo", noise=Noise("rademacher", "before", antithetic=False)).label == "zo rademacher before independent"
    )
    assert Method("bp", noise=Noise("rademacher")).label == "bp"
    under = Noise(place="before", antithetic=False)
    assert Method("bp", noise=under, under_noise=True).label == "bp before"


def test_the_papers_results_belong_to_presets() -> None:
    presets = {(preset.data, preset.network) for preset in PRESETS.values()}
    assert set(ACCURACIES) <= presets
    labels = {label for methods in ACCURACIES.values() for label in methods}
    assert {label.split()[0].split("-")[0] for label in labels} == {"bp", "dfa", "dkp", "zo", "opzo"}


def test_summaries_keep_the_order(runs: list[Path]) -> None:
    summaries = summarise(ReferenceResult.read(run) for run in reversed(runs))
    assert [summary.method for summary in summaries] == ["opzo rademacher before", "opzo", "bp"]


def test_cost_by_formula_and_measured(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["reference", "cost", "--preset", "digits-fc", "--batch", "8", "--batches", "2", "--threads", "1"]
    assert main([*command, "--methods", "bp", "opzo-ll", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["batch"], told["steps"], told["threads"]) == (8, 6, 1)
    bp, opzo = told["methods"]
    assert bp["feedback_memory"] == 800 * 800 + 800 * 10
    assert opzo["feedback_operations"] == opzo["feedback_learning"] == 1600 * 10
    assert bp["ratio_to_bp"] == 1
    assert opzo["ratio_to_bp"] == pytest.approx(opzo["batch_seconds"] / bp["batch_seconds"])
    # Weights, their gradients and the optimizer's two moments are there, in single precision.
    assert all(4 * 4 * 800 * 800 < method["memory_bytes"] < 500e6 for method in (bp, opzo))
    assert main([*command, "--methods", "opzo"]) == 0
    assert "| opzo | 16,000 | 16,000 | 16,000 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--preset", "nope"], "there is no preset 'nope'"),
        (["--methods", "nope"], "there is no method 'nope'"),
        (["--batches", "0"], "--batches: the value must be 1 or more"),
        (["--device", "nope"], "PyTorch has no device 'nope'"),
    ],
)
def test_bad_input_of_cost(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reference", "cost", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_shapes_of_all_presets_are_known() -> None:
    assert {preset.data for preset in PRESETS.values()} == set(SHAPES)
    for name in ("conv5", "conv9"):
        assert len(wiring(NETWORKS[name]((3, 32, 32), 10, 0.0), (3, 32, 32)).neurons) == int(name[-1]) - 1
