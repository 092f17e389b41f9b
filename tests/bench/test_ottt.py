"""OTTT and BPTT on events, written out, against PyTorch's autograd."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from baselines.ottt import BaselineSettings, EventTrainer, Minibatch, ottt_sum
from torch import Tensor

from opzo.host.data.events.event_sample import EventSample
from opzo.host.data.events.event_samples import Events
from opzo.reference.networks.neuron import WIDTH
from opzo.spec.network import Network
from opzo.spec.rules import Input

SHAPE = (1, 2, 6)
INPUTS = 12


def draw_events(rng: np.random.Generator, steps: int, count: int, *, graded: bool = False) -> Events:
    """A third of the addresses is busier than the others; which one is the class."""
    samples = []
    for n in range(count):
        chance = np.where(np.arange(INPUTS) // 4 == n % 3, 0.5, 0.1)
        lists = [np.flatnonzero(rng.random(INPUTS) < chance) for _ in range(steps)]
        addresses = np.concatenate(lists).astype(np.uint16)
        values = rng.integers(1, 256, len(addresses)).astype(np.uint8) if graded else None
        samples.append(EventSample(addresses, np.cumsum([0, *map(len, lists)]), values, n % 3))
    return Events.of(samples, SHAPE)


def dense(events: Events, samples: np.ndarray) -> np.ndarray:
    """Inputs of samples, (samples, steps, inputs)."""
    x = np.zeros((len(samples), events.steps, events.inputs))
    for row, sample in enumerate(samples):
        one = events[sample]
        for t in range(events.steps):
            part = slice(one.offsets[t], one.offsets[t + 1])
            x[row, t, one.addresses[part]] = 1 if one.values is None else one.values[part] / 256
    return x


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


def through_time(weights: Tensor, signal: Tensor, trace: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Current of a layer and what its neurons remember, all recorded."""
    return signal @ weights, memory


