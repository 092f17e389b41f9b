"""Noise on the neurons for zeroth-order estimates (paper section 4.4)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from opzo.reference.networks.neuron import LIF
from opzo.spec.messages import no_such

KINDS = ("gaussian", "rademacher")
PLACES = ("after", "before")
ALPHA_FIRST, ALPHA_LAST = 0.2, 0.01
"""Noise amplitude at the start and at the end of the training (paper, appendix C.2.2)."""


@dataclass(frozen=True)
class Noise:
    """Type of the perturbation of neurons.

    Parameters
    ----------
    kind : str
        ``gaussian`` or ``rademacher`` (+1 or -1); both have mean 0 and variance 1.
    place : str
        ``after`` the neurons, on their spikes, or ``before`` them, on their currents.
    antithetic : bool
        Every second time step uses the negated noise of the previous one.

    OpzoError for other values.
    """

    kind: str = "gaussian"
    place: str = "after"
    antithetic: bool = True

    def __post_init__(self) -> None:
        for value, known in ((self.kind, KINDS), (self.place, PLACES)):
            if value not in known:
                raise no_such("noise", value, known)

    def draw(self, shape: torch.Size, like: Tensor) -> Tensor:
        """Noise of variance 1 with the dtype and device of ``like``."""
        if self.kind == "gaussian":
            return torch.randn(shape, dtype=like.dtype, device=like.device)
        return torch.randint(0, 2, shape, device=like.device).to(like.dtype).mul_(2).sub_(1)


GAUSSIAN = Noise()
"""The paper's default."""


class Perturbation:
    """Applies noise to layers of neurons during the time steps of a batch.

    Attributes
    ----------
    z : list of Tensor (samples, ...)
        Noise of the present time step, of variance 1, by layer.
    """

    def __init__(self, noise: Noise, alpha: float, layers: Sequence[LIF], shapes: Sequence[torch.Size]) -> None:
        self._noise, self._alpha, self._layers, self._shapes = noise, alpha, layers, shapes
        self.z: list[Tensor] = []

    def apply(self, step: int, like: Tensor) -> None:
        """Set the noise of the layers for time step ``step``; ``like`` has their dtype and device."""
        if self._noise.antithetic and step % 2:
            self.z = [-z for z in self.z]
        else:
            self.z = [self._noise.draw(torch.Size((len(like), *shape)), like) for shape in self._shapes]
        for layer, z in zip(self._layers, self.z, strict=True):
            layer.noise, layer.noise_before = self._alpha * z, self._noise.place == "before"

    def end(self) -> None:
        """Remove the noise from the layers."""
        for layer in self._layers:
            layer.noise = None
