"""Linear and convolutional synapses whose gradients use presynaptic traces, without a graph through time.

The gradient of a weight is ``sum_t delta_j[t] a_i[t]`` with ``a[t] = leak a[t-1] + x[t]`` (paper eq. 8, OTTT), that of
a bias the same with ``x = 1``; the input gets the gradient of this time step only. An average pool before a convolution
needs no trace of its own, because both are linear: the trace of the pooled input is the pooled trace.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear
from torch.nn.grad import conv2d_input, conv2d_weight

from opzo.reference.networks.neuron import LEAK, THRESHOLD, Stateful

SPIKE_VARIANCE = 0.5 * (1 - torch.erf(torch.tensor(THRESHOLD / 2**0.5)).item())
SPIKE_VARIANCE *= 1 - SPIKE_VARIANCE
"""Variance of the spikes of a neuron without memory and with a normally distributed current of variance 1."""
EPSILON = 1e-4
"""Added to the variance of the weights of a filter before the division."""


class _TracedLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, trace: Tensor, weight: Tensor, bias: Tensor, bias_trace: float) -> Tensor:
        ctx.save_for_backward(trace, weight)
        ctx.bias_trace = bias_trace
        return linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (delta,), (trace, weight) = gradients, ctx.saved_tensors
        down = delta @ weight if ctx.needs_input_grad[0] else None
        return down, None, delta.T @ trace, ctx.bias_trace * delta.sum(0), None


class _TracedConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, trace: Tensor, weight: Tensor, bias: Tensor, bias_trace: float, stride: int, padding: int
    ) -> Tensor:
        ctx.save_for_backward(trace, weight)
        ctx.bias_trace, ctx.stride, ctx.padding, ctx.shape = bias_trace, stride, padding, x.shape
        return conv2d(x, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (delta,), (trace, weight) = gradients, ctx.saved_tensors
        geometry = {"stride": ctx.stride, "padding": ctx.padding}
        down = conv2d_input(ctx.shape, weight, delta, **geometry) if ctx.needs_input_grad[0] else None  # type: ignore[no-untyped-call]
        kernel = conv2d_weight(trace, weight.shape, delta, **geometry)  # type: ignore[no-untyped-call]
        return down, None, kernel, ctx.bias_trace * delta.sum((0, 2, 3)), None, None, None


class Traced(Stateful):
    """Keeps the presynaptic trace of the input and of the constant input 1 of the bias.

    In evaluation mode no trace is kept.
    """

    def __init__(self) -> None:
        super().__init__()
        self._trace: Tensor | None = None
        self._bias_trace = 0.0

    def reset(self) -> None:
        """Forget the last sample."""
        self._trace, self._bias_trace = None, 0.0

    def _follow(self, x: Tensor) -> tuple[Tensor, float]:
        """Traces with this time step's input ``x``."""
        if not self.training:
            return x, 1.0
        x = x.detach()
        self._trace = x if self._trace is None else x + LEAK * self._trace
        self._bias_trace = 1.0 + LEAK * self._bias_trace
        return self._trace, self._bias_trace


class TracedLinear(Traced):
    """Fully connected synapses (samples, n_in) to (samples, n_out), weights uniform in +-1 / sqrt(n_in) at first.

    Attributes
    ----------
    weight, bias : Parameter (n_out, n_in), (n_out,)
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        bound = n_in**-0.5
        self.weight = nn.Parameter(torch.empty(n_out, n_in).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_out).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Currents of one time step."""
        trace, bias_trace = self._follow(x)
        current: Tensor = _TracedLinear.apply(x, trace, self.weight, self.bias, bias_trace)  # type: ignore[no-untyped-call]
        return current


class TracedConv2d(Traced):
    """Convolution with scaled weight standardization (Brock et al. 2021), which replaces normalization of activities.

    A filter's weights are ``gain (w - mean) / sqrt(n_in var)``; ``gain`` is learned, for each filter.

    Parameters
    ----------
    channels_in, channels_out, size : int
        ``size`` is that of the kernel; padding keeps the image size.
    stride : int
    spikes_in : bool
        Whether the inputs are spikes instead of numbers with variance 1; the initial gain compensates their variance.

    Attributes
    ----------
    weight : Parameter (channels_out, channels_in, size, size)
    gain : Parameter (channels_out, 1, 1, 1)
    bias : Parameter (channels_out,)
    """

    def __init__(
        self, channels_in: int, channels_out: int, size: int = 3, stride: int = 1, *, spikes_in: bool = True
    ) -> None:
        super().__init__()
        self.stride, self.padding = stride, size // 2
        bound = (channels_in * size**2) ** -0.5
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in, size, size).uniform_(-bound, bound))
        first = SPIKE_VARIANCE**-0.5 if spikes_in else 1.0
        self.gain = nn.Parameter(torch.full((channels_out, 1, 1, 1), first))
        self.bias = nn.Parameter(torch.zeros(channels_out))

    def standardised(self) -> Tensor:
        """Effective weights of the filters."""
        variance, mean = torch.var_mean(self.weight, (1, 2, 3), correction=0, keepdim=True)
        n_in = self.weight[0].numel()
        return self.gain * (self.weight - mean) * torch.rsqrt(n_in * variance + EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Currents of one time step, (samples, channels_out, height, width)."""
        trace, bias_trace = self._follow(x)
        current: Tensor = _TracedConv.apply(  # type: ignore[no-untyped-call]
            x, trace, self.standardised(), self.bias, bias_trace, self.stride, self.padding
        )
        return current
