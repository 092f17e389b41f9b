"""Convolutions and pools between the chip, PyTorch and NIR: both ways, and what cannot be computed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from test_exchange import assert_same
from torch import Tensor, nn
from torch.nn import functional

from opzo.host.cli.main import main
from opzo.host.data.data_sets import Frames
from opzo.host.data.events.event_samples import Events
from opzo.host.driver.device import open_device
from opzo.host.driver.input_order import channel_last_shape
from opzo.host.driver.row_layout import round_entries
from opzo.host.driver.state import State
from opzo.host.exchange import nir_graph
from opzo.host.exchange import pytorch as exchange
from opzo.host.exchange.chip_network import ChipNetwork
from opzo.host.exchange.float_layers import InputScaling
from opzo.host.exchange.float_network import FloatNetwork, signals
from opzo.host.exchange.nir_file import read_nir
from opzo.host.exchange.nir_graph import from_nir, to_nir
from opzo.host.exchange.pytorch import from_chip, from_state_dict, to_chip
from opzo.host.training.checkpoint import Checkpoint
from opzo.spec.errors import OpzoError
from opzo.spec.formats import THRESHOLD, WEIGHT
from opzo.spec.network import Network
from opzo.spec.rules import Input, Rule

NETS = ("2x4x6-3c3-p2-5c1-7-4", "1x5x3-6c5-2c3-3", "3x4x4-4c3-p2-10", "2x2x2-3c1-p2-2c3-2")


def network_of(net: str, kind: Input = Input.FRAME, steps: int = 5) -> Network:
    return Network(net, steps, input=kind)


def random_weights(network: Network, seed: int, weight_bits: int = 16, scale: float = 1.0) -> list[np.ndarray]:
    """Weights over all of the range that ``weight_bits`` store, but for the corners within ``scale`` of it."""
    print("seed", seed)
    rng, weights = np.random.default_rng(seed), []
    for shape in network.weight_shapes:
        drawn = rng.integers(WEIGHT.min, WEIGHT.max + 1, shape) * scale
        drawn[-1, :2] = WEIGHT.min, WEIGHT.max
        drawn[0, :2] = WEIGHT.max, 1
        weights.append(round_entries(drawn.astype(np.int16), {16: 0, 12: 2}[weight_bits]))
    return weights


def checkpoint(net: str, kind: Input = Input.FRAME, weight_bits: int = 16) -> Checkpoint:
    network = network_of(net, kind)
    state = State.initial(network, Rule.OPZO, 1, network.limits(8, weight_bits))
    return Checkpoint(network, Rule.OPZO, replace(state, weights=random_weights(network, 1, weight_bits)))


def random_samples(network: Network, count: int, seed: int) -> Frames | Events:
    """From dark to full."""
    rng = np.random.default_rng(seed)
    assert network.input_map is not None
    shape, y = network.input_map.shape, np.zeros(count, np.uint8)
    lit = rng.random((count, network.steps, network.inputs)) < rng.choice((0.0, 0.2, 0.6, 1.0), (count, 1, 1))
    values = rng.integers(1, 256, lit.shape).astype(np.uint8)
    if network.input is Input.FRAME:
        return Frames((lit * values)[:, 0], y, shape)
    ends = np.concatenate([[0], np.cumsum(lit.sum(2).reshape(-1))])
    offsets = np.lib.stride_tricks.sliding_window_view(ends, network.steps + 1)[:: network.steps].copy()
    graded = values[lit] if network.input is Input.GRADED else None
    return Events(np.nonzero(lit)[2].astype(np.uint16), offsets, y, shape, graded)


@pytest.mark.parametrize("kind", list(Input))
@pytest.mark.parametrize("net", NETS)
def test_forward_pass_is_the_golden_models(net: str, kind: Input) -> None:
    network = network_of(net, kind)
    weights, samples = random_weights(network, 7, scale=0.2), random_samples(network, 8, 8)
    ours = ChipNetwork(network, weights)(torch.from_numpy(samples.dense(np.arange(8))))
    assert all(0.02 < s.mean().item() < 0.98 for s in ours.spikes)
    with open_device("golden", network, 4) as device:
        device.configure(network, Rule.OPZO)
        for layer, matrix in enumerate(weights):
            device.write_weights(layer, matrix)
        sent = samples.samples(channel_last=channel_last_shape(network))
        for number, sample in enumerate(sent):
            (result,) = device.run([sample], outputs=True)
            np.testing.assert_array_equal(ours.outputs[number].sum(0).numpy(), result.outputs)
            for layer, shape in enumerate(network.layers[:-1]):
                u, s = ours.potentials[layer][number, -1], ours.spikes[layer][number]
                v = (u - THRESHOLD * s[-1]).reshape(shape.map.channels, -1).T.reshape(-1)
                np.testing.assert_array_equal(v.numpy(), device.read_membranes(layer))
                if kind is Input.FRAME:
                    # Events come in chunks, each of which starts the history again.
                    history = s.T.numpy().astype(int) @ (1 << np.arange(network.steps))
                    history = history.reshape(shape.map.channels, -1).T.reshape(-1)
                    np.testing.assert_array_equal(history, device.read_histories(layer))


@pytest.mark.parametrize("kind", list(Input))
@pytest.mark.parametrize("weight_bits", [16, 12])
@pytest.mark.parametrize("net", NETS)
def test_every_weight_comes_back(net: str, weight_bits: int, kind: Input, tmp_path: Path) -> None:
    before = checkpoint(net, kind, weight_bits)
    (tmp_path / "net.pt").write_bytes(exchange.encode_state_dict(from_chip(before)))
    (tmp_path / "net.nir").write_bytes(nir_graph.encode_nir(to_nir(before)))
    tensors = torch.load(tmp_path / "net.pt", weights_only=True)
    for model in (from_state_dict(tensors), from_nir(read_nir(tmp_path / "net.nir"))):
        weights, report = to_chip(model.layers, before.network, weight_bits=weight_bits)
        assert_same(weights, before.state.weights)
        assert not report.saturates
    assert (model.net, model.steps, model.input) == (net, 5, kind)


class Sequential(nn.Module):
    """The first network of NETS as one writes it in PyTorch: nn.Flatten is channel-first."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 3, 3, padding=1)
        self.second = nn.Conv2d(3, 5, 1)
        self.third, self.readout = nn.Linear(5 * 2 * 3, 7), nn.Linear(7, 4)

    def forward(self, pixels: Tensor, steps: int) -> Tensor:
        outputs, v = torch.zeros(len(pixels), 4).double(), [torch.zeros(()).double()] * 3
        for _ in range(steps):
            x = pixels
            for layer, module in enumerate((self.first, self.second, self.third)):
                if layer == 1:
                    x = functional.avg_pool2d(x, 2)
                u = v[layer] / 2 + module(x.flatten(1) if layer == 2 else x)
                x = (u >= 1).double()
                v[layer] = u - x
            outputs += self.readout(x)
        return outputs


