"""Conversion of PyTorch state dicts of linear layers to the chip's weights and back.

The conventions are in ``docs/exchange.md``. For NIR files see ``opzo.host.exchange.nir_graph``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from opzo.host.exchange.float_layers import (
    LEAK,
    FloatLayer,
    InputScaling,
    exact_matrices,
    layers_of_chip,
    round_weights,
)
from opzo.host.exchange.rounding_report import LayerRounding, RoundingReport, compare
from opzo.spec.errors import OpzoError
from opzo.spec.formats import WEIGHT
from opzo.spec.messages import printable
from opzo.spec.network import Network
from opzo.spec.rules import Input
from opzo.system.bounds import check_memory

if TYPE_CHECKING:
    from opzo.host.data.data_sets import Frames
    from opzo.host.data.events.event_samples import Events
    from opzo.host.training.checkpoint import Checkpoint

CHIP_SCALING = InputScaling()
"""The chip's own input convention."""


@dataclass(frozen=True)
class FloatModel:
    """Layers in the chip's conventions, with time steps and input kind if the file gives them."""

    layers: list[FloatLayer]
    steps: int | None = None
    input: Input | None = None


def from_state_dict(
    state_dict: Mapping[str, Tensor],
    *,
    scaling: InputScaling = CHIP_SCALING,
    threshold: float | Sequence[ArrayLike] = 1.0,
    leak: float = LEAK,
) -> FloatModel:
    """Layers of a state dict, in the chip's conventions.

    Parameters
    ----------
    state_dict : mapping
        ``NAME.weight`` (n_out, n_in) and ``NAME.bias`` (n_out,) of linear layers, in order; without a bias it is 0.
    scaling : InputScaling
        Input normalization of the network.
    threshold : float, or sequence of float or (n,)
        Firing threshold, one for all neurons or by hidden layer.
    leak : float
        Fraction of the membrane potential that remains after a time step.

    Raises OpzoError, naming the tensor, if the chip cannot compute the network.
    """
    if leak != LEAK:
        raise OpzoError(
            f"the network's neurons keep {leak:g} of their potential per time step, those of the chip "
            f"{LEAK:g}; train with that"
        )
    *hidden, readout = _linear_layers(state_dict)
    thresholds = [threshold] * len(hidden) if isinstance(threshold, int | float) else list(threshold)
    if len(thresholds) != len(hidden):
        raise OpzoError(f"there are {len(thresholds)} thresholds for {len(hidden)} hidden layers; give one per layer")
    for number, (layer, theta) in enumerate(zip(hidden, thresholds, strict=True)):
        with np.errstate(over="ignore"):
            gain = 1 / _positive(layer, theta)
        hidden[number] = layer.scaled(gain)
    hidden[:1] = [scaling.fold(layer) for layer in hidden[:1]]
    return FloatModel([*hidden, readout])


def to_chip(
    layers: Sequence[FloatLayer],
    network: Network,
    *,
    weight_bits: int = WEIGHT.width,
    samples: Frames | Events | None = None,
) -> tuple[list[NDArray[np.int16]], RoundingReport]:
    """Round ``layers`` to weights (n_in + 1, n_out) in Q3.12; also return the report on it.

    With ``samples``, both networks are run on them. OpzoError if layers or samples do not match ``network``.
    """
    weights, figures = [], []
    for layer, exact in zip(layers, exact_matrices(network, layers), strict=True):
        rounded, saturated = round_weights(exact, weight_bits)
        weights.append(rounded)
        figures.append(LayerRounding.of(layer.name, exact, rounded, saturated))
    if samples is None:
        return weights, RoundingReport(weight_bits, tuple(figures))
    samples.check(network, "the samples")
    return weights, RoundingReport(weight_bits, tuple(figures), compare(network, layers, weights, samples))


def from_chip(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """State dict of a FloatNetwork in single precision, with the exact weights of the chip."""
    tensors = {}
    for layer in layers_of_chip(checkpoint.network, checkpoint.state.weights):
        tensors[f"{layer.name}.weight"] = torch.from_numpy(layer.weight.astype(np.float32))
        tensors[f"{layer.name}.bias"] = torch.from_numpy(layer.bias.astype(np.float32))
    return tensors


def encode_state_dict(state_dict: Mapping[str, Tensor]) -> bytes:
    """Content of a ``.pt`` file that ``torch.load(..., weights_only=True)`` can read."""
    file = BytesIO()
    torch.save(dict(state_dict), file)
    return file.getvalue()


def _linear_layers(state_dict: Mapping[str, Tensor]) -> list[FloatLayer]:
    """Linear layers in the order of their weights."""
    layers, used = [], set()
    for key in state_dict:
        if not isinstance(key, str):
            raise OpzoError(f"the key {printable(key)} of the state dict is not a tensor name such as 0.weight")
        name, _, kind = key.rpartition(".")
        if kind != "weight":
            continue
        weight = _array(state_dict, key)
        bias = _array(state_dict, f"{name}.bias") if f"{name}.bias" in state_dict else np.zeros(weight.shape[:1])
        used |= {key, f"{name}.bias"}
        layers.append(FloatLayer(printable(name), weight, bias))
    for key in state_dict:
        if key not in used:
            raise OpzoError(
                f"'{printable(key)}' is not a weight or bias of a linear layer; fold it into one, or leave it out "
                "and give threshold and leak of the neurons"
            )
    if not layers:
        raise OpzoError("the state dict has no linear layer; name its weights NAME.weight")
    return layers


def _array(state_dict: Mapping[str, Tensor], key: str) -> NDArray[np.float64]:
    """Values of a tensor; OpzoError, naming it, if it does not have plain numbers."""
    tensor, name = state_dict[key].detach(), printable(key)
    for refused, what in (
        (tensor.is_meta, "has no values (device meta); save the network after its weights are loaded"),
        (tensor.is_quantized, "is quantized; write tensor.dequantize() instead"),
        (tensor.is_nested, "is nested; write plain tensors"),
        (tensor.layout is not torch.strided, "is sparse; write tensor.to_dense() instead"),
        (tensor.is_complex(), "is complex; write real weights"),
        (tensor.dtype is torch.bool, "is of type bool; write numbers"),
    ):
        if refused:
            raise OpzoError(f"'{name}' {what}")
    check_memory(f"'{name}' of shape {tuple(tensor.shape)}", tensor.numel() * torch.float64.itemsize)
    try:
        array: NDArray[np.float64] = tensor.cpu().double().resolve_neg().numpy()
    except (RuntimeError, NotImplementedError, TypeError):
        raise OpzoError(
            f"'{name}' is of type {tensor.dtype}, which is not a plain number type; write tensor.float()"
        ) from None
    return array


def _positive(layer: FloatLayer, threshold: ArrayLike) -> NDArray[np.float64]:
    """Check the threshold of a layer's neurons."""
    theta = np.asarray(threshold, float)
    if not (np.isfinite(theta).all() and (theta > 0).all()) or theta.shape not in ((), layer.bias.shape):
        raise OpzoError(
            f"the threshold after layer '{layer.name}' must be one number, or one per neuron, and more than 0"
        )
    return theta
