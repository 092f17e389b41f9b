"""Online training through time (OTTT, Xiao et al. 2022) and back-propagation through time (BPTT) on event samples.

Floating point, in minibatches, with a surrogate gradient, written out. The gradient of a weight in OTTT is
``sum_t delta_j[t] a_i[t]`` with the presynaptic trace ``a[t] = a[t-1] / 2 + s[t]``; with the trace moved to the
postsynaptic side, as on the chip, it is ``sum_t s_i[t] E_j[t]`` with ``E[t] = delta[t] + E[t+1] / 2``. The methods
therefore differ only in how a layer's credits are computed, and events stay sparse in the forward pass and the update.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, pi
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, embedding_bag

from opzo.host.exchange.float_network import fire
from opzo.reference.networks.neuron import WIDTH
from opzo.spec.formats import INPUT_BITS
from opzo.spec.network import Network

if TYPE_CHECKING:
    from opzo.host.data.events.event_samples import Events

TEST_BATCH = 250


def ottt_sum(credits: NDArray[Any], inputs: NDArray[Any]) -> NDArray[np.float64]:
    """Update of OTTT, ``sum_t credit_j[t] a_i[t]`` with ``a_i[t] = a_i[t-1] / 2 + s_i[t]``: (n_in, n_out).

    Parameters
    ----------
    credits : (steps, n_out)
    inputs : (steps, n_in)
        Spikes 0 or 1, or graded values.
    """
    trace, total = np.zeros(inputs.shape[1]), np.zeros((inputs.shape[1], credits.shape[1]))
    for credit, signal in zip(credits.astype(float), inputs.astype(float), strict=True):
        trace = trace / 2 + signal
        total += np.outer(trace, credit)
    return total


class Batch(Protocol):
    """Samples that a network is trained with: labels, int64 (samples,), and products with weights."""

    @property
    def y(self) -> Tensor: ...

    def currents(self, weights: Tensor) -> Tensor: ...

    def gradient(self, credits: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Minibatch:
    """Event samples as a sparse matrix of moments (samples x steps) by inputs, in row and column order.

    Attributes
    ----------
    y : int64 (samples,)
    addresses, begins : int (events,), int (moments,)
        Addresses ordered by moment, and the index of each moment's first.
    moments, address_begins : int (events,), int (inputs,)
        Moments ordered by address, and the index of each address's first.
    values, values_by_address : (events,) or None
        Values of graded events, 0..1, in the order of ``addresses`` and of ``moments``.
    """

    y: Tensor
    addresses: Tensor
    begins: Tensor
    moments: Tensor
    address_begins: Tensor
    values: Tensor | None
    values_by_address: Tensor | None

    @classmethod
    def of(cls, events: Events, samples: NDArray[np.intp], dtype: torch.dtype) -> Minibatch:
        """Minibatch of the samples with the given indices; ``dtype`` is the type of the values."""
        offsets = events.offsets[samples]
        parts = [slice(begin, end) for begin, end in offsets[:, [0, -1]].tolist()]
        addresses = np.concatenate([events.addresses[part] for part in parts])
        counts = np.diff(offsets, axis=1).reshape(-1)
        # A stable sort of integers is a radix sort, which is faster.
        order = np.argsort(addresses, kind="stable")
        moments = np.repeat(np.arange(counts.size, dtype=np.int32), counts)
        values = values_by_address = None
        if events.values is not None:
            graded = np.concatenate([events.values[part] for part in parts]) / (1 << INPUT_BITS)
            values, values_by_address = (torch.from_numpy(some).to(dtype) for some in (graded, graded[order]))
        return cls(
            torch.from_numpy(events.y[samples].astype(np.int64)),
            torch.from_numpy(addresses.astype(np.int32)),
            _begins(counts),
            torch.from_numpy(moments[order]),
            _begins(np.bincount(addresses, minlength=events.inputs)),
            values,
            values_by_address,
        )

    def currents(self, weights: Tensor) -> Tensor:
        """Input currents (samples, steps, n) for weights (inputs, n)."""
        summed = embedding_bag(self.addresses, weights, self.begins, mode="sum", per_sample_weights=self.values)
        return summed.view(len(self.y), -1, weights.size(1))

    def gradient(self, credits: Tensor) -> Tensor:
        """Gradient of the weights, (inputs, n), from credits (samples, steps, n) that include the trace."""
        return embedding_bag(
            self.moments,
            credits.reshape(-1, credits.size(2)),
            self.address_begins,
            mode="sum",
            per_sample_weights=self.values_by_address,
        )


def _begins(counts: NDArray[np.integer]) -> Tensor:
    return torch.from_numpy((np.cumsum(counts) - counts).astype(np.int32))


def surrogate(u: Tensor) -> Tensor:
    """Surrogate derivative ``(1 / a) sigmoid'((u - 1) / a)`` with a = WIDTH (paper, appendix C.2.2)."""
    sigmoid = torch.sub(u, 1.0).div_(WIDTH).sigmoid_()
    return torch.addcmul(sigmoid, sigmoid, sigmoid, value=-1).div_(WIDTH)