def test_network_of_pytorch_does_the_same() -> None:
    """Weights with few bits, so that neither side rounds but for pixels, which are multiples of 16."""
    network, rng = network_of(NETS[0]), np.random.default_rng(3)
    module = Sequential().double()
    for tensor in module.state_dict().values():
        tensor.copy_(torch.from_numpy(rng.integers(-96, 97, tensor.shape) / 64))
    module.first.bias.detach().zero_()
    pixels = torch.from_numpy(rng.integers(0, 16, (50, 2, 4, 6)) * 16)
    weights, report = to_chip(from_state_dict(module.state_dict()).layers, network)
    assert [layer.error for layer in report.layers] == [0] * 4
    expected = module(pixels.double() / 256, network.steps)
    chip = ChipNetwork(network, weights)(pixels.reshape(50, -1))
    same = ((chip.outputs.sum(1) / WEIGHT.one - expected).abs() < 1e-9).all(1)
    # Potentials halve five times: a few may differ by the last bit at the threshold.
    assert same.double().mean() > 0.9
    assert expected.std(0).min() > 0.1


@pytest.mark.parametrize("kind", list(Input))
def test_exported_state_dict_runs_as_float_network(kind: Input) -> None:
    one = checkpoint(NETS[0], kind)
    one = replace(one, state=replace(one.state, weights=random_weights(one.network, 5, scale=0.15)))
    module = FloatNetwork(one.network)
    module.load_state_dict(from_chip(one))
    x = torch.from_numpy(random_samples(one.network, 60, 2).dense(np.arange(60)))
    ours, chips = module(signals(one.network, x).float()), ChipNetwork(one.network, one.state.weights)(x)
    same = [(a == b).double().mean().item() for a, b in zip(ours.spikes, chips.spikes, strict=True)]
    assert min(same) > 0.98
    assert (ours.decisions == chips.decisions).double().mean() > 0.9


