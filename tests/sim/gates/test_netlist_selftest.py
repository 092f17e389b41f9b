"""Netlists of real chips pass the self-test, train like the golden model in it, and like the compiled one outside."""

import json

import numpy as np
import pytest
from synthesised import synthesised

from opzo.host.cli.main import main
from opzo.spec.limits import Limits

# Four clock cycles a bit, the fewest.
BOARD = ["--board", "ecpix5-45f", "--lanes", "4", "--clock", "48"]
SAME = (
    *("train_accuracy", "test_accuracy", "train_loss", "test_loss", "firing_rates", "firing_rates_train"),
    *("synaptic_operations_per_train_sample", "weight_updates_per_train_sample", "saturations"),
)
NETWORKS = {"dense": ["--net", "16-8-4"], "convolutional": ["--net", "1x6x4-3c3-p2-4"]}
# The smallest chip that no step of the self-test finds too small, but for convolutions.
SMALL = Limits(lanes=4, rows=128, inputs=8, words=2, classes=3, weight_bits=12, layers=2, lanes_per_group=4)
# What a Gowin board has no room for is synthesised too.
GOWIN = {
    "dense": Limits(lanes=4, rows=512, inputs=16, words=2, classes=4),
    "convolutional": Limits(
        *(4, 512, 24, 24, 4, 6),
        **{"lanes_per_group": 4, "gradients": 10, "blocks": 6, "block": 2, "first_words": 24, "places": 6},
    ),
}


def passes(folder, clock_mhz, capsys):
    """Assert that a netlist passes the self-test; names of its steps, and what they tell."""
    capsys.readouterr()
    code = main(["selftest", "--device", f"netlist:{folder}", "--seed", "1", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert {step["name"] for step in report["steps"] if not step["passed"]} == set()
    assert (code, report["not_done"]) == (0, [])
    steps = {step["name"]: step for step in report["steps"]}
    assert steps["identity"]["details"]["clock_khz"] == clock_mhz * 1000
    return {name: step["text"] for name, step in steps.items()}


# Five minutes on an idle machine, of which one and a half are waits for frames that got lost.
@pytest.mark.timeout(1800)
def test_netlist_of_a_small_chip_passes_the_self_test(capsys):
    """Its training is that of the golden model, bit by bit."""
    texts = passes(synthesised("ecpix5-45f", SMALL, 48), 48, capsys)
    assert {name for name, text in texts.items() if "not done" in text} == {"conv", "igl", "store"}
    assert "19 cases of rules and inputs" in texts["rules"]
    assert "200 samples of images trained" in texts["training"]
    assert "40 samples of spikes trained" in texts["events"]


@pytest.mark.slow
@pytest.mark.parametrize("name", GOWIN)
def test_netlist_for_gowin_passes_the_self_test(name, capsys):
    passes(synthesised("tang-primer-20k", GOWIN[name], 12), 12, capsys)


@pytest.fixture(scope="module", params=NETWORKS)
def built(request, tmp_path_factory):
    """Folder of a build, from the cache where it was built before."""
    folder = tmp_path_factory.mktemp("build") / request.param
    assert main(["build", *BOARD, *NETWORKS[request.param], "--out", str(folder), "--json"]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("part", ["", "routed"])
def test_netlist_passes_the_self_test(built, part, capsys):
    passes(built / part, 48, capsys)


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
