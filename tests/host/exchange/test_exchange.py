"""Bridge between float networks and the chip: state dicts and NIR graphs, both ways, and what rounding costs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from torch import nn

from opzo.host.data.events.event_samples import Events
from opzo.host.driver.row_layout import round_entries
from opzo.host.driver.state import State
from opzo.host.exchange import nir_graph
from opzo.host.exchange import pytorch as exchange
from opzo.host.exchange.chip_network import ChipNetwork
from opzo.host.exchange.float_layers import InputScaling, round_weights
from opzo.host.exchange.float_network import FloatNetwork, signals
from opzo.host.exchange.nir_file import read_nir
from opzo.host.exchange.nir_graph import from_nir, to_nir
from opzo.host.exchange.pytorch import from_chip, from_state_dict, to_chip
from opzo.host.exchange.torch_file import read_state_dict
from opzo.host.training.checkpoint import Checkpoint
from opzo.spec.errors import OpzoError
from opzo.spec.formats import ACCUMULATOR, MEMBRANE, WEIGHT
from opzo.spec.network import Network
from opzo.spec.rules import Input, Rule

SIZES = (12, 9, 7, 4)


def checkpoint(kind: Input = Input.FRAME, weight_bits: int = 16, seed: int = 1, steps: int = 5) -> Checkpoint:
    """Checkpoint of weights over all of the range, the corners among them."""
    print("seed", seed)
    network, rng = Network(SIZES, steps, input=kind), np.random.default_rng(seed)
    state = State.initial(network, Rule.OPZO, seed, network.limits(8, weight_bits))
    weights = []
    for matrix in state.weights:
        drawn = rng.integers(WEIGHT.min, WEIGHT.max + 1, matrix.shape)
        drawn[-1, :3] = WEIGHT.min, WEIGHT.max, -1
        drawn[0, :3] = WEIGHT.min, WEIGHT.max, 1
        weights.append(round_entries(drawn.astype(np.int16), {16: 0, 12: 2}[weight_bits]))
    return Checkpoint(network, Rule.OPZO, replace(state, weights=weights))


def assert_same(a: list[np.ndarray], b: list[np.ndarray]) -> None:
    assert [matrix.dtype for matrix in a] == [np.int16] * len(b)
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("kind", list(Input))
@pytest.mark.parametrize("weight_bits", [16, 12])
def test_every_weight_comes_back(kind: Input, weight_bits: int, tmp_path: Path) -> None:
    before = checkpoint(kind, weight_bits)
    (tmp_path / "net.pt").write_bytes(exchange.encode_state_dict(from_chip(before)))
    (tmp_path / "net.nir").write_bytes(nir_graph.encode_nir(to_nir(before)))
    tensors = torch.load(tmp_path / "net.pt", weights_only=True)
    assert tensors["0.weight"].shape == (9, 12)
    assert tensors["2.bias"].dtype == torch.float32
    for model in (from_state_dict(tensors), from_nir(read_nir(tmp_path / "net.nir"))):
        weights, report = to_chip(model.layers, before.network, weight_bits=weight_bits)
        assert_same(weights, before.state.weights)
        assert not report.saturates
        assert [layer.error for layer in report.layers] == [0, 0, 0]
    assert (model.steps, model.input) == (5, kind)


@pytest.mark.parametrize("kind", list(Input))
def test_exported_module_does_what_the_chip_does(kind: Input) -> None:
    one = checkpoint(kind)
    module = FloatNetwork(one.network)
    module.load_state_dict(from_chip(one))
    shape = (200, SIZES[0]) if kind is Input.FRAME else (200, one.network.steps, SIZES[0])
    x = torch.randint(2 if kind is Input.SPIKES else 256, shape, generator=torch.Generator().manual_seed(3))
    ours, chips = module(signals(one.network, x).float()), ChipNetwork(one.network, one.state.weights)(x)
    # Before any reset, all that differs is what 13 products and their sum lose by rounding down.
    lost = ours.potentials[0][:, 0].double() - chips.potentials[0][:, 0] / MEMBRANE.one
    assert lost.min() > -1e-5
    assert lost.max() < 13 / ACCUMULATOR.one + 1 / MEMBRANE.one + 1e-5
    same = [(a == b).double().mean().item() for a, b in zip(ours.spikes, chips.spikes, strict=True)]
    assert min(same) > 0.99
    assert min(s.mean().item() for s in chips.spikes) > 0.05
    assert (ours.decisions == chips.decisions).double().mean() > 0.97
    right = (torch.stack([(a == b).all((1, 2)) for a, b in zip(ours.spikes, chips.spikes, strict=True)])).all(0)
    torch.testing.assert_close(ours.outputs[right].double(), chips.outputs[right] / WEIGHT.one, rtol=0, atol=1e-4)


def euler(graph: nir.NIRGraph, x: np.ndarray, steps: int) -> np.ndarray:
    """Read-outs by step of one frame, by NIR's equations, each a step of dt; soft reset as the metadata say."""
    dt, values = graph.metadata["dt"], []
    potentials = {name: np.zeros(len(node.tau)) for name, node in graph.nodes.items() if isinstance(node, nir.LIF)}
    for _ in range(steps):
        signal = x
        for name, node in graph.nodes.items():
            if isinstance(node, nir.Affine):
                signal = node.weight @ signal + node.bias
            elif isinstance(node, nir.LIF):
                v = potentials[name]
                v = v + dt / node.tau * (node.v_leak - v + node.r * signal)
                signal = (v >= node.v_threshold).astype(float)
                potentials[name] = v - signal * node.v_threshold
        values.append(signal)
    return np.array(values)