def online(weights: Tensor, signal: Tensor, trace: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """The same for OTTT: weights see the trace in the place of the signal; what was before is constant."""
    for_weights = trace.detach() @ weights
    return signal @ weights.detach() + for_weights - for_weights.detach(), memory.detach()


Layer = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def autograd(weights: list[Tensor], x: Tensor, y: Tensor, masks: list[Tensor] | None, layer: Layer) -> list[Tensor]:
    """Gradients of the mean cross entropy, one neuron layer after another in each step (paper eq. 1)."""
    weights = [w.clone().requires_grad_() for w in weights]
    samples, steps, _ = x.shape
    memories = [torch.zeros(samples, w.size(1), dtype=x.dtype) for w in weights]
    traces = [torch.zeros(samples, w.size(0), dtype=x.dtype) for w in weights]
    loss = torch.zeros((), dtype=x.dtype)
    for t in range(steps):
        signal = x[:, t]
        for k, w in enumerate(weights):
            signal = torch.cat([signal, signal.new_ones(samples, 1)], 1)
            traces[k] = traces[k] / 2 + signal
            current, memory = layer(w, signal, traces[k], memories[k])
            if k == len(weights) - 1:
                loss = loss + torch.nn.functional.cross_entropy(current, y, reduction="sum")
                break
            u = memory / 2 + current
            signal = Spike.apply(u)
            memories[k] = u - signal
            if masks is not None:
                signal = signal * masks[k][:, 0]
    (loss / (samples * steps)).backward()
    return [w.grad for w in weights]


def trainer_of(network: Network, method: str, *, dropout: float = 0.0, **recipe: float) -> EventTrainer:
    """A trainer in double precision, with weights large enough for spikes."""
    rng = np.random.default_rng(5)
    sizes = zip(network.sizes[:-1], network.sizes[1:], strict=True)
    weights = [rng.normal(0.1, 2.5 / n_in**0.5, (n_in + 1, n_out)) for n_in, n_out in sizes]
    return EventTrainer(network, weights, BaselineSettings(method, dropout=dropout, **recipe))


@pytest.mark.parametrize(("method", "layer"), [("ottt", online), ("bptt", through_time)])
@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("sizes", [(12, 9, 3), (12, 8, 7, 3), (12, 6, 5, 6, 3)])
@pytest.mark.parametrize("steps", [1, 2, 11])
def test_gradients_are_autograds(
    method: str, layer: Layer, graded: bool, dropout: bool, sizes: tuple[int, ...], steps: int
) -> None:
    rng = np.random.default_rng(steps)
    network = Network(sizes, steps, input=Input.GRADED if graded else Input.SPIKES)
    events, samples = draw_events(rng, steps, 7, graded=graded), np.array([6, 1, 3, 0])
    trainer = trainer_of(network, method)
    batch = Minibatch.of(events, samples, torch.float64)
    masks = [torch.from_numpy(rng.integers(0, 2, (4, 1, n)) * 1.25) for n in network.hidden] if dropout else None
    potentials, _, _ = trainer.forward(batch, masks)
    assert all((u >= 1).any() and (u < 1).any() for u in potentials)
    gradients, _ = trainer.gradients(batch, masks)
    x, y = torch.from_numpy(dense(events, samples)), torch.from_numpy(events.y[samples].astype(np.int64))
    for ours, expected in zip(gradients, autograd(trainer.weights, x, y, masks, layer), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-14)


def test_methods_agree_on_one_step_and_differ_on_two() -> None:
    def gradients(method: str, steps: int) -> list[Tensor]:
        events = draw_events(np.random.default_rng(2), steps, 5)
        trainer = trainer_of(Network((12, 8, 7, 3), steps, input=Input.SPIKES), method)
        return trainer.gradients(Minibatch.of(events, np.arange(5), torch.float64))[0]

    for online_gradient, gradient in zip(gradients("ottt", 1), gradients("bptt", 1), strict=True):
        torch.testing.assert_close(online_gradient, gradient, rtol=1e-12, atol=0)
    for online_gradient, gradient in zip(gradients("ottt", 2), gradients("bptt", 2), strict=True):
        assert not torch.allclose(online_gradient, gradient)


def test_ottt_of_the_last_hidden_layer_is_exact_but_for_the_reset() -> None:
    # Xiao et al. 2022: potentials depend on earlier inputs through the leak alone where the reset is held constant.
    events, samples = draw_events(np.random.default_rng(4), 9, 6), np.arange(6)
    trainer = trainer_of(Network((12, 8, 3), 9, input=Input.SPIKES), "ottt")
    ours = trainer.gradients(Minibatch.of(events, samples, torch.float64))[0][0]
    w, readout = trainer.weights[0].clone().requires_grad_(), trainer.weights[1]
    x, y = torch.from_numpy(dense(events, samples)), torch.from_numpy(events.y.astype(np.int64))
    u = s = torch.zeros(6, 8, dtype=torch.float64)
    loss = torch.zeros((), dtype=torch.float64)
    for t in range(9):
        u = (u - s.detach()) / 2 + x[:, t] @ w[:-1] + w[-1]
        s = Spike.apply(u)
        loss = loss + torch.nn.functional.cross_entropy(s @ readout[:-1] + readout[-1], y) / 9
    loss.backward()
    torch.testing.assert_close(ours, w.grad, rtol=1e-10, atol=1e-14)


def test_sum_by_hand() -> None:
    # Traces of the first input: 1, 1/2, 5/4; of the second: 0, 1/4, 1/8.
    inputs = np.array([[1, 0], [0, 0.25], [1, 0]])
    credits = np.array([[8, -8], [0, 4], [16, 0]])
    np.testing.assert_array_equal(ottt_sum(credits, inputs), [[8 + 20, -8 + 2], [2, 1]])


@pytest.mark.parametrize("graded", [False, True])
def test_gradients_of_ottt_are_its_sums(graded: bool) -> None:
    rng = np.random.default_rng(6)
    events, samples = draw_events(rng, 13, 5, graded=graded), np.array([4, 0, 2])
    batch = Minibatch.of(events, samples, torch.float64)
    trainer = trainer_of(Network((12, 8, 3), 13, input=events.input), "ottt")
    ones = np.ones((13, 1))
    _, spikes, o = trainer.forward(batch)
    error = torch.softmax(o, 2).numpy() - np.eye(3)[events.y[samples]][:, None]
    (u,), (_, readout) = trainer.forward(batch)[0], trainer.weights
    sigmoid = 1 / (1 + np.exp(-(u.numpy() - 1) / WIDTH))
    credit = error @ readout[:-1].numpy().T * sigmoid * (1 - sigmoid) / WIDTH
    signals = [dense(events, samples), spikes[0].numpy()]
    for ours, credits, inputs in zip(trainer.gradients(batch)[0], (credit, error), signals, strict=True):
        sums = [ottt_sum(c, np.hstack([s, ones])) for c, s in zip(credits, inputs, strict=True)]
        np.testing.assert_allclose(ours.numpy(), np.sum(sums, 0) / (3 * 13), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("method", ["ottt", "bptt"])
def test_network_learns_from_events(method: str) -> None:
    rng = np.random.default_rng(8)
    train, test = draw_events(rng, 6, 240), draw_events(rng, 6, 90)
    trainer = trainer_of(
        Network((12, 16, 3), 6, input=Input.SPIKES), method, dropout=0.2, epochs=8, batch=16, rate=0.01
    )
    before = trainer.test(test)
    for epoch in range(8):
        accuracy = trainer.train_epoch(train, rng.permutation(len(train)), epoch)
    after = trainer.test(test)
    assert before.accuracy < 0.7
    assert accuracy > 0.85
    assert after.accuracy > 0.95
    assert after.loss < before.loss
    assert len(after.firing_rates) == 1
    assert 0 < after.firing_rates[0] < 1


def test_figures_do_not_depend_on_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    events = draw_events(np.random.default_rng(9), 5, 23)
    trainer = trainer_of(Network((12, 7, 6, 3), 5, input=Input.SPIKES), "ottt")
    whole = trainer.test(events)
    monkeypatch.setattr("baselines.ottt.TEST_BATCH", 4)
    cut = trainer.test(events)
    assert cut.accuracy == whole.accuracy
    assert cut.firing_rates == whole.firing_rates
    assert cut.loss == pytest.approx(whole.loss, rel=1e-12)
