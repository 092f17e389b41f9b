"""Comparison of a method's gradients with those of back-propagation: variance and angle (paper section 5.2)."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from opzo.reference.methods.learner import Learner
from opzo.reference.networks.networks import SampleDropout, SpikingNetwork
from opzo.reference.networks.synapses import Traced

Batches = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Probe:
    """Figures of each layer of weights, from the input to the readout.

    Attributes
    ----------
    variance : list of float
        Variance of the gradient over batches, mean over the weights of a layer (paper, appendix C.2.2).
    relative_variance : list of float
        Variance divided by the mean square of the true mean gradient, which is estimated from pairs of different
        batches. Like Adam, it is independent of the scale of the gradients. Infinite if noise hides the mean gradient.
    bp_variance, bp_relative_variance : list of float
        The same for back-propagation.
    cosine : list of float
        Cosine between the mean gradients of both.
    batch_cosine : list of float
        Cosine between the gradients of both on the same batch, mean over the batches.
    """

    variance: list[float]
    relative_variance: list[float]
    bp_variance: list[float]
    bp_relative_variance: list[float]
    cosine: list[float]
    batch_cosine: list[float]

    def row(self) -> dict[str, float]:
        """Columns of the metrics."""
        return {
            f"{name}_{layer}": value for name, values in vars(self).items() for layer, value in enumerate(values, 1)
        }


def probe(learner: Learner, batches: Batches, alpha: float) -> Probe:
    """Compare the gradients of the learner's method with those of back-propagation at its present weights.

    Both are without dropout, and back-propagation is without noise. Weights and feedback do not change.
    """
    own = copy.deepcopy(learner)
    bp = copy.deepcopy(learner)
    bp.credit = None
    bp.branches = torch.nn.ModuleList()
    for layer in bp.layers:
        layer.cut = False
    gradients, exact = (batch_gradients(one, batches, alpha) for one in (own, bp))
    pairs = list(zip(gradients, exact, strict=True))
    return Probe(
        [_variance(layer) for layer in gradients],
        [relative_variance(layer) for layer in gradients],
        [_variance(layer) for layer in exact],
        [relative_variance(layer) for layer in exact],
        [float(cosine_similarity(a.mean(0), b.mean(0), 0)) for a, b in pairs],
        [float(cosine_similarity(a, b, 1).mean()) for a, b in pairs],
    )


def _variance(gradients: Tensor) -> float:
    """Variance over batches, mean over weights, of gradients (batches, weights)."""
    return float(gradients.var(0, correction=0).mean())


def relative_variance(gradients: Tensor) -> float:
    """Unbiased variance over batches relative to the mean gradient, of gradients (batches, weights)."""
    count = len(gradients)
    squares = float((gradients**2).sum())
    # Only products of different batches: in the squares of single batches, noise would add to the mean gradient.
    mean_square = (float((gradients.sum(0) ** 2).sum()) - squares) / (count * (count - 1)) if count > 1 else 0.0
    return (squares / count - mean_square) / mean_square if mean_square > 0 else inf


def batch_gradients(learner: Learner, batches: Batches, alpha: float) -> list[Tensor]:
    """Gradients of the weights of each layer, without biases, on each batch: (batches, weights) per layer."""
    learner.train()
    for part in learner.modules():
        if isinstance(part, SampleDropout):
            part.eval()
    weights = layer_weights(learner.network)
    rows: list[list[Tensor]] = []
    for x, y in batches:
        learner.zero_grad()
        learner.gradients(x, y, alpha)
        rows.append([w.grad.flatten().double() for w in weights if w.grad is not None])
    return [torch.stack(layer) for layer in zip(*rows, strict=True)]


def layer_weights(network: SpikingNetwork) -> list[Tensor]:
    """Weights of all synapses of a network, in order."""
    return [part.weight for part in network.modules() if isinstance(part, Traced) and isinstance(part.weight, Tensor)]