def test_graph_means_what_the_module_computes() -> None:
    one = checkpoint()
    x = np.random.default_rng(2).integers(0, 256, SIZES[0])
    module = FloatNetwork.of(one.network, from_nir(to_nir(one)).layers)
    expected = module(signals(one.network, torch.from_numpy(x[None]))).outputs[0].numpy()
    np.testing.assert_allclose(euler(to_nir(one), x / 256, one.network.steps), expected, atol=1e-9)


def test_other_conventions_are_folded_into_the_weights() -> None:
    one = checkpoint(steps=4)
    rng = np.random.default_rng(5)
    mean, std, thresholds = rng.random(SIZES[0]), rng.uniform(0.2, 2, SIZES[0]), [0.3, rng.uniform(0.5, 2, 7)]
    # What a network must hold that takes (pixel / 255 - mean) / std and has other thresholds, to do the same.
    tensors = {key: tensor.double() for key, tensor in from_chip(one).items()}
    first = tensors["0.weight"] * torch.from_numpy(std) * (255 / 256)
    tensors["0.bias"] += first @ torch.from_numpy(mean / std)
    tensors["0.weight"] = first
    for layer, theta in enumerate(thresholds):
        for kind in ("weight", "bias"):
            tensors[f"{layer}.{kind}"] *= torch.as_tensor(theta, dtype=torch.float64).reshape(
                -1, *[1] * (kind == "weight")
            )
    model = from_state_dict(tensors, scaling=InputScaling(255, mean, std), threshold=thresholds)
    weights, report = to_chip(model.layers, one.network)
    assert_same(weights, one.state.weights)
    assert max(layer.error for layer in report.layers) < 1e-12


def test_gain_and_rest_of_nir_neurons_are_folded_too() -> None:
    one = checkpoint()
    graph = to_nir(one)
    lif = graph.nodes["lif_0"]
    rng = np.random.default_rng(6)
    theta, r, rest = rng.uniform(0.5, 2, 9), rng.uniform(1, 4, 9), rng.uniform(-0.5, 0.5, 9)
    affine = graph.nodes["affine_0"]
    graph.nodes["lif_0"] = nir.LIF(tau=lif.tau, r=r, v_leak=rest, v_threshold=theta)
    graph.nodes["affine_0"] = nir.Affine(
        (affine.weight.T.astype(float) * theta * 2 / r).T, (affine.bias.astype(float) * theta - rest / 2) * 2 / r
    )
    assert_same(to_chip(from_nir(graph).layers, one.network)[0], one.state.weights)