def filter_back(credits: Tensor) -> Tensor:
    """Credits that include the presynaptic trace, ``E[t] = c[t] + E[t+1] / 2``: (samples, steps, n)."""
    filtered = credits.clone()
    for t in range(credits.size(1) - 2, -1, -1):
        filtered[:, t].add_(filtered[:, t + 1], alpha=0.5)
    return filtered


def ottt_credits(u: Tensor, back: Tensor) -> tuple[Tensor, Tensor]:
    """Credits of a hidden layer: those passed to the layer below, and those for the update of the layer's weights.

    In OTTT the error of a step is propagated within that step, through the surrogate derivative only.

    Parameters
    ----------
    u : (samples, steps, n)
        Potentials before the reset.
    back : (samples, steps, n)
        Gradient of the spikes.
    """
    instant = surrogate(u).mul_(back)
    return instant, filter_back(instant)


def bptt_credits(u: Tensor, back: Tensor) -> tuple[Tensor, Tensor]:
    """Like ``ottt_credits``, but back-propagated through potential and reset: both are the gradient of the currents."""
    derivative, credits = surrogate(u), back.clone()
    credits[:, -1].mul_(derivative[:, -1])
    for t in range(u.size(1) - 2, -1, -1):
        # u[t + 1] contains (u[t] - s[t]) / 2.
        later = credits[:, t + 1] * 0.5
        credits[:, t].sub_(later).mul_(derivative[:, t]).add_(later)
    return credits, credits


METHODS: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {"ottt": ottt_credits, "bptt": bptt_credits}


@dataclass(frozen=True)
class BaselineSettings:
    """Training settings: AdamW with a step size that decays by cosine to 0 (paper, appendix C.2.2).

    Parameters
    ----------
    method : str
        A key of METHODS.
    rate : float
        Initial step size.
    decay : float
        Weight decay.
    dropout : float
        Share of the hidden neurons that are silenced for a training sample.
    """

    method: str = "ottt"
    epochs: int = 6
    batch: int = 128
    rate: float = 1e-3
    decay: float = 2e-4
    dropout: float = 0.0


@dataclass(frozen=True)
class Tested:
    """Test results of a network."""

    accuracy: float
    loss: float
    """Cross entropy in nats, mean over samples and time steps."""
    firing_rates: list[float]
    """Spikes per neuron and time step, by hidden layer."""


