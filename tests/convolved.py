"""Convolutions of the golden core for tests: what PyTorch computes, random inputs, runs whose gradients are kept."""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from map_arrays import kernels, maps, of_layer
from torch.nn import functional

from opzo.sim.golden.core import GoldenCore
from opzo.sim.golden.credit import filter_credit
from opzo.sim.golden.learn import learn
from opzo.sim.golden.run import Run
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.formats import THRESHOLD, UPDATE_FRAC_BITS
from opzo.spec.layout import Layer
from opzo.spec.network import Network
from opzo.spec.registers import Reg
from opzo.spec.rules import Input

ONE_RUN = RunFlag.FRESH | RunFlag.TRAIN
DEEP = "2x12x8-5c3-p2-6c5-3c1-p2-7-4"
SHALLOW = ("2x5x7-5c3-4", "3x4x6-5c5-4", "2x3x3-6c1-4", "1x1x5-3c3-4")
"""Networks of one convolution: with and without padding, with channels below and above the lanes of a word."""


def double(values: np.ndarray) -> torch.Tensor:
    """Exact for all integers here."""
    return torch.from_numpy(np.asarray(values, np.float64))


def linear(core: GoldenCore, layer: Layer, below: torch.Tensor) -> torch.Tensor:
    """What PyTorch makes of maps below, (n, channels, height, width): in units of weights, without the bias."""
    weight = double(kernels(core.weights(layer), layer)[0])
    seen = functional.avg_pool2d(below, 2) if layer.shape.pool else below
    return functional.conv2d(seen, weight, padding=layer.shape.kernel // 2)


def patches(below: np.ndarray, layer: Layer) -> np.ndarray:
    """Windows of maps (channels, height, width): (weights of a neuron, positions)."""
    kernel = layer.shape.kernel
    return functional.unfold(double(below)[None], kernel, padding=kernel // 2)[0].numpy()


def bias(core: GoldenCore, layer: Layer) -> torch.Tensor:
    """Biases, to be added to maps."""
    return double(kernels(core.weights(layer), layer)[1])[:, None, None]


def fired(core: GoldenCore, layer: Layer) -> np.ndarray:
    """Spikes in the only step of the last run, (channels, height, width)."""
    return maps(of_layer(core.history, layer), layer).astype(int) & 1


def potential(core: GoldenCore, layer: Layer) -> np.ndarray:
    """Potential before the reset in the only step of the last run, (channels, height, width)."""
    return maps(of_layer(core.membrane, layer), layer) + THRESHOLD * fired(core, layer)


def draw_events(rng: np.random.Generator, network: Network, steps: int) -> Chunk:
    lists = [np.flatnonzero(rng.random(network.inputs) < 0.3) for _ in range(steps)]
    if network.input is Input.SPIKES:
        return Chunk.of_steps(lists)
    return Chunk.of_steps(lists, [rng.integers(1, 256, len(lit)) for lit in lists])


def draw_frame(rng: np.random.Generator, network: Network) -> tuple[Chunk, np.ndarray]:
    """A frame and its values, (inputs,)."""
    values = rng.integers(0, 256, network.inputs) * (rng.random(network.inputs) < 0.6)
    return Chunk.frame([(i, int(value)) for i, value in enumerate(values) if value]), values


@dataclass(frozen=True)
class Learned:
    """A run with learning whose gradients have not changed the weights yet."""

    golden: GoldenCore
    run: Run
    before: GoldenCore

    def filtered(self, index: int) -> np.ndarray:
        """E of a layer, (steps, channels, height, width)."""
        layer = self.run.hidden[index].layer
        return maps(filter_credit(self.run.hidden[index].credits), layer)

    def gradients(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """G of a layer, as kernels and biases."""
        layer = self.run.hidden[index].layer
        return kernels(self.golden.layer_gradients(layer), layer)


def learned(golden: GoldenCore, chunk: Chunk, flags: RunFlag = ONE_RUN) -> Learned:
    """Learn from a chunk in a batch that is not full."""
    golden.write_register(Reg.BATCH, 255)
    golden.gradients[...] = 0
    before = deepcopy(golden)
    run = Run(golden, chunk, 1, flags)
    run.forward()
    learn(run)
    run.finish()
    return Learned(golden, run, before)


def between(before: np.ndarray, update: np.ndarray, after: np.ndarray, draws: int = 1) -> None:
    """Check that entries changed by ``update``, rounded at random in each of some draws, and saturated."""
    exact = (before.astype(np.int64) << UPDATE_FRAC_BITS) - update
    low = exact >> UPDATE_FRAC_BITS
    high = exact + draws * ((1 << UPDATE_FRAC_BITS) - 1) >> UPDATE_FRAC_BITS
    assert ((np.clip(low - (draws - 1), -32768, 32767) <= after) & (after <= np.clip(high, -32768, 32767))).all()