def test_input_scaling_of_a_convolution_is_by_channel() -> None:
    layers = from_state_dict({"0.weight": torch.ones(3, 2, 3, 3), "1.weight": torch.ones(4, 12)}).layers
    scaled = InputScaling(one=128, std=[0.5, 2]).fold(layers[0])
    np.testing.assert_array_equal(scaled.weight[:, 0], 4.0)
    np.testing.assert_array_equal(scaled.weight[:, 1], 1.0)
    with pytest.raises(OpzoError, match="mean of the inputs cannot be folded into the convolution '0'"):
        InputScaling(mean=0.5).fold(layers[0])


def test_state_dict_of_convolutions_needs_the_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = checkpoint(NETS[0])
    before.save(tmp_path / "before.npz")
    file, out = str(tmp_path / "net.pt"), str(tmp_path / "after.npz")
    assert main(["export", str(tmp_path / "before.npz"), file]) == 0
    assert main(["import", file, "--out", out, "--steps", "5"]) == 2
    assert "with --net, like CHANNELSxHEIGHTxWIDTH-3c3-5c1-7-4, with p2 after" in capsys.readouterr().err
    assert main(["import", file, "--out", out, "--steps", "5", "--net", "2x4x6-3c3-5c1-7-4"]) == 2
    message = "layer '2' has weights of shape (7, 30); those of 2x4x6-3c3-5c1-7-4 have the shape (7, 120)"
    assert message in capsys.readouterr().err
    assert main(["import", file, "--out", out, "--steps", "5", "--net", NETS[0]]) == 0
    assert_same(Checkpoint.load(Path(out)).state.weights, before.state.weights)


def lif(*shape: int, **changes: Any) -> nir.LIF:
    """The chip's neurons, with time steps of a millisecond."""
    values = {"tau": 2e-3, "r": 2.0, "v_leak": 0.0, "v_threshold": 1.0} | changes
    return nir.LIF(**{name: np.broadcast_to(value, shape) for name, value in values.items()})