class EventTrainer:
    """Train a network on event samples.

    The neurons are those of the chip: leak 1/2, soft reset, threshold 1, bias as a spike in every step, memoryless
    readouts. The loss is the mean over the steps of the cross entropy of the readouts; the decision is the class with
    the largest summed readout.

    Parameters
    ----------
    network : Network
        Network whose ``input`` is events.
    weights : sequence of arrays (n_in + 1, n_out)
        Initial weights; the last row is the bias.
    recipe : BaselineSettings
    seed : int
        Seed of the dropout.

    Attributes
    ----------
    weights : list of Tensor (n_in + 1, n_out)
    """

    def __init__(
        self, network: Network, weights: Sequence[NDArray[Any]], recipe: BaselineSettings, seed: int = 0
    ) -> None:
        self.network, self.recipe = network, recipe
        self.weights = [torch.tensor(w) for w in weights]
        self._credits = METHODS[recipe.method]
        self._optimizer = torch.optim.AdamW(self.weights, recipe.rate, weight_decay=recipe.decay, fused=True)
        self._generator = torch.Generator().manual_seed(seed)

    def forward(self, batch: Batch, masks: list[Tensor] | None = None) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Potentials and spikes (samples, steps, n) of the hidden layers, and readouts (samples, steps, classes).

        ``masks`` (samples, 1, n) multiply the spikes that the next layer receives.
        """
        potentials, spikes = [], []
        current = batch.currents(self.weights[0][:-1]).add_(self.weights[0][-1])
        for layer, weights in enumerate(self.weights[1:]):
            u, s = fire(current)
            potentials.append(u)
            spikes.append(s if masks is None else s.mul_(masks[layer]))
            current = (s @ weights[:-1]).add_(weights[-1])
        return potentials, spikes, current

    def gradients(self, batch: Batch, masks: list[Tensor] | None = None) -> tuple[list[Tensor], Tensor]:
        """Gradients of the mean cross entropy by the weights, and the summed readouts (samples, classes)."""
        potentials, spikes, o = self.forward(batch, masks)
        instant = torch.softmax(o, 2)
        instant[torch.arange(len(batch.y)), :, batch.y] -= 1.0
        instant /= o[:, :, 0].numel()
        credits = filter_back(instant) if self.recipe.method == "ottt" else instant
        gradients = []
        for layer in range(len(self.weights) - 1, 0, -1):
            rows = spikes[layer - 1].flatten(0, 1).T @ credits.flatten(0, 1)
            gradients.append(torch.cat([rows, credits.sum((0, 1))[None]]))
            back = instant @ self.weights[layer][:-1].T
            if masks is not None:
                back *= masks[layer - 1]
            instant, credits = self._credits(potentials[layer - 1], back)
        gradients.append(torch.cat([batch.gradient(credits), credits.sum((0, 1))[None]]))
        return gradients[::-1], o.sum(1)

    def train(self, batch: Batch, progress: float) -> int:
        """Do one AdamW step at ``progress`` (0..1) of the training; return the number correct before the step."""
        masks = None
        if self.recipe.dropout:
            keep = 1 - self.recipe.dropout
            shapes = [(len(batch.y), 1, n) for n in self.network.hidden]
            masks = [
                torch.empty(shape, dtype=self.weights[0].dtype).bernoulli_(keep, generator=self._generator) / keep
                for shape in shapes
            ]
        gradients, outputs = self.gradients(batch, masks)
        for weights, gradient in zip(self.weights, gradients, strict=True):
            weights.grad = gradient
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.rate * (1 + cos(pi * progress)) / 2
        self._optimizer.step()
        return int((outputs.argmax(1) == batch.y).sum())

    def batches(self, events: Events, order: NDArray[np.intp], size: int) -> Iterator[Minibatch]:
        """Minibatches of the samples in the given order; the last one may be smaller."""
        ends = [*range(0, len(order), size), len(order)]
        return (Minibatch.of(events, order[begin:end], self.weights[0].dtype) for begin, end in pairwise(ends))

    def train_epoch(self, events: Events, order: NDArray[np.intp], epoch: int) -> float:
        """Train on all samples in the given order, as epoch ``epoch`` (from 0); return the training accuracy."""
        done = correct = 0
        for batch in self.batches(events, order, self.recipe.batch):
            correct += self.train(batch, (epoch + done / len(order)) / self.recipe.epochs)
            done += len(batch.y)
        return correct / done

    def test(self, events: Events) -> Tested:
        """Test on all samples."""
        correct, loss, spikes = 0, 0.0, [0.0] * len(self.network.hidden)
        for batch in self.batches(events, np.arange(len(events)), TEST_BATCH):
            _, fired, o = self.forward(batch)
            correct += int((o.sum(1).argmax(1) == batch.y).sum())
            loss += float(cross_entropy(o.flatten(0, 1), batch.y.repeat_interleave(o.size(1)), reduction="sum"))
            spikes = [total + float(s.sum()) for total, s in zip(spikes, fired, strict=True)]
        moments = len(events) * events.steps
        rates = [total / (moments * n) for total, n in zip(spikes, self.network.hidden, strict=True)]
        return Tested(correct / len(events), loss / moments, rates)
