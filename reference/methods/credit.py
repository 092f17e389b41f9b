"""Spatial credit assignment: how the error of an output becomes the gradient of the spikes of hidden layers.

One class a method of the paper. The temporal part is the same for all: it is in the traces of the synapses.
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
    """Makes the gradients of hidden layers from what an output layer did in one time step.

    Parameters
    ----------
    shapes : sequence of torch.Size
        Neurons of each hidden layer, without samples.
    classes : int
    """

    perturbs: ClassVar[bool] = False
    """The method needs noise on the neurons."""

    def __init__(self, shapes: Sequence[torch.Size], classes: int) -> None:
        super().__init__()
        self.shapes, self.classes = [torch.Size(shape) for shape in shapes], classes

    @abstractmethod
    def gradients(
        self, spikes: Sequence[Tensor], output: Tensor, error: Tensor, losses: Tensor, noise: Sequence[Tensor]
    ) -> list[Tensor]:
        """Gradients of the mean loss by the spikes of each layer, (samples, ...), in one time step.

        Parameters
        ----------
        spikes : of the hidden layers, without noise
        output : (samples, classes)
        error : (samples, classes)
            Gradient of the mean loss by the output.
        losses : (samples,)
            Loss of each sample, divided by the number of samples: error without the output's detail.
        noise : of the layers, of variance 1; empty where the method needs none
        """

    def reset(self) -> None:
        """Forget the last sample."""


class DFA(Credit):
    """Direct feedback alignment (Nøkland 2016): ``B e`` with fixed random matrices.

    Attributes
    ----------
    feedback : ParameterList of (classes, neurons)
        One a layer.
    """

    trains: ClassVar[bool] = False
    """The optimizer changes the matrices."""

    def __init__(self, shapes: Sequence[torch.Size], classes: int) -> None:
        super().__init__(shapes, classes)
        matrices = (self._first(shape.numel()) for shape in self.shapes)
        self.feedback = nn.ParameterList(nn.Parameter(matrix, requires_grad=self.trains) for matrix in matrices)

    def _first(self, neurons: int) -> Tensor:
        return torch.randn(self.classes, neurons) / sqrt(self.classes)

    def gradients(
        self, spikes: Sequence[Tensor], output: Tensor, error: Tensor, losses: Tensor, noise: Sequence[Tensor]
    ) -> list[Tensor]:
        """``B e`` of every layer."""
        gradients: list[Tensor] = [
            torch.mm(error, matrix).view(len(error), *shape)
            for matrix, shape in zip(self.feedback, self.shapes, strict=True)
        ]
        return gradients


class DKP(DFA):
    """Direct Kolen-Pollack (Webster et al. 2020): the matrices are parameters and learn as weights to the output would.

    Their gradient is the product of the layer's trace and the error (paper, appendix D.4); optimizer and weight decay
    are those of the weights.
    """

    trains = True

    def __init__(self, shapes: Sequence[torch.Size], classes: int) -> None:
        super().__init__(shapes, classes)
        self._traces: list[Tensor] = []

    def reset(self) -> None:
        """Forget the last sample."""
        self._traces = []

    def gradients(
        self, spikes: Sequence[Tensor], output: Tensor, error: Tensor, losses: Tensor, noise: Sequence[Tensor]
    ) -> list[Tensor]:
        """``B e``; the gradients of the matrices are added to their ``grad``."""
        gradients = super().gradients(spikes, output, error, losses, noise)
        flat = [s.detach().flatten(1) for s in spikes]
        self._traces = [s + LEAK * a for s, a in zip(flat, self._traces, strict=True)] if self._traces else flat
        for matrix, trace in zip(self.feedback, self._traces, strict=True):
            learned = error.T @ trace
            matrix.grad = learned if matrix.grad is None else matrix.grad + learned
        return gradients


class ZO(Credit):
    """Zeroth order, from one point: ``L z / alpha`` (paper eq. 4); the layer to the output has its own error.

    The factor 1 / alpha is left out: with Adam, only its slow fall would be seen.
    """

    perturbs = True

    def gradients(
        self, spikes: Sequence[Tensor], output: Tensor, error: Tensor, losses: Tensor, noise: Sequence[Tensor]
    ) -> list[Tensor]:
        """The noise of each layer, times the loss."""
        return [z * losses.view(-1, *[1] * (z.dim() - 1)) for z in noise]


class OPZO(DFA):
    """Online pseudo-zeroth order: momentum feedback ``M <- m M + (1 - m) mean(o z')``, gradients ``M e`` (eq. 7).

    As in the paper's experiments the factor 1 / alpha is left out (appendix C.2.2).

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
        """``M e``, with the matrices as they are after this time step."""
        share = (1 - self.momentum) / len(output)
        for matrix, z in zip(self.feedback, noise, strict=True):
            matrix.mul_(self.momentum).addmm_(output.T, z.flatten(1), alpha=share)
        return super().gradients(spikes, output, error, losses, noise)


METHODS: dict[str, type[Credit] | None] = {"bp": None, "dfa": DFA, "dkp": DKP, "zo": ZO, "opzo": OPZO}
"""Methods by name; ``bp`` is back-propagation through the layers of each time step, which needs no class."""
