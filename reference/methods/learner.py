"""Online training of a network, batch by batch, with any method of spatial credit assignment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from opzo.reference.methods.credit import METHODS, MOMENTUM, OPZO, Credit
from opzo.reference.methods.noise import GAUSSIAN, Noise, Perturbation
from opzo.reference.methods.totals import StepSums, Totals
from opzo.reference.networks.networks import SpikingNetwork
from opzo.reference.networks.neuron import LIF, lif_layers, reset
from opzo.reference.networks.synapses import TracedLinear
from opzo.spec.messages import no_such

MSE_SHARE = 0.05
"""Weight of the mean square error in the loss; the rest is cross entropy (Xiao et al. 2022)."""
LOCAL_SCALE = 0.01
"""Factor of the losses of local readouts (paper, appendix C.2.2)."""


@dataclass(frozen=True)
class Method:
    """Parameters of a learning method.

    Parameters
    ----------
    name : str
        A key of `opzo.reference.methods.credit.METHODS`.
    local : bool
        Local learning: a readout at each hidden layer, whose error trains only that layer.
    intermediate : int or None
        Intermediate global learning: hidden layer with a readout whose error trains this and all earlier layers.
    noise : Noise
    under_noise : bool
        Noise in all methods and in tests, for networks on noisy hardware (paper section 5.4).
    momentum : float
        Momentum of OPZO's feedback.

    OpzoError if there is no such method.
    """

    name: str = "opzo"
    local: bool = False
    intermediate: int | None = None
    noise: Noise = GAUSSIAN
    under_noise: bool = False
    momentum: float = MOMENTUM

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise no_such("method", self.name, METHODS)

    @property
    def label(self) -> str:
        """Name with options and any noise that is not the paper's default: ``opzo-ll-igl rademacher before``."""
        parts = [self.name + "-ll" * self.local + "-igl" * (self.intermediate is not None)]
        kind = METHODS[self.name]
        if self.under_noise or (kind is not None and kind.perturbs):
            parts += [self.noise.kind] * (self.noise.kind != GAUSSIAN.kind)
            parts += [self.noise.place] * (self.noise.place != GAUSSIAN.place)
            parts += ["independent"] * (not self.noise.antithetic and not self.under_noise)
        return " ".join(parts)

    def credit(self, shapes: Sequence[torch.Size], classes: int) -> Credit | None:
        """Credit assignment to layers of these shapes; None: back-propagation."""
        kind = METHODS[self.name]
        if kind is None:
            return None
        return OPZO(shapes, classes, self.momentum) if kind is OPZO else kind(shapes, classes)