def test_layers_may_have_any_names_and_no_bias() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(6, 5, bias=False), nn.Identity(), nn.Linear(5, 3))
    model = from_state_dict(module.state_dict())
    assert [layer.name for layer in model.layers] == ["1", "3"]
    weights, _ = to_chip(model.layers, Network((6, 5, 3)))
    assert not weights[0][-1].any()
    expected = module[1].weight.detach().double().numpy().T * WEIGHT.one
    assert abs(weights[0][:-1] - expected).max() <= 0.5


def test_flatten_behind_the_input_is_passed_over() -> None:
    graph = nir.NIRGraph.from_list(
        nir.Input(np.array([1, 2, 3])),
        nir.Flatten(input_type={"input": np.array([1, 2, 3])}, start_dim=0),
        nir.Linear(np.ones((4, 6))),
        neurons(4),
        nir.Linear(np.ones((3, 4))),
    )
    assert [layer.weight.shape for layer in from_nir(graph, dt=1e-3).layers] == [(4, 6), (3, 4)]


def test_rounding_is_to_the_nearest_and_saturates() -> None:
    exact = np.array([0.5, -0.5, 1.5, 2.49, -32768.5, 32767.4, 32768, -40000]) / WEIGHT.one
    rounded, saturated = round_weights(exact, 16)
    assert rounded.tolist() == [0, 0, 2, 2, -32768, 32767, 32767, -32768]
    assert saturated.tolist() == [False] * 6 + [True] * 2
    rounded, saturated = round_weights(np.array([1.9, 2.1, -2.0, -2.1, 1 / 4096, 3 / 4096]), 12)
    assert rounded.tolist() == [7784, 8188, -8192, -8192, 0, 4]
    assert saturated.tolist() == [False, True, False, True, False, False]


def test_report_says_what_was_lost() -> None:
    network = Network((2, 2, 2), input=Input.SPIKES)
    tensors = {
        "a.weight": torch.tensor([[9.0, 1.0], [0.0, 1 + 0.25 / 4096]], dtype=torch.float64),
        "b.weight": torch.tensor([[0.5, 0.25], [0.125, 1.0]]),
    }
    _, report = to_chip(from_state_dict(tensors).layers, network)
    a, b = report.layers
    assert (a.name, a.largest, a.saturated) == ("a", 9.0, 1 / 6)
    cut = 9 - WEIGHT.max / 4096
    assert a.error == pytest.approx(np.hypot(cut, 0.25 / 4096) / np.sqrt(81 + 1 + (1 + 0.25 / 4096) ** 2))
    assert a.signal_to_noise == pytest.approx(-20 * np.log10(a.error))
    assert b.signal_to_noise is None
    assert report.figures()["layers"][1] | {"name": ""} == {
        "name": "", "largest": 1.0, "saturated": 0.0, "error": 0.0, "signal_to_noise_db": None
    }  # fmt: skip
    assert "16.667%" in report.table().splitlines()[1]
    assert report.table().endswith("exact")


def test_behaviour_counts_what_differs() -> None:
    """Counted by hand: a neuron whose weight is a quarter of a unit below the threshold spikes on the chip only."""
    network = Network((1, 2, 2), 3, input=Input.SPIKES)
    tensors = {
        "0.weight": torch.tensor([[1 - 0.25 / 4096], [2.0]], dtype=torch.float64),
        "1.weight": torch.tensor([[0.0, 1.0], [2.0, 0.0]]),
    }
    # One sample with an event in the first step, one with none; the first decides 1 on the chip, 0 before.
    events = Events(np.zeros(1, np.uint16), np.array([[0, 1, 1, 1], [1, 1, 1, 1]]), np.ones(2, np.uint8), (1, 1, 1))
    _, report = to_chip(from_state_dict(tensors).layers, network, samples=events)
    behaviour = report.behaviour
    assert behaviour is not None
    # Neuron 1: potential 2, spike, 1 left; 0.5, none; 0.25.
    assert behaviour.firing_rates == (1 / 12,)
    assert behaviour.spikes_differ == (1 / 12,)
    assert behaviour.decisions_differ == 0.5
    assert (behaviour.accuracy_before, behaviour.accuracy_after) == (0.0, 0.5)


