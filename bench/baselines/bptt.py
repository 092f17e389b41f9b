"""Back-propagation through time with a surrogate gradient, at batch size 1, for several runs at once.

The runs are independent replicas of one network, each with its own seed, sample order and step size; they share only
the calls to PyTorch, whose overhead dominates the cost at batch size 1. The gradient is written out instead of recorded
by autograd: in a feed-forward network all time steps of a layer can be computed together. A test compares it with
autograd.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from opzo.host.exchange.float_layers import BIAS
from opzo.reference.networks.neuron import WIDTH
from opzo.spec.network import Network

SCALES = (1.5, 3.0, 1.0)
"""Initial weights are uniform in +-scale / sqrt(n_in); scales of the first layer, other hidden layers, the readout."""


def fire(current: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Potentials before the reset and spikes, (replicas, steps, n), from currents (replicas, steps or 1, n)."""
    u = torch.zeros_like(current[:, 0])
    s = torch.zeros_like(u)
    potentials, spikes = [], []
    for t in range(steps):
        u = 0.5 * (u - s) + current[:, t if current.size(1) > 1 else 0]
        s = (u >= 1.0).to(u.dtype)
        potentials.append(u)
        spikes.append(s)
    return torch.stack(potentials, 1), torch.stack(spikes, 1)


def fire_backward(u: Tensor, spikes_gradient: Tensor, width: float) -> Tensor:
    """Gradient of the currents from that of the spikes; the reset is part of the graph."""
    sigmoid = torch.sigmoid((u - 1.0) / width)
    surrogate = sigmoid * (1.0 - sigmoid) / width
    gradient = torch.zeros_like(u[:, 0])
    gradients = []
    for back in range(u.size(1)):
        t = u.size(1) - 1 - back
        # u[t + 1] contains (u[t] - s[t]) / 2.
        gradient = 0.5 * gradient + (spikes_gradient[:, t] - 0.5 * gradient) * surrogate[:, t]
        gradients.append(gradient)
    gradients.reverse()
    return torch.stack(gradients, 1)


class Replicas:
    """Train replicas of a network at batch size 1 by plain gradient descent on the cross entropy of every time step.

    Parameters
    ----------
    network : Network
    seeds : sequence of int
        One per replica.

    Attributes
    ----------
    weights : list of Tensor (replicas, n_in + 1, n_out)
        Weights by layer; the last row is the bias.
    """

    def __init__(self, network: Network, seeds: Sequence[int]) -> None:
        self.network = network
        sizes = [(rows - 1, neurons) for rows, neurons in network.weight_shapes]
        scales = [SCALES[0], *[SCALES[1]] * (len(sizes) - 2), SCALES[2]]
        self.weights = []
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        for (n_in, n_out), scale in zip(sizes, scales, strict=True):
            drawn = [(2 * torch.rand(n_in, n_out, generator=g) - 1) * scale / n_in**0.5 for g in generators]
            self.weights.append(torch.cat([torch.stack(drawn), torch.zeros(len(seeds), 1, n_out)], 1))

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Potentials of the hidden layers, and inputs of every layer of weights followed by the readouts.

        ``x``: (replicas, inputs) in 0..1.
        """
        ones = x.new_ones(x.size(0), self.network.steps, 1)
        inputs = [torch.cat([x, BIAS * ones[:, 0]], 1)[:, None]]
        potentials = []
        for weights in self.weights[:-1]:
            u, s = fire(torch.bmm(inputs[-1], weights), self.network.steps)
            potentials.append(u)
            inputs.append(torch.cat([s, ones], 2))
        inputs.append(torch.bmm(inputs[-1], self.weights[-1]))
        return potentials, inputs

    def gradients(self, x: Tensor, y: Tensor) -> tuple[list[Tensor], Tensor]:
        """Gradients by the weights of the cross entropy summed over the steps, and the summed readouts.

        ``x``: (replicas, inputs), ``y``: int (replicas,).
        """
        potentials, inputs = self.forward(x)
        o = inputs.pop()
        delta = torch.softmax(o, 2)
        delta[torch.arange(len(y)), :, y] -= 1.0
        gradients = []
        for layer in range(len(self.weights) - 1, -1, -1):
            if layer == 0:
                delta = delta.sum(1, keepdim=True)
            gradients.append(torch.bmm(inputs[layer].transpose(1, 2), delta))
            if layer:
                back = torch.bmm(delta, self.weights[layer][:, :-1].transpose(1, 2))
                delta = fire_backward(potentials[layer - 1], back, WIDTH)
        return gradients[::-1], o.sum(1)

    def train(self, x: Tensor, y: Tensor, rates: Tensor) -> Tensor:
        """Do one gradient descent step on one sample per replica and return the predictions before the step.

        ``rates``: step sizes (replicas,).
        """
        gradients, outputs = self.gradients(x, y)
        for weights, gradient in zip(self.weights, gradients, strict=True):
            weights.addcmul_(gradient, -rates[:, None, None].expand_as(gradient))
        return outputs.argmax(1)

    def test(self, replica: int, x: Tensor, y: Tensor, batch: int = 250) -> tuple[float, list[float]]:
        """Accuracy of one replica on images (count, inputs) in 0..1 of classes (count,), and firing rates by layer."""
        one = Replicas.__new__(Replicas)
        one.network = self.network
        correct, spikes = 0, torch.zeros(len(self.network.hidden))
        for part, labels in zip(torch.split(x, batch), torch.split(y, batch), strict=True):
            one.weights = [weights[replica : replica + 1].expand(len(part), -1, -1) for weights in self.weights]
            _, inputs = one.forward(part)
            correct += int((inputs[-1].sum(1).argmax(1) == labels).sum())
            spikes += torch.stack([s[:, :, :-1].mean() * len(part) for s in inputs[1:-1]])
        return correct / len(x), (spikes / len(x)).tolist()
