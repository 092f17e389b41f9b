"""Online training: gradients of the reference against autograd through time, and by hand."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, normalize

from opzo.reference.methods.credit import METHODS, OPZO, ZO
from opzo.reference.methods.learner import LOCAL_SCALE, Learner, Method, instantaneous_losses
from opzo.reference.methods.noise import Noise
from opzo.reference.networks.networks import SpikingNetwork, convolutional, fully_connected
from opzo.reference.networks.neuron import LEAK, LIF, THRESHOLD, fire, lif_layers
from opzo.reference.networks.resnet import BRANCH, Block
from opzo.reference.networks.synapses import Traced, TracedConv2d, TracedLinear

pytestmark = pytest.mark.usefixtures("double")

SHAPE, CLASSES, STEPS = (2, 8, 8), 3, 4


def batch(steps: int = STEPS, samples: int = 5) -> tuple[Tensor, Tensor]:
    return torch.randn(samples, steps, *SHAPE), torch.arange(samples) % CLASSES


def block_network() -> SpikingNetwork:
    body = nn.Sequential(
        TracedConv2d(2, 4, spikes_in=False), Block(4, 4, 1, 1.0), Block(4, 6, 2, 1.0 + BRANCH**2), LIF(), nn.Flatten()
    )
    return SpikingNetwork(body, TracedLinear(6 * 16, CLASSES))


NETWORKS: dict[str, Callable[[], SpikingNetwork]] = {
    "fc": lambda: fully_connected(SHAPE, CLASSES, (20, 15), 0.0),
    "conv": lambda: convolutional(SHAPE, CLASSES, (4, "pool", 6, "pool", 5), 0.0),
    "resnet": block_network,
}


def lively(network: SpikingNetwork) -> SpikingNetwork:
    """Larger weights, so that all layers fire and some are refractory."""
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, TracedLinear):
                part.weight *= 4
            elif isinstance(part, TracedConv2d):
                part.gain *= 1.5
                part.bias += 0.3
    return network


class Unrolled:
    """The same network with its memory in the graph: what weights did at earlier times is felt through potentials.

    Signals from the layer below are felt in their own time step only, the reset not at all: so OTTT has it.
    """

    def __init__(self, network: SpikingNetwork) -> None:
        self.network = network
        self.potentials: dict[nn.Module, Tensor] = {}
        self.spikes: dict[nn.Module, list[Tensor]] = {}
        self.weighed: dict[nn.Module, Tensor] = {}

    def synapses(self, part: Traced, x: Tensor) -> Tensor:
        """Current, as a sum of what is felt at once and what the weights did so far, with the value of the former."""
        if isinstance(part, TracedLinear):
            now = linear(x, part.weight.detach(), part.bias.detach())
            by_weights = linear(x.detach(), part.weight, part.bias)
        else:
            assert isinstance(part, TracedConv2d)
            weights = part.standardised()
            geometry = (part.stride, part.padding)
            now = conv2d(x, weights.detach(), part.bias.detach(), *geometry)
            by_weights = conv2d(x.detach(), weights, part.bias, *geometry)
        self.weighed[part] = by_weights + LEAK * self.weighed.get(part, torch.zeros(()))
        return now + self.weighed[part] - self.weighed[part].detach()

    def neurons(self, part: LIF, current: Tensor) -> Tensor:
        u = current + LEAK * self.potentials.get(part, torch.zeros(()))
        spikes = fire(u)
        self.potentials[part] = (u - THRESHOLD * spikes).detach()
        self.spikes.setdefault(part, []).append(spikes)
        return spikes

    def __call__(self, x: Tensor) -> Tensor:
        for part in self.network.modules():
            if isinstance(part, LIF):
                part.forward = lambda current, part=part: self.neurons(part, current)  # type: ignore[misc]
            elif isinstance(part, Traced):
                part.forward = lambda x, part=part: self.synapses(part, x)  # type: ignore[misc]
        try:
            return torch.stack([self.network(x[:, step]) for step in range(x.size(1))])
        finally:
            for part in self.network.modules():
                if isinstance(part, LIF | Traced):
                    del part.forward


@pytest.mark.parametrize("name", NETWORKS)
def test_bp_is_autograd_through_potentials_restricted_to_space(name: str) -> None:
    network = lively(NETWORKS[name]())
    learner = Learner(network, SHAPE, Method("bp"))
    x, y = batch()
    tally = learner.gradients(x, y)
    assert all(rate > 0.02 for rate in tally.firing_rates(learner.shapes, STEPS)), "a layer is silent"
    parameters = dict(network.named_parameters())
    found = {key: parameter.grad for key, parameter in parameters.items()}
    outputs = Unrolled(network)(x)
    loss = torch.stack([instantaneous_losses(o, y).mean() for o in outputs]).mean()
    exact = torch.autograd.grad(loss, list(parameters.values()))
    assert tally.mean_loss == pytest.approx(loss.item())
    for (key, gradient), expected in zip(found.items(), exact, strict=True):
        assert gradient is not None
        assert expected.abs().max() > 0, key
        torch.testing.assert_close(gradient, expected, msg=lambda text, key=key: f"{key}: {text}")


def test_direct_feedback_by_hand() -> None:
    """Two hidden layers, four steps, in NumPy: gradients of DFA, ZO and OPZO, and OPZO's matrices."""
    x, y = batch(samples=3)
    for name in ("dfa", "zo", "opzo"):
        network = lively(fully_connected(SHAPE, CLASSES, (6, 4), 0.0))
        learner = Learner(network, SHAPE, Method(name, momentum=0.9))
        torch.manual_seed(7)
        learner.gradients(x, y, alpha=0.3)
        torch.manual_seed(7)
        z = [[torch.randn(3, n).numpy() for n in (6, 4)] for _ in range(STEPS // 2)]
        layers = [part for part in network.modules() if isinstance(part, TracedLinear)]
        weights = [part.weight.detach().numpy() for part in layers]
        biases = [part.bias.detach().numpy() for part in layers]
        feedback = (
            [m.detach().numpy() for m in learner.credit.feedback]
            if name == "dfa"
            else [np.zeros((3, 6)), np.zeros((3, 4))]
        )
        v, traces = [np.zeros((3, n)) for n in (6, 4)], [np.zeros((3, n)) for n in (128, 6, 4)]
        ones, gradients = 0.0, [np.zeros_like(w) for w in weights]
        bias_gradients = [np.zeros_like(b) for b in biases]
        for t in range(STEPS):
            signal, slopes, ones = x[:, t].reshape(3, -1).numpy(), [], 1 + LEAK * ones
            noise = [(-1) ** t * z[t // 2][layer] if name != "dfa" else 0.0 for layer in (0, 1)]
            for layer in (0, 1):
                traces[layer] = signal + LEAK * traces[layer]
                u = LEAK * v[layer] + signal @ weights[layer].T + biases[layer]
                s = (u >= THRESHOLD).astype(float)
                v[layer] = u - s
                e = np.exp((THRESHOLD - u) / 0.25)
                slopes.append(4 * e / (1 + e) ** 2)
                signal = s + 0.3 * noise[layer]
            traces[2] = signal + LEAK * traces[2]
            o = signal @ weights[2].T + biases[2]
            p = np.exp(o) / np.exp(o).sum(1, keepdims=True)
            target = np.eye(3)[y]
            error = (0.95 * (p - target) + 0.05 * 2 * (o - target) / 3) / (STEPS * 3)
            losses = (0.95 * -np.log(p[np.arange(3), y]) + 0.05 * ((o - target) ** 2).mean(1)) / (STEPS * 3)
            deltas = [*slopes, error]
            for layer in (0, 1):
                if name == "opzo":
                    feedback[layer] = 0.9 * feedback[layer] + 0.1 * o.T @ noise[layer] / 3
                signal_back = losses[:, None] * noise[layer] if name == "zo" else error @ feedback[layer]
                deltas[layer] = slopes[layer] * signal_back
            for layer, delta in enumerate(deltas):
                gradients[layer] += delta.T @ traces[layer]
                bias_gradients[layer] += ones * delta.sum(0)
        for layer, part in enumerate(layers):
            np.testing.assert_allclose(part.weight.grad, gradients[layer], atol=1e-12)
            np.testing.assert_allclose(part.bias.grad, bias_gradients[layer], atol=1e-12)
            assert np.abs(gradients[layer]).max() > 0
        if name == "opzo":
            for matrix, expected in zip(learner.credit.feedback, feedback, strict=True):
                np.testing.assert_allclose(matrix, expected, atol=1e-12)


def test_dkp_learns_its_matrices_like_weights_to_the_output() -> None:
    """A network of one hidden layer: the matrix and the read-out have the same gradient."""
    learner = Learner(lively(fully_connected(SHAPE, CLASSES, (12,), 0.0)), SHAPE, Method("dkp"))
    learner.gradients(*batch())
    (matrix,) = learner.credit.feedback
    assert matrix.requires_grad
    torch.testing.assert_close(matrix.grad, learner.network.read_out.weight.grad)
    assert not Learner(NETWORKS["fc"](), SHAPE, Method("opzo")).credit.feedback[0].requires_grad


def estimate(
    credit: OPZO | ZO, function: Callable[[Tensor], Tensor], n: int, batches: int, alpha: float, size: int
) -> Tensor:
    """Gradients (batches, n) of the mean output 0 over a batch of random points."""
    rows = []
    for _ in range(batches):
        point, z = torch.randn(size, n) / n**0.5, torch.randn(size, n)
        outputs = torch.stack([function(point + alpha * sign * z) for sign in (1, -1)])
        error = torch.zeros(size, outputs.size(2))
        error[:, 0] = 1 / size
        rows.append(
            sum(
                credit.gradients([], o, error, o[:, 0] / size, [sign * z])[0].sum(0)
                for o, sign in zip(outputs, (1, -1), strict=True)
            )
            / (2 * alpha)
        )
    return torch.stack(rows)


def test_momentum_feedback_converges_to_the_jacobian() -> None:
    n, alpha = 6, 0.05
    linear_map = torch.randn(CLASSES, n)
    hidden = torch.randn(8, n)
    read_out = torch.randn(CLASSES, 8) / 8
    points = torch.randn(4000, n) / n**0.5
    slopes = 1 - torch.tanh(points @ hidden.T) ** 2
    cases = {
        "linear": (lambda s: s @ linear_map.T, linear_map),
        "smooth": (lambda s: torch.tanh(s @ hidden.T) @ read_out.T, (read_out * slopes.mean(0)) @ hidden),
    }
    for name, (function, jacobian) in cases.items():
        credit = OPZO([torch.Size([n])], CLASSES, momentum=0.999)
        estimate(credit, function, n, 4000, alpha, 32)
        error = (credit.feedback[0] / alpha - jacobian).norm() / jacobian.norm()
        assert error < 0.05, (name, error)


def test_variance_scales_with_neurons_and_batch_as_proposed() -> None:
    """Proposition 4.2: ZO's variance grows with the neurons that are perturbed, OPZO's does not; a batch divides it."""

    def variance(kind: type[OPZO] | type[ZO], n: int, size: int) -> float:
        read_out = normalize(torch.randn(CLASSES, n))
        credit = kind([torch.Size([n])], CLASSES)
        if isinstance(credit, OPZO):
            # Converged, and slow from now on.
            credit.feedback[0].data = 0.1 * read_out
        return float(estimate(credit, lambda s: s @ read_out.T, n, 300, 0.1, size).var(0).sum())

    zo = {(n, size): variance(ZO, n, size) for n, size in ((20, 8), (80, 8), (80, 32))}
    opzo = {(n, size): variance(OPZO, n, size) for n, size in ((20, 8), (80, 8))}
    assert zo[80, 8] / zo[20, 8] == pytest.approx(4, rel=0.25)
    assert zo[80, 8] / zo[80, 32] == pytest.approx(4, rel=0.25)
    assert opzo[80, 8] < 1e-3 * zo[80, 8]
    assert opzo[20, 8] < 1e-3 * zo[20, 8]


@pytest.mark.parametrize("kind", ["gaussian", "rademacher"])
def test_noise_has_unit_variance_and_alternates(kind: str) -> None:
    z = Noise(kind).draw(torch.Size((200_000,)), torch.zeros(1))
    assert abs(float(z.mean())) < 0.01
    assert float(z.var()) == pytest.approx(1, abs=0.01)
    assert (set(z.unique().tolist()) == {-1.0, 1.0}) == (kind == "rademacher")


@pytest.mark.parametrize("antithetic", [True, False])
@pytest.mark.parametrize("place", ["after", "before"])
def test_noise_comes_where_it_should(place: str, antithetic: bool) -> None:
    network = fully_connected(SHAPE, CLASSES, (30,), 0.0)
    learner = Learner(network, SHAPE, Method("opzo", noise=Noise("rademacher", place, antithetic)))
    seen: list[tuple[Tensor, Tensor | None, Tensor]] = []
    (neurons,) = lif_layers(network)
    neurons.register_forward_hook(
        lambda module, inputs, out: seen.append((inputs[0].detach(), module.noise, out.detach()))
    )
    x, y = batch()
    learner.gradients(x, y, alpha=0.5)
    assert neurons.noise is None
    noises = [noise for _, noise, _ in seen]
    assert all(noise is not None and set(noise.unique().tolist()) == {-0.5, 0.5} for noise in noises)
    assert torch.equal(noises[1], -noises[0]) == antithetic
    assert not torch.equal(noises[2], noises[0])
    v = torch.zeros(len(x), 30)
    for current, noise, out in seen:
        u = LEAK * v + current + (noise if place == "before" else 0)
        spikes = (u >= THRESHOLD).double()
        v = u - spikes
        torch.testing.assert_close(out, spikes + (noise if place == "after" else 0))
    learner.test(x, y)
    assert [noise for _, noise, _ in seen[STEPS:]] == [None] * STEPS


def test_local_learning_reaches_its_own_layer_alone() -> None:
    x, y = batch()
    torch.manual_seed(1)
    plain = Learner(lively(fully_connected(SHAPE, CLASSES, (20, 15), 0.0)), SHAPE, Method("dfa"))
    local = Learner(plain.network, SHAPE, Method("dfa", local=True))
    local.credit = plain.credit
    plain.gradients(x, y)
    without = [p.grad.clone() for p in plain.network.parameters()]
    plain.zero_grad()
    local.gradients(x, y)
    added = [p.grad - g for p, g in zip(plain.network.parameters(), without, strict=True)]
    assert added[0].abs().max() > 0
    assert added[2].abs().max() > 0
    assert added[4].abs().max() == 0, "the read-out has no local loss"
    # Only the first layer's own read-out: its loss alone, through autograd of the first layer.
    plain.zero_grad()
    own = plain.network.body[1], plain.network.body[2]
    synapses, neurons = own
    branch = local.branches[0]
    for part in (synapses, neurons, branch.read_out):
        part.reset()
    for step in range(STEPS):
        neurons(synapses(x[:, step].flatten(1)))
        loss = LOCAL_SCALE * instantaneous_losses(branch.read_out(neurons.spikes.flatten(1)), y).mean() / STEPS
        loss.backward()
    torch.testing.assert_close(synapses.weight.grad, added[0])


@pytest.mark.parametrize("name", ["dfa", "opzo"])
def test_intermediate_global_learning_credits_the_layers_before_it(name: str) -> None:
    x, y = batch()
    learner = Learner(lively(fully_connected(SHAPE, CLASSES, (20, 15, 10), 0.0)), SHAPE, Method(name, intermediate=1))
    (branch,) = learner.branches
    assert [shape.numel() for shape in branch.credit.shapes] == [20, 15]

    def weight_gradients() -> list[Tensor]:
        torch.manual_seed(3)
        learner.zero_grad()
        learner.gradients(x, y, alpha=0.2)
        return [p.grad.clone() for p in learner.network.parameters() if p.dim() == 2]

    start = copy.deepcopy(learner.credit.state_dict())
    before = weight_gradients()
    learner.credit.load_state_dict(start)
    branch.scale = 0.0
    changed = [not torch.equal(a, b) for a, b in zip(before, weight_gradients(), strict=True)]
    assert changed == [True, True, False, False]


FED_BY = {
    "fc": [["1."], ["4."]],
    "conv": [["0."], ["4."], ["8."]],
    "resnet": [["0."], ["1.synapses_1."], ["1.synapses_2."], ["2.synapses_1."], ["2.synapses_2.", "2.shortcut."]],
}
"""Synapses, in the body, that feed each layer of neurons of NETWORKS."""


@pytest.mark.parametrize("name", NETWORKS)
def test_direct_feedback_credits_the_synapses_that_feed_a_layer_alone(name: str) -> None:
    x, y = batch()
    learner = Learner(lively(NETWORKS[name]()), SHAPE, Method("dfa"))
    matrices = [matrix.detach().clone() for matrix in learner.credit.feedback]
    for layer, feeding in enumerate(FED_BY[name]):
        for index, matrix in enumerate(learner.credit.feedback):
            matrix.data = matrices[index] * (index == layer)
        learner.zero_grad()
        learner.gradients(x, y)
        learned = {key for key, p in learner.network.body.named_parameters() if p.grad.abs().max() > 0}
        assert learned == {key for key, _ in learner.network.body.named_parameters() if key.startswith(tuple(feeding))}


def test_all_methods_reach_all_parameters_of_all_networks() -> None:
    x, y = batch()
    for name, make in NETWORKS.items():
        for method in METHODS:
            learner = Learner(lively(make()), SHAPE, Method(method, local=True))
            learner.gradients(x, y, alpha=0.2)
            for key, parameter in learner.named_parameters():
                if parameter.requires_grad:
                    assert parameter.grad is not None, (name, method, key)
                    assert torch.isfinite(parameter.grad).all(), (name, method, key)


def test_under_noise_tests_are_noisy_and_others_are_not() -> None:
    x, y = batch()
    for method in ("bp", "opzo"):
        noisy = Learner(lively(NETWORKS["fc"]()), SHAPE, Method(method, under_noise=True))
        calm = Learner(noisy.network, SHAPE, Method(method))
        assert len({calm.test(x, y, 0.5).loss for _ in range(3)}) == 1
        assert len({noisy.test(x, y, 0.5).loss for _ in range(3)}) == 3