def test_batches_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    one = checkpoint(Input.GRADED, steps=3)
    rng = np.random.default_rng(8)
    lit = rng.random((20, 3, SIZES[0])) < 0.4
    offsets = np.concatenate([[0], np.cumsum(lit.sum(2).reshape(-1))])
    offsets = np.lib.stride_tricks.sliding_window_view(offsets, 4)[::3].copy()
    values = rng.integers(1, 256, int(lit.sum())).astype(np.uint8)
    events = Events(
        np.nonzero(lit)[2].astype(np.uint16), offsets, rng.integers(0, 4, 20).astype(np.uint8), (1, 3, 4), values
    )
    layers = [layer.scaled(0.4) for layer in from_state_dict(from_chip(one)).layers]
    _, whole = to_chip(layers, one.network, samples=events)
    monkeypatch.setattr("opzo.host.exchange.rounding_report.BATCH_VALUES", 3 * sum(SIZES) * 7)
    _, parts = to_chip(layers, one.network, samples=events)
    assert whole == parts
    assert whole.behaviour is not None
    assert min(whole.behaviour.firing_rates) > 0


@pytest.mark.parametrize(
    ("tensors", "options", "message"),
    [
        ({"conv.weight": (4, 1, 3)}, {}, r"layer 'conv' has weights of shape \(4, 1, 3\); the chip has only"),
        ({"0.weight": (5, 6), "bn.running_mean": (5,)}, {}, "'bn.running_mean' is not a weight or bias of a layer"),
        ({"0.weight": (5, 6), "1.weight": (3, 4)}, {}, "layer '1' takes 4 inputs, but '0' before it has 5 neurons"),
        ({"0.weight": (5, 6), "0.bias": (4,), "1.weight": (3, 5)}, {}, r"5 neurons and a bias of shape \(4,\)"),
        ({"0.weight": (5, 6), "1.weight": (3, 5)}, {"leak": -0.1}, "neurons '0' keep -0.1 of their potential per time"),
        ({"0.weight": (5, 6), "1.weight": (3, 5)}, {"threshold": 0}, "threshold after layer '0' .* more than 0"),
        ({"0.weight": (5, 6), "1.weight": (3, 5)}, {"threshold": [1, 1]}, "2 thresholds for 1 hidden layers"),
        ({"0.weight": (5, 6), "1.weight": (3, 5)}, {"scaling": InputScaling(mean=[0, 1])}, "for each of the 6 inputs"),
        ({"0.weight": (5, 6), "1.weight": (2, 5)}, {}, "the layers have sizes 6-5-2, not 6-5-3"),
        ({"0.weight": (5, 6), "1.weight": (3, 5, 0)}, {}, "layer '1' has weights of shape"),
        ({}, {}, "no linear layer"),
    ],
)  # fmt: skip
def test_state_dict_that_the_chip_cannot_compute(
    tensors: dict[str, tuple[int, ...]], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OpzoError, match=message):
        to_chip(from_state_dict({k: torch.ones(v) for k, v in tensors.items()}, **options).layers, Network((6, 5, 3)))


def test_weights_that_are_no_numbers_are_refused() -> None:
    tensors = {"0.weight": torch.full((5, 6), float("nan")), "1.weight": torch.ones(3, 5)}
    with pytest.raises(OpzoError, match="layer '0' has weights that are not finite"):
        from_state_dict(tensors)
    for scaling in ({"one": 0.0}, {"std": 0.0}, {"mean": float("inf")}):
        with pytest.raises(OpzoError, match="must be"):
            InputScaling(**scaling)


def neurons(n: int, **changes: Any) -> nir.LIF:
    """The chip's, with time steps of a millisecond."""
    values = {"tau": 2e-3, "r": 2.0, "v_leak": 0.0, "v_threshold": 1.0} | changes
    return nir.LIF(**{name: np.full(n, value) for name, value in values.items()})


def graph(*nodes: nir.NIRNode, metadata: dict[str, Any] | None = None) -> nir.NIRGraph:
    made = nir.NIRGraph.from_list(*nodes, type_check=False)
    made.metadata = {"dt": 1e-3, "reset": "subtract"} if metadata is None else metadata
    return made