def conv(channels: int, below: int, kernel: int = 3, **changes: Any) -> nir.Conv2d:
    values = {"stride": 1, "padding": kernel // 2, "dilation": 1, "groups": 1} | changes
    weight = np.ones((channels, below, kernel, values.pop("width", kernel)))
    return nir.Conv2d(values.pop("input_shape", (4, 4)), weight, bias=np.zeros(channels), **values)


def pool(kind: type = nir.AvgPool2d, size: int = 2, stride: int = 2, padding: int = 0) -> Any:
    return kind(*(np.full(2, value) for value in (size, stride, padding)))


FLAT, READOUT = nir.Flatten({"input": None}, start_dim=0), nir.Linear(np.ones((3, 12)))


def graph(*nodes: nir.NIRNode, shape: tuple[int, ...] = (2, 4, 4)) -> nir.NIRGraph:
    made = nir.NIRGraph.from_list(nir.Input(np.array(shape)), *nodes, nir.Output(np.array([3])), type_check=False)
    made.metadata = {"dt": 1e-3, "reset": "subtract"}
    return made


def test_sum_pool_is_four_times_the_average() -> None:
    rest = conv(3, 2), lif(3, 4, 4)
    nodes = {
        kind: (*rest, pool(kind), conv(3, 3, 1), lif(3, 2, 2), FLAT, READOUT) for kind in (nir.AvgPool2d, nir.SumPool2d)
    }
    average, total = (from_nir(graph(*some)) for some in nodes.values())
    assert average.net == total.net == "2x4x4-3c3-p2-3c1-3"
    factors = [b.weight.max() / a.weight.max() for a, b in zip(average.layers, total.layers, strict=True)]
    assert factors == [1, 4, 1]


def test_parameters_by_channel_are_folded() -> None:
    threshold = np.array([1.0, 2.0, 4.0])[:, None, None]
    model = from_nir(graph(conv(3, 2), lif(3, 4, 4, v_threshold=threshold), pool(), FLAT, READOUT))
    assert model.layers[0].weight[:, 0, 0, 0].tolist() == [1, 0.5, 0.25]


@pytest.mark.parametrize("padding", ["same", 1])
def test_padding_may_be_a_word(padding: Any) -> None:
    assert from_nir(graph(conv(3, 2, padding=padding), lif(3, 4, 4), pool(), FLAT, READOUT)).net == "2x4x4-3c3-p2-3"


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            (conv(3, 2), lif(3, 4, 4), conv(3, 3, stride=2), lif(3, 2, 2), FLAT, READOUT),
            "node 'conv2d_1' has stride 2; .* have 1",
        ),
        ((conv(3, 2, dilation=2), lif(3, 2, 2), FLAT, READOUT), "node 'conv2d' has dilation 2"),
        ((conv(4, 1, groups=2), lif(3, 2, 2), FLAT, READOUT), "node 'conv2d' is Conv2d over 1 channels, .* 2 x 4 x 4"),
        ((conv(4, 2, groups=2), lif(3, 2, 2), FLAT, READOUT), "node 'conv2d' has groups 2"),
        (
            (conv(3, 2), lif(3, 4, 4), conv(3, 3, padding="valid"), lif(3, 2, 2), FLAT, READOUT),
            "node 'conv2d_1' has padding valid; .* train with padding 1",
        ),
        (
            (conv(3, 2), lif(3, 4, 4), conv(3, 3, padding=0), lif(3, 2, 2), FLAT, READOUT),
            "node 'conv2d_1' has padding 0; .* train with padding 1",
        ),
        ((conv(3, 2, 7, padding=0, input_shape=(9, 9)), lif(3, 3, 3), FLAT, READOUT), "node 'conv2d': a kernel of 7"),
        ((conv(3, 2, width=5), lif(3, 4, 4), FLAT, READOUT), "layer 'conv2d' has a kernel of 3 x 5"),
        ((conv(3, 2, 7, padding=3), lif(3, 4, 4), FLAT, READOUT), "layer 'conv2d' has a kernel of 7 x 7"),
        ((conv(3, 2), pool(), lif(3, 2, 2), FLAT, READOUT), "node 'avgpool2d' is AvgPool2d instead of neurons"),
        ((conv(3, 2), lif(3, 4, 4), pool(size=3), FLAT, READOUT), "is AvgPool2d with kernel_size 3; .* are 2 x 2"),
        ((conv(3, 2), lif(3, 4, 4), pool(stride=1), FLAT, READOUT), "is AvgPool2d with stride 1"),
        ((conv(3, 2), lif(3, 4, 4), pool(padding=1), FLAT, READOUT), "is AvgPool2d with padding 1"),
        ((conv(3, 2), lif(3, 4, 4), pool(), pool(), FLAT, READOUT), "node 'avgpool2d_1' is the second pool in a row"),
        ((pool(), conv(3, 2), lif(3, 4, 4), FLAT, READOUT), "node 'avgpool2d' is AvgPool2d that does not follow"),
        ((conv(3, 2), lif(3, 4, 4), pool(), READOUT), "is Linear over a map of 3 x 2 x 2; put a Flatten node before"),
        ((conv(3, 2), lif(3, 4, 4), FLAT, READOUT), "node 'linear' takes 12 inputs, but the nodes before it give 48"),
        ((conv(3, 2), lif(3, 4, 4), conv(3, 2), lif(3, 4, 4)), "'conv2d_1' is Conv2d over 2 channels, but .* 3 x 4"),
        ((conv(3, 2), lif(3, 4, 4), conv(3, 3)), "does not end with a linear layer"),
        (
            (conv(3, 2), lif(3, 4, 4, v_threshold=np.arange(1.0, 49).reshape(3, 4, 4)), FLAT, READOUT),
            "node 'lif' has a parameter that differs within a channel",
        ),
        ((conv(3, 2), lif(4), FLAT, READOUT), "node 'lif' has 4 values of a parameter for 48 neurons"),
    ],
)  # fmt: skip
def test_graph_that_the_chip_cannot_compute(nodes: tuple[nir.NIRNode, ...], message: str) -> None:
    with pytest.raises(OpzoError, match=message):
        from_nir(graph(*nodes))


def test_pool_of_an_odd_map_is_refused() -> None:
    nodes = conv(3, 2), lif(3, 4, 3), pool(), FLAT, READOUT
    with pytest.raises(OpzoError, match="node 'avgpool2d': p2 needs an even width; the map 3x4x3 has 3; train with"):
        from_nir(graph(*nodes, shape=(2, 4, 3)))


def test_batch_normalisation_is_refused() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    with pytest.raises(OpzoError, match=r"layer '1' has weights of shape \(2,\)"):
        from_state_dict(module.state_dict())
