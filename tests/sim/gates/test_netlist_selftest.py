"""The netlist of a real chip passes the self-test and trains like the golden model."""

import json

import numpy as np
import pytest

from opzo.host.cli.main import main

# Four clock cycles a bit, the fewest.
BOARD = ["--board", "ecpix5-45f", "--lanes", "4", "--clock", "48"]
SAME = (
    *("train_accuracy", "test_accuracy", "train_loss", "test_loss", "firing_rates", "firing_rates_train"),
    *("synaptic_operations_per_train_sample", "weight_updates_per_train_sample", "saturations"),
)
NETWORKS = {"dense": ["--net", "16-8-4"], "convolutional": ["--net", "1x6x4-3c3-p2-4"]}


@pytest.fixture(scope="module", params=NETWORKS)
def built(request, tmp_path_factory):
    """Folder of a build, from the cache where it was built before."""
    folder = tmp_path_factory.mktemp("build") / request.param
    assert main(["build", *BOARD, *NETWORKS[request.param], "--out", str(folder), "--json"]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("part", ["", "routed"])
def test_netlist_passes_the_self_test(built, part, capsys):
    capsys.readouterr()
    code = main(["selftest", "--device", f"netlist:{built / part}", "--seed", "1", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert {step["name"] for step in report["steps"] if not step["passed"]} == set()
    assert (code, report["not_done"]) == (0, [])
    (identity,) = (step for step in report["steps"] if step["name"] == "identity")
    assert identity["details"]["clock_khz"] == 48_000


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    """Data set of four kinds of images for each network: a bright row."""
    shapes = {"dense": (4, 4), "convolutional": (6, 4)}
    rng, labels, paths = np.random.default_rng(0), np.arange(60) % 4, {}
    for name, (height, width) in shapes.items():
        rows = np.kron(np.eye(height)[:4], np.ones((1, width)))[labels]
        pixels = np.clip(rows * 200 + rng.integers(0, 55, rows.shape), 0, 255).astype(np.uint8)
        images = pixels.reshape(-1, height, width)
        paths[name] = tmp_path_factory.mktemp("bars") / f"{name}.npz"
        np.savez(paths[name], x_train=images[:40], y_train=labels[:40], x_test=images[40:], y_test=labels[40:])
    return paths


@pytest.mark.slow
@pytest.mark.parametrize("part", ["", "routed"])
def test_netlist_trains_like_the_compiled_model(built, part, bars, tmp_path, capsys):
    """Weights, feedback entries, random states and all that was counted, but for cycles, are equal."""
    checkpoints, figures = [], []
    for number, device in enumerate((f"netlist:{built / part}", "fast")):
        out = tmp_path / str(number)
        options = ["--lanes", "4", "--epochs", "1", "--device", device, "--data", str(bars[built.name])]
        capsys.readouterr()
        assert main(["train", *NETWORKS[built.name], *options, "--out", str(out), "--json"]) == 0
        figures.append(json.loads(capsys.readouterr().out))
        with np.load(out / "checkpoint.npz") as file:
            checkpoints.append({name: file[name] for name in file.files if name != "settings"})
    assert [figures[0][name] for name in SAME] == [figures[1][name] for name in SAME]
    on_netlist, on_model = checkpoints
    assert on_netlist.keys() == on_model.keys()
    assert on_netlist["samples"] == 40
    for name, value in on_model.items():
        np.testing.assert_array_equal(on_netlist[name], value, name)