A, B = nir.Linear(np.ones((5, 6))), nir.Affine(np.ones((3, 5)), np.ones(3))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((A, neurons(5, tau=5e-4), B), "node 'lif' has tau 0.0005 s, with time steps of 0.001 s; .* not be shorter"),
        ((A, nir.LIF(*np.ones((4, 5)) * [1, 2, 3, 4, 5]), B), "node 'lif' has tau 1 to 5 s; .* train with one tau"),
        ((A, neurons(5, v_threshold=0.0), B), "node 'lif' has thresholds of 0"),
        ((A, neurons(5, v_reset=-1.0), B), "node 'lif' resets to -1; .* so v_reset must be 0"),
        ((A, neurons(4), B), "node 'lif' has 4 values of a parameter for 5 neurons"),
        ((A, nir.CubaLIF(*np.ones((5, 5))), B), "node 'cubalif' is CubaLIF with tau_syn 1 s: .* no synaptic current"),
        (
            (nir.Conv1d(5, np.ones((1, 1, 2)), 1, 0, 1, 1, np.ones(1)), neurons(5), B),
            "node 'conv1d' is Conv1d: the chip",
        ),
        ((A, B), "node 'affine' is Affine instead of neurons"),
        ((A, neurons(5), neurons(5), B), "node 'lif_1' is LIF instead of a layer"),
        (
            (A, neurons(5), B, neurons(3)),
            "node 'lif_1', at the output, keeps 0.5 of its potential .* leave these neurons",
        ),
        ((A, neurons(5), B, nir.LI(*np.ones((3, 3)))), "node 'li' is LI: the chip sums the readouts"),
    ],
)
def test_graph_that_the_chip_cannot_compute(nodes: tuple[nir.NIRNode, ...], message: str) -> None:
    with pytest.raises(OpzoError, match=message):
        from_nir(graph(*nodes))


def test_graph_without_a_time_step_needs_one(caplog: pytest.LogCaptureFixture) -> None:
    bare = graph(A, neurons(5), B, metadata={})
    with pytest.raises(OpzoError, match=r"length of a time step, .* node 'lif' is unknown; give --dt"):
        from_nir(bare)
    assert len(from_nir(bare, dt=1e-3).layers) == 2
    assert "the neurons reset to 0, as NIR says" in caplog.text


@pytest.mark.parametrize("key", ["dt", "steps"])
def test_metadata_that_are_no_numbers_are_named(key: str) -> None:
    made = graph(A, neurons(5), B)
    made.metadata[key] = "soon"
    with pytest.raises(OpzoError, match=f"'{key}' in the graph's metadata is soon, which is not a number"):
        from_nir(made)


def test_graph_that_is_no_chain() -> None:
    branch = graph(A, neurons(5), B)
    branch.edges.append(("lif", "lif"))
    with pytest.raises(OpzoError, match="node 'lif' goes to affine, lif; the chip computes a chain"):
        from_nir(branch)
    loop = nir.NIRGraph({"input": nir.Input(np.array([5])), "lif": neurons(5), "output": nir.Output(np.array([5]))},
                        [("input", "lif"), ("lif", "lif")], type_check=False)  # fmt: skip
    with pytest.raises(OpzoError, match="a chain"):
        from_nir(loop)
    apart = graph(A, neurons(5), B)
    apart.nodes["other"] = neurons(5)
    with pytest.raises(OpzoError, match="node 'other' is not between input and output"):
        from_nir(apart)
    del apart.nodes["output"]
    with pytest.raises(OpzoError, match="0 nodes of kind Output"):
        from_nir(apart)


def test_pickled_code_is_not_run(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(OpzoError, match=r"is not a state dict .*torch.save\(model.state_dict\(\), path\)"):
        read_state_dict(tmp_path / "module.pt")
    torch.save({"state_dict": {}}, tmp_path / "nested.pt")
    with pytest.raises(OpzoError, match="is not a state dict of tensors"):
        read_state_dict(tmp_path / "nested.pt")
