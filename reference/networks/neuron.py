"""Leaky integrate-and-fire neurons, one time step per call, with a surrogate derivative of the spike."""

from typing import Any

import torch
from torch import Tensor, nn

LEAK = 0.5
"""Fraction of the membrane potential that remains after a time step, on the chip and in the paper (appendix C.2.2)."""
THRESHOLD = 1.0
WIDTH = 0.25
"""Width a of the surrogate derivative (1 / a) sigmoid'((u - 1) / a) (paper, appendix C.2.2)."""


class _Fire(torch.autograd.Function):
    """Spikes of potentials; backward through ``(1 / a) sigmoid'((u - threshold) / a)`` (paper, appendix C.2.2)."""

    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        return (u >= THRESHOLD).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (u,) = ctx.saved_tensors
        sigmoid = torch.sigmoid((u - THRESHOLD) / WIDTH)
        return gradients[0] * sigmoid * (1.0 - sigmoid) / WIDTH


def fire(u: Tensor) -> Tensor:
    """Spikes, 0 or 1, of membrane potentials before the reset."""
    spikes: Tensor = _Fire.apply(u)  # type: ignore[no-untyped-call]
    return spikes


class Stateful(nn.Module):
    """Module with state that lasts for the time steps of a sample."""

    def reset(self) -> None:
        """Clear the state of the last sample."""
        raise NotImplementedError


def reset(module: nn.Module) -> None:
    """Clear the state of all parts of ``module``."""
    for part in module.modules():
        if isinstance(part, Stateful):
            part.reset()


class LIF(Stateful):
    """A layer of LIF neurons with soft reset: ``u[t] = leak (u[t-1] - threshold s[t-1]) + current[t]`` (paper eq. 1).

    The state is detached from the graph between time steps: the temporal part of the gradient is in the presynaptic
    traces (OTTT, Xiao et al. 2022).

    Attributes
    ----------
    v : Tensor or None
        Membrane potential after the reset; None before a sample's first time step.
    spikes : Tensor
        Spikes of the last time step, without noise, with their graph from the current.
    noise : Tensor or None
        Perturbation of the next time step (paper section 4.4), with the shape of the spikes with or without samples.
    noise_before : bool
        Whether the perturbation is added to the current instead of the spikes.
    cut : bool
        Whether the output is detached from the graph, because gradients come from a credit assignment.
    """

    def __init__(self) -> None:
        super().__init__()
        self.v: Tensor | None = None
        self.spikes = torch.empty(0)
        self.noise: Tensor | None = None
        self.noise_before = False
        self.cut = False

    def reset(self) -> None:
        """Clear the state of the last sample."""
        self.v = None
        self.spikes = torch.empty(0)

    def forward(self, current: Tensor) -> Tensor:
        """Spikes, with noise if there is any, of the currents (samples, ...) of one time step."""
        if self.noise is not None and self.noise_before:
            current = current + self.noise
        u = current if self.v is None else current + LEAK * self.v
        self.spikes = spikes = fire(u)
        self.v = (u - THRESHOLD * spikes).detach()
        if self.noise is not None and not self.noise_before:
            spikes = spikes + self.noise
        return spikes.detach() if self.cut else spikes


def lif_layers(module: nn.Module) -> list[LIF]:
    """All layers of neurons of a network, in order of definition."""
    return [part for part in module.modules() if isinstance(part, LIF)]
