"""Conversion of PyTorch state dicts of linear layers to the chip's weights and back.

The conventions are in ``docs/exchange.md``. For NIR files see ``opzo.host.exchange.nir_graph``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from opzo.host.exchange.float_layers import (
    FloatLayer,
    InputScaling,
    exact_matrices,
    layers_of_chip,
    round_weights,
    sizes_of,
)
from opzo.host.exchange.neurons import FloatNeurons, as_readout
from opzo.host.exchange.rounding_report import LayerRounding, RoundingReport, compare
from opzo.host.exchange.snntorch import snntorch_neurons
from opzo.spec.errors import OpzoError
from opzo.spec.formats import WEIGHT
from opzo.spec.messages import printable
from opzo.spec.network import Network
from opzo.spec.neurons import Reset
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
    """Layers in the chip's conventions and the neurons of hidden layers.

    Time steps and input kind are None if the file does not give them. ``net`` is the network as text, empty if the file
    does not give it: a state dict has no pools and no sizes of maps. ``strided`` is that of the data, for a first
    convolution that needs rearranged inputs.
    """

    layers: list[FloatLayer]
    neurons: list[FloatNeurons]
    steps: int | None = None
    input: Input | None = None
    net: str = ""
    strided: str = ""


def from_state_dict(
    state_dict: Mapping[str, Tensor],
    *,
    scaling: InputScaling = CHIP_SCALING,
    threshold: float | Sequence[ArrayLike] | None = None,
    leak: float | None = None,
    reset: Reset | None = None,
) -> FloatModel:
    """Layers of a state dict, in the chip's conventions.

    Parameters
    ----------
    state_dict : mapping
        ``NAME.weight`` (n_out, n_in) or (n_out, channels, kernel, kernel) and ``NAME.bias`` (n_out,) of layers, in
        order; without a bias it is 0. The neurons of snnTorch (``NAME.beta``, ``NAME.threshold`` ...) follow each
        layer, in their order.
    scaling : InputScaling
        Input normalization of the network.
    threshold : float, or sequence of float or (n,)
        Firing threshold, one for all neurons or by hidden layer. None: that of the state dict, else 1.
    leak : float
        Fraction of the membrane potential that remains after a time step. None: that of the state dict, else 1/2.
    reset : Reset
        None: that of the state dict, else SUBTRACT.

    Raises OpzoError, naming the tensor, if the chip cannot compute the network.
    """
    arrays = {key: _array(state_dict, key) for key in state_dict if _is_name(key)}
    found, others = snntorch_neurons(arrays)
    layers = _layers(others)
    count = len(layers) - 1
    if found and len(found) not in (count, count + 1):
        raise OpzoError(
            f"there are neurons after {len(found)} layers ({', '.join(some.neurons.name for some in found)}), but "
            f"{count} hidden layers; give those of each hidden layer, or of none"
        )
    if len(found) > count:
        output = found.pop()
        as_readout(output.neurons, f"'{output.neurons.name}', at the output,")
        layers[-1] = layers[-1].scaled(1 / _positive(layers[-1], output.threshold))
    for some in found:
        if not some.resets:
            raise OpzoError(f"the neurons '{some.neurons.name}' have no reset; train with subtract or zero")
    given: list[ArrayLike]
    if threshold is None:
        given = [some.threshold for some in found] or [1.0] * count
    else:
        given = [threshold] * count if isinstance(threshold, int | float) else list(threshold)
    if len(given) != count:
        raise OpzoError(f"there are {len(given)} thresholds for {count} hidden layers; give one per layer")
    for number, theta in enumerate(given):
        with np.errstate(over="ignore"):
            gain = 1 / _positive(layers[number], theta)
        layers[number] = layers[number].scaled(gain)
    if count:
        layers[0] = scaling.fold(layers[0])
    net = "" if any(layer.convolution for layer in layers) else "-".join(map(str, sizes_of(layers)))
    neurons = [some.neurons for some in found] or [FloatNeurons(layer.name) for layer in layers[:-1]]
    if leak is not None:
        neurons = [replace(some, leak=leak, amount=1.0) for some in neurons]
    if reset is not None:
        neurons = [replace(some, reset=reset) for some in neurons]
    return FloatModel(layers, neurons, net=net)


def to_chip(
    layers: Sequence[FloatLayer],
    network: Network,
    *,
    weight_bits: int = WEIGHT.width,
    samples: Frames | Events | None = None,
    neurons: Sequence[FloatNeurons] | None = None,
) -> tuple[list[NDArray[np.int16]], RoundingReport]:
    """Round ``layers`` to weights (n_in + 1, n_out) in Q3.12; also return the report on it.

    With ``samples``, both networks are run on them, the float one with ``neurons`` in its hidden layers if they are not
    those of ``network``. OpzoError if layers or samples do not match ``network``.
    """
    weights, figures = [], []
    for layer, exact in zip(layers, exact_matrices(network, layers), strict=True):
        rounded, saturated = round_weights(exact, weight_bits)
        weights.append(rounded)
        figures.append(LayerRounding.of(layer.name, exact, rounded, saturated))
    if samples is None:
        return weights, RoundingReport(weight_bits, tuple(figures))
    samples.check(network, "the data")
    return weights, RoundingReport(weight_bits, tuple(figures), compare(network, layers, weights, samples, neurons))


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


def _is_name(key: object) -> bool:
    if not isinstance(key, str):
        raise OpzoError(f"the key {printable(key)} of the state dict is not a tensor name such as 0.weight")
    return True


def _layers(arrays: Mapping[str, NDArray[np.float64]]) -> list[FloatLayer]:
    """Layers in the order of their weights."""
    layers, used = [], set()
    for key, weight in arrays.items():
        name, _, kind = key.rpartition(".")
        if kind != "weight":
            continue
        bias = arrays.get(f"{name}.bias", np.zeros(weight.shape[:1]))
        used |= {key, f"{name}.bias"}
        layers.append(FloatLayer(printable(name), weight, bias))
    for key in arrays:
        if key not in used:
            raise OpzoError(
                f"'{printable(key)}' is not a weight or bias of a layer; fold it into one, or leave it out and give "
                "threshold and leak of the neurons"
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
