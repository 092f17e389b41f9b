"""The chip's forward pass in PyTorch: spikes, potentials and read-outs are the golden model's."""

import numpy as np
import pytest
import torch

from opzo.host.driver.row_layout import pack_rows, round_entries
from opzo.host.exchange.chip_network import ChipNetwork
from opzo.sim.golden.core import GoldenCore
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.formats import HISTORY_STEPS, MEMBRANE, THRESHOLD, WEIGHT
from opzo.spec.memories import Space
from opzo.spec.network import Network
from opzo.spec.registers import Counter, Reg, network_registers
from opzo.spec.rules import Input, Rule

SHAPES = [(1, 1, 2), (7, 9, 3), (150, 33, 17, 10), (200, 20, 5, 40, 7)]
LANES = 4


def random_weights(rng: np.random.Generator, network: Network, scale: int, low_bits: int) -> list[np.ndarray]:
    """Weights up to ``scale`` / sqrt(n_in) raw units, the largest and smallest there are among them.

    Each neuron's have mostly one sign, so that large ones drive its potential to the end of the range.
    """
    weights = []
    for n_in, n_out in zip(network.sizes[:-1], network.sizes[1:], strict=True):
        bound = scale / n_in**0.5
        matrix = rng.integers(-bound, bound + 1, (n_in + 1, n_out))
        matrix = np.where(rng.random(matrix.shape) < 0.8, abs(matrix) * rng.choice((-1, 1), n_out), matrix)
        matrix = np.clip(matrix, WEIGHT.min, WEIGHT.max)
        matrix.reshape(-1)[rng.integers(matrix.size, size=2)] = WEIGHT.min, WEIGHT.max
        weights.append(round_entries(matrix.astype(np.int16), low_bits))
    return weights


def random_samples(rng: np.random.Generator, network: Network, count: int) -> np.ndarray:
    """From dark to full; corners among the values."""
    shape = (count, network.inputs) if network.input is Input.FRAME else (count, network.steps, network.inputs)
    density = rng.choice((0.0, 0.1, 0.5, 1.0), (count, *[1] * (len(shape) - 1)))
    lit = rng.random(shape) < density
    if network.input is Input.SPIKES:
        return lit.astype(np.uint8)
    return (lit * rng.choice((1, 15, 16, 17, 254, 255, int(rng.integers(1, 256))), shape)).astype(np.uint8)


class Golden:
    """Steps of one sample in a golden core, everything read after each."""

    def __init__(self, network: Network, weights: list[np.ndarray], weight_bits: int) -> None:
        limits = network.limits(LANES, weight_bits)
        self.network, self.core = network, GoldenCore(limits)
        for address, value in network_registers(network, limits, Rule.OPZO).items():
            self.core.write_register(address, value)
        for layer, matrix in zip(network.layout(limits), weights, strict=True):
            for row, data in enumerate(pack_rows(matrix, LANES)):
                self.core.write_row(Space.WEIGHTS, layer.weight_base + row, data.astype(np.uint16))

    def run(self, sample: np.ndarray) -> tuple[list[list[np.ndarray]], list[list[np.ndarray]], list[np.ndarray]]:
        """Potentials after the reset and spikes by step and layer, read-outs by step."""
        potentials, spikes, outputs = [], [], []
        for step in range(self.network.steps):
            self._advance(sample, step)
            layers = self.core.layers()[:-1]
            # A frame has run up to this step, from its start; events run one step at a time.
            bit = step if self.network.input is Input.FRAME else 0
            words = [slice(layer.word_base, layer.word_base + layer.words) for layer in layers]
            potentials.append([self.core.membrane[some].reshape(-1) for some in words])
            spikes.append([self.core.history[some].reshape(-1) >> bit & 1 for some in words])
            outputs.append(self.core.last_outputs[: self.network.classes].copy())
            potentials[-1] = [v[: layer.neurons].copy() for v, layer in zip(potentials[-1], layers, strict=True)]
            spikes[-1] = [s[: layer.neurons].copy() for s, layer in zip(spikes[-1], layers, strict=True)]
        return potentials, spikes, outputs

    def _advance(self, sample: np.ndarray, step: int) -> None:
        if self.network.input is Input.FRAME:
            lit = np.flatnonzero(sample)
            self.core.write_register(Reg.STEPS, step + 1)
            self.core.run(Chunk(lit, sample[lit].astype(np.int64)), 0, RunFlag(0))
        else:
            lit = np.flatnonzero(sample[step])
            chunk = Chunk.of_steps([lit], [sample[step][lit]] if self.network.input is Input.GRADED else None)
            self.core.run(chunk, 0, RunFlag(0) if step else RunFlag.FRESH | RunFlag.DECISION)