class Learner(nn.Module):
    """A network with the readouts of its hidden layers and its credit assignment.

    Parameters
    ----------
    network : SpikingNetwork
    shape : (channels, height, width)
        Shape of the input.
    method : Method

    Attributes
    ----------
    layers : list of LIF
    shapes : list of torch.Size
        Shape of each layer.
    branches : ModuleList of Branch
    credit : Credit or None
    """

    def __init__(self, network: SpikingNetwork, shape: tuple[int, int, int], method: Method) -> None:
        super().__init__()
        self.network, self.method = network, method
        self.layers = lif_layers(network)
        self.shapes, classes = _shapes(network, self.layers, shape)
        self.credit = method.credit(self.shapes, classes)
        branches = []
        if method.local:
            branches += [Branch(layer, size, classes, LOCAL_SCALE, None) for layer, size in enumerate(self.shapes)]
        if method.intermediate is not None:
            served = self.shapes[: method.intermediate + 1]
            branches.append(Branch(len(served) - 1, served[-1], classes, 1.0, method.credit(served, classes)))
        self.branches = nn.ModuleList(branches)
        for layer in self.layers:
            layer.cut = self.credit is not None

    def gradients(self, x: Tensor, y: Tensor, alpha: float = 0.0) -> Totals:
        """Add the gradients of a batch to those of the parameters; return the totals of the batch.

        Parameters
        ----------
        x : (samples, steps, channels, height, width)
        y : int64 (samples,)
        alpha : float
            Amplitude of the noise, for methods that need it.
        """
        steps, perturbation = x.size(1), self._perturbation(alpha, learns=True)

        def learn(output: Tensor, losses: Tensor) -> None:
            self._backward(output, losses / (steps * len(y)), y, steps, perturbation.z if perturbation else [])

        return self._run(x, y, perturbation, learn)

    @torch.no_grad()
    def test(self, x: Tensor, y: Tensor, alpha: float = 0.0) -> Totals:
        """Totals of a batch without learning; ``alpha`` is the noise amplitude if tests are under noise."""
        return self._run(x, y, self._perturbation(alpha, learns=False))

    def _perturbation(self, alpha: float, *, learns: bool) -> Perturbation | None:
        method = learns and self.credit is not None and self.credit.perturbs
        if not (method or self.method.under_noise):
            return None
        return Perturbation(self.method.noise, alpha, self.layers, self.shapes)

    def _run(
        self,
        x: Tensor,
        y: Tensor,
        perturbation: Perturbation | None,
        learn: Callable[[Tensor, Tensor], None] = lambda output, losses: None,
    ) -> Totals:
        """Run the time steps of a batch; ``learn`` is called with the outputs and losses of each step."""
        reset(self)
        sums = StepSums(self.layers)
        try:
            for step in range(x.size(1)):
                if perturbation is not None:
                    perturbation.apply(step, x)
                output = self.network(x[:, step])
                losses = instantaneous_losses(output, y)
                learn(output, losses)
                sums.step(output, losses)
        finally:
            if perturbation is not None:
                perturbation.end()
        return sums.totals(y)

    def _backward(self, output: Tensor, losses: Tensor, y: Tensor, steps: int, noise: list[Tensor]) -> None:
        """Add the gradients of one time step."""
        spikes = [layer.spikes for layer in self.layers]
        loss = losses.sum()
        ends: list[Tensor] = []
        starts: list[Tensor | None] = []
        for branch in self.branches:
            assert isinstance(branch, Branch)
            local = branch(spikes[branch.layer])
            local_losses = branch.scale * instantaneous_losses(local, y) / (steps * len(y))
            if self.credit is None:
                loss = loss + local_losses.sum()
            elif branch.credit is None:
                ends.append(local_losses.sum())
                starts.append(None)
            else:
                _assign(branch.credit, spikes[: branch.layer + 1], local, local_losses, noise, ends, starts)
        if self.credit is None:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            _assign(self.credit, spikes, output, losses, noise, ends, starts)
            # A single call, because the graphs of the layers are separate.
            torch.autograd.backward(ends, starts)


class Branch(nn.Module):
    """A readout at hidden layer ``layer``.

    Parameters
    ----------
    layer : int
    shape : torch.Size
        Shape of that layer.
    scale : float
        Factor of its loss.
    credit : Credit or None
        Credit assignment to the layers up to this one; None: back-propagation through the readout to this layer only.
    """

    def __init__(self, layer: int, shape: torch.Size, classes: int, scale: float, credit: Credit | None) -> None:
        super().__init__()
        self.layer, self.scale, self.credit = layer, scale, credit
        # The name is part of checkpoints.
        self.read_out = TracedLinear(shape.numel(), classes)

    def forward(self, spikes: Tensor) -> Tensor:
        """Outputs of one time step."""
        output: Tensor = self.read_out((spikes if self.credit is None else spikes.detach()).flatten(1))
        return output


def instantaneous_losses(output: Tensor, y: Tensor) -> Tensor:
    """Loss of each sample in one time step: cross entropy and mean square error to the one-hot class."""
    target = one_hot(y, output.size(1)).to(output.dtype)
    squares = mse_loss(output, target, reduction="none").mean(1)
    return (1 - MSE_SHARE) * cross_entropy(output, y, reduction="none") + MSE_SHARE * squares


def _assign(
    credit: Credit,
    spikes: Sequence[Tensor],
    output: Tensor,
    losses: Tensor,
    noise: Sequence[Tensor],
    ends: list[Tensor],
    starts: list[Tensor | None],
) -> None:
    """Append tensors to start back-propagation from, and their gradients."""
    (error,) = torch.autograd.grad(losses.sum(), output, retain_graph=True)
    with torch.no_grad():
        gradients = credit.gradients(spikes, output.detach(), error, losses.detach(), noise[: len(spikes)])
    ends += [output, *spikes]
    starts += [error, *gradients]


def _shapes(network: SpikingNetwork, layers: list[LIF], shape: tuple[int, int, int]) -> tuple[list[torch.Size], int]:
    """Shape of each layer, and the number of classes, from one time step of zeros."""
    training = network.training
    network.eval()
    with torch.no_grad():
        output = network(torch.zeros(1, *shape))
    network.train(training)
    shapes = [layer.spikes.shape[1:] for layer in layers]
    reset(network)
    return shapes, output.size(1)
