"""Back-propagation through time, written out, against PyTorch's autograd."""

import pytest
import torch
from baselines.bptt import Replicas

from opzo.host.exchange.float_layers import BIAS
from opzo.reference.networks.neuron import WIDTH
from opzo.spec.network import Network


class Spike(torch.autograd.Function):
    @staticmethod
    def forward(context, u):
        context.save_for_backward(u)
        return (u >= 1).to(u.dtype)

    @staticmethod
    def backward(context, gradient):
        (u,) = context.saved_tensors
        sigmoid = torch.sigmoid((u - 1) / WIDTH)
        return gradient * sigmoid * (1 - sigmoid) / WIDTH


def loss(weights, network, x, y):
    """Cross entropy summed over the steps, one neuron layer after another in each step (paper eq. 1)."""
    potentials = [torch.zeros(n, dtype=x.dtype) for n in network.hidden]
    spikes = [torch.zeros(n, dtype=x.dtype) for n in network.hidden]
    total = 0
    for _ in range(network.steps):
        signal = torch.cat([x, torch.tensor([BIAS], dtype=x.dtype)])
        for layer, w in enumerate(weights[:-1]):
            potentials[layer] = 0.5 * (potentials[layer] - spikes[layer]) + signal @ w
            spikes[layer] = Spike.apply(potentials[layer])
            signal = torch.cat([spikes[layer], torch.ones(1, dtype=x.dtype)])
        total = total + torch.nn.functional.cross_entropy((signal @ weights[-1])[None], y[None], reduction="sum")
    return total


@pytest.mark.parametrize("sizes", [(6, 9, 4), (5, 8, 7, 3), (4, 6, 5, 6, 2)])
@pytest.mark.parametrize("steps", [1, 2, 6])
def test_gradients_are_autograds(sizes: tuple[int, ...], steps: int) -> None:
    network, seeds = Network(sizes, steps), [3, 4]
    replicas = Replicas(network, seeds)
    # Twice the usual weights, so that neurons spike; double precision, so that only the formula counts.
    replicas.weights = [2 * w.double() for w in replicas.weights]
    generator = torch.Generator().manual_seed(1)
    fired = 0.0
    for _ in range(5):
        x = torch.rand(2, sizes[0], generator=generator, dtype=torch.float64)
        y = torch.randint(sizes[-1], (2,), generator=generator)
        gradients, _ = replicas.gradients(x, y)
        fired += sum(float(inputs.sum()) for inputs in replicas.forward(x)[1][1:-1])
        for replica in range(2):
            weights = [w[replica].clone().requires_grad_() for w in replicas.weights]
            loss(weights, network, x[replica], y[replica]).backward()
            for ours, w in zip(gradients, weights, strict=True):
                torch.testing.assert_close(ours[replica], w.grad, rtol=1e-10, atol=1e-12)
    assert fired > 0


def test_replicas_learn_apart() -> None:
    network = Network((9, 20, 3), 4)
    replicas = Replicas(network, [0, 1])
    patterns = torch.kron(torch.eye(3), torch.ones(1, 3))
    before = [w.clone() for w in replicas.weights]
    rates = torch.tensor([0.05, 0.0])
    for n in range(300):
        label = torch.tensor([n % 3, (n + 1) % 3])
        replicas.train(patterns[label], label, rates)
    accuracy, firing = replicas.test(0, patterns, torch.arange(3))
    assert accuracy == 1.0
    assert len(firing) == 1
    assert 0 < firing[0] < 1
    for w, old in zip(replicas.weights, before, strict=True):
        torch.testing.assert_close(w[1], old[1])
