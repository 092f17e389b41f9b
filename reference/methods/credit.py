"""Spatial credit assignment: computes the gradients of hidden layers' spikes from the output error.

One class per method of the paper. The temporal part is the same for all; it is in the traces of the synapses.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor, nn

from opzo.reference.networks.neuron import LEAK, Stateful

MOMENTUM = 0.99999
"""Coefficient of momentum feedback (paper, appendix C.2.2)."""


class Credit(Stateful, ABC):
    """Computes the gradients of hidden layers from the output layer in one time step.

    Parameters
    ----------
    shapes : sequence of torch.Size
        Shape of each hidden layer, without the sample axis.
    classes : int
    """

    perturbs: ClassVar[bool] = False
    """Whether the method needs noise on the neurons."""

    def __init__(self, shapes: Sequence[torch.Size], classes: int) -> None:
        super().__init__()
        self.shapes, self.classes = [torch.Size(shape) for shape in shapes], classes

    @abstractmethod
    def gradients(
        self, spikes: Sequence[Tensor], output: Tensor, error: Tensor, losses: Tensor, noise: Sequence[Tensor]
    ) -> list[Tensor]:
        """Gradients of the mean loss with respect to the spikes of each layer, (samples, ...), in one time step.

        Parameters
        ----------
        spikes : spikes of the hidden layers, without noise
        output : (samples, classes)
        error : (samples, classes)
            Gradient of the mean loss with respect to the output.
        losses : (samples,)
            Loss of each sample, divided by the number of samples.
        noise : noise of the layers, with variance 1; empty if the method needs none
        """

    def reset(self) -> None:
        """Clear the state of the last sample."""


class DFA(Credit):
    """Direct feedback alignment (Nøkland 2016): ``B e`` with fixed random matrices.

    Attributes
    ----------
    feedback : ParameterList of (classes, neurons)
        One matrix per layer.
    """

    trains: ClassVar[bool] = False
    """Whether the optimizer updates the matrices."""

    def __init__(self, shapes: Sequence[torch.Size], classes: int) -> None:
        super().__init__(shapes, classes)
        matrices = (self._first(shape.numel()) for shape in self.shapes)
        self.feedback = nn.ParameterList(nn.Parameter(matrix, requires_grad=self.trains) for matrix in matrices)

    def _first(self, neurons: int) -> Tensor:
        return torch.randn(self.classes, neurons) / sqrt(self.classes)

    def gradients(
        self, spikes: Sequence[Tensor], output: Tensor, error: Tensor, losses: Tensor, noise: Sequence[Tensor]
    ) -> list[Tensor]:
        """``B e`` for each layer."""
        gradients: list[Tensor] = [
            torch.mm(error, matrix).view(len(error), *shape)
            for matrix, shape in zip(self.feedback, self.shapes, strict=True)
        ]
        return gradients


class DKP(DFA):
    """Direct Kolen-Pollack (Webster et al. 2020): the matrices learn as direct weights to the output would.

    Their gradient is the product of the layer's trace and the error (paper, appendix D.4); they
    use the optimizer and weight decay of the weights.
    """

    trains = True

    def __init__(self, shapes: Sequence[torch.Size], classes: int) -> None:
        super().__init__(shapes, classes)
        self._traces: list[Tensor] = []

    def reset(self) -> None:
        """Clear the state of the last sample."""
        self._traces = []

    def gradients(
        self, spikes: Sequence[Tensor], output: Tensor, error: Tensor, losses: Tensor, noise: Sequence[Tensor]
    ) -> list[Tensor]:
        """``B e``; adds the gradients of the matrices to their ``grad``."""
        gradients = super().gradients(spikes, output, error, losses, noise)
        flat = [s.detach().flatten(1) for s in spikes]
        self._traces = [s + LEAK * a for s, a in zip(flat, self._traces, strict=True)] if self._traces else flat
        for matrix, trace in zip(self.feedback, self._traces, strict=True):
            learned = error.T @ trace
            matrix.grad = learned if matrix.grad is None else matrix.grad + learned
        return gradients


class ZO(Credit):
    """One-point zeroth order: ``L z / alpha`` (paper eq. 4); the output layer uses its own error.

    The factor 1 / alpha is omitted, because Adam cancels all of it but its slow change.
    """

    perturbs = True

    def gradients(
        self, spikes: Sequence[Tensor], output: Tensor, error: Tensor, losses: Tensor, noise: Sequence[Tensor]
    ) -> list[Tensor]:
        """Noise of each layer times the loss."""
        return [z * losses.view(-1, *[1] * (z.dim() - 1)) for z in noise]


class OPZO(DFA):
    """Online pseudo-zeroth order: momentum feedback ``M <- m M + (1 - m) mean(o z')``, gradients ``M e`` (eq. 7).

    As in the paper's experiments, the factor 1 / alpha is omitted (appendix C.2.2).

    Parameters
    ----------
    momentum : float
    """

    perturbs = True

    def __init__(self, shapes: Sequence[torch.Size], classes: int, momentum: float = MOMENTUM) -> None:
        super().__init__(shapes, classes)
        self.momentum = momentum

    def _first(self, neurons: int) -> Tensor:
        return torch.zeros(self.classes, neurons)

    def gradients(
        self, spikes: Sequence[Tensor], output: Tensor, error: Tensor, losses: Tensor, noise: Sequence[Tensor]
    ) -> list[Tensor]:
        """``M e``, with the matrices after the update of this time step."""
        share = (1 - self.momentum) / len(output)
        for matrix, z in zip(self.feedback, noise, strict=True):
            matrix.mul_(self.momentum).addmm_(output.T, z.flatten(1), alpha=share)
        return super().gradients(spikes, output, error, losses, noise)


METHODS: dict[str, type[Credit] | None] = {"bp": None, "dfa": DFA, "dkp": DKP, "zo": ZO, "opzo": OPZO}
"""Methods by name; ``bp`` is back-propagation through the layers in each time step, which needs no class."""