@pytest.mark.parametrize("kind", list(Input))
@pytest.mark.parametrize("weight_bits", [16, 12])
@pytest.mark.parametrize("sizes", SHAPES, ids=lambda sizes: "-".join(map(str, sizes)))
def test_forward_pass_is_the_golden_models(sizes: tuple[int, ...], weight_bits: int, kind: Input) -> None:
    spiked = saturated = 0
    for steps in range(1, HISTORY_STEPS + 1):
        seed = 1000 * sizes[0] + 10 * steps + kind
        print("seed", seed)
        rng = np.random.default_rng(seed)
        network = Network(sizes, steps, input=kind)
        weights = random_weights(rng, network, (8192, 32768, 1 << 19)[steps % 3], {16: 0, 12: 2}[weight_bits])
        samples = random_samples(rng, network, 3)
        ours, golden = ChipNetwork(network, weights)(torch.from_numpy(samples)), Golden(network, weights, weight_bits)
        sums = []
        for number, sample in enumerate(samples):
            potentials, spikes, outputs = golden.run(sample)
            sums.append(np.sum(outputs, 0).argmax())
            for layer in range(len(network.hidden)):
                s, u = (some[layer][number].numpy() for some in (ours.spikes, ours.potentials))
                np.testing.assert_array_equal(s, [step[layer] for step in spikes])
                np.testing.assert_array_equal(u - THRESHOLD * s, [step[layer] for step in potentials])
                spiked += int(s.sum())
            np.testing.assert_array_equal(ours.outputs[number].numpy(), outputs)
        np.testing.assert_array_equal(ours.decisions.numpy(), sums)
        saturated += golden.core.counters[Counter.MEMBRANE_SATURATIONS]
    assert spiked > 0
    # Sums of few weights do not reach the end of the range.
    assert saturated > 0 or sizes[0] < 100


def test_corners_of_the_arithmetic() -> None:
    network = Network((2, 4, 2), 2)
    first = np.array([[WEIGHT.min] * 4, [-1, 1, 16, 0], [0, 0, 0, 0]], np.int16)
    # Values of 1 and 16: products floor one by one, then the sum, so that -1 raw unit is what -1/256 of one becomes.
    readout = np.zeros((5, 2), np.int16)
    forward = ChipNetwork(network, [first, readout])(torch.tensor([[0, 1], [0, 255]]))
    assert forward.potentials[0][:, 0].tolist() == [[-1, 0, 0, 0], [-1, 0, 15, 0]]
    # v >> 1 floors too.
    assert forward.potentials[0][0, 1].tolist() == [-2, 0, 0, 0]


@pytest.mark.parametrize(("current", "spike"), [(THRESHOLD - 1, 0), (THRESHOLD, 1), (THRESHOLD + 1, 1)])
def test_threshold_is_reached_not_passed(current: int, spike: int) -> None:
    network = Network((1, 1, 2), 1, input=Input.SPIKES)
    weights = [np.array([[current], [0]], np.int16), np.array([[5, 9], [1, 1]], np.int16)]
    forward = ChipNetwork(network, weights)(torch.ones(1, 1, 1, dtype=torch.uint8))
    assert forward.spikes[0].item() == spike
    assert forward.outputs.tolist() == [[[1 + 5 * spike, 1 + 9 * spike]]]


def test_potential_saturates() -> None:
    network = Network((40, 1, 2), 1, input=Input.SPIKES)
    assert 40 * WEIGHT.max > MEMBRANE.max
    weights = [np.full((41, 1), WEIGHT.max, np.int16), np.zeros((2, 2), np.int16)]
    x = torch.ones(1, 1, 40, dtype=torch.int32)
    assert ChipNetwork(network, weights)(x).potentials[0].item() == MEMBRANE.max
    weights[0] = np.full((41, 1), WEIGHT.min, np.int16)
    assert ChipNetwork(network, weights)(x).potentials[0].item() == MEMBRANE.min


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shapes \[\(3, 4\), \(5, 2\)\], not \[\(3, 4\)\]"):
        ChipNetwork(Network((2, 4, 2)), [np.zeros((3, 4), np.int16)])
