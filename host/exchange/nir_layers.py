"""Linear layers, convolutions and pools of a NIR graph as layers of the chip."""

from logging import getLogger
from typing import Any

import nir
import numpy as np

from opzo.host.data.events.strided import Strided
from opzo.host.exchange.float_layers import FloatLayer
from opzo.host.exchange.nir_values import numbers, quoted
from opzo.spec.errors import NetworkError, OpzoError
from opzo.spec.geometry import CELL
from opzo.spec.layers import POOL, Convolution, Map, Pool
from opzo.spec.messages import printable

logger = getLogger(__name__)


class LayerChain:
    """The layers of a chain of nodes, as the chip computes them.

    Parameters
    ----------
    shape : tuple of int or None
        Of the inputs: (n,) or (channels, height, width); None if the graph does not give it.

    Attributes
    ----------
    layers : list of FloatLayer
    shape : tuple of int or None
        Of what the previous node gives.
    strided : str
        The first convolution if it has a stride or a padding of its own, as of `opzo.host.data.events.strided`.
    """

    def __init__(self, shape: tuple[int, ...] | None) -> None:
        self.shape = shape
        self.layers: list[FloatLayer] = []
        self.strided = ""
        self._inputs: tuple[int, ...] = ()
        self._parts: list[str] = []
        self._gain = 1.0

    @property
    def net(self) -> str:
        """The layers as a network's text."""
        return "-".join(["x".join(map(str, self._inputs)), *self._parts])

    def add_linear(self, name: str, node: Any) -> None:
        """Append an Affine or Linear node."""
        weight = numbers(name, node.weight)
        layer = self._layer(name, weight, None if isinstance(node, nir.Linear) else node.bias)
        if self.layers and self.shape is not None and len(self.shape) > 1:
            raise OpzoError(
                f"node {quoted(name)} is {type(node).__name__} over a map of {_text(self.shape)}; put a Flatten node "
                "before it"
            )
        n_in = layer.weight.shape[1]
        if self.layers and self.shape is not None and self.shape != (n_in,):
            raise OpzoError(
                f"node {quoted(name)} takes {n_in} inputs, but the nodes before it give {_text(self.shape)}; write a "
                "graph with matching nodes"
            )
        self._append(layer, (n_in,), (len(layer.weight),), str(len(layer.weight)))

    def add_convolution(self, name: str, node: nir.Conv2d) -> None:
        """Append a convolution of stride 1 that keeps height and width."""
        weight = numbers(name, node.weight)
        if weight.ndim != 4:
            raise OpzoError(f"node {quoted(name)} is Conv2d with weights of shape {weight.shape}; write it with nir")
        shape = self.shape
        if (shape is None or len(shape) != 3) and node.input_shape is not None and not self.layers:
            shape = (weight.shape[1], *map(int, np.ravel(node.input_shape)))
        if shape is None or len(shape) != 3 or shape[0] != weight.shape[1]:
            given = "nothing known" if shape is None else _text(shape)
            raise OpzoError(
                f"node {quoted(name)} is Conv2d over {weight.shape[1]} channels, but the nodes before it give {given}; "
                "write a graph with matching nodes"
            )
        kernel = weight.shape[2]
        if not self.layers and weight.shape[3] == kernel and (strided := _strided(node, kernel)):
            weight, shape = self._rearranged(name, strided, weight, shape)
            kernel = weight.shape[2]
            node = nir.Conv2d(shape[1:], weight, 1, "same", 1, 1, node.bias)
        layer = self._layer(name, weight, node.bias)
        channels, height, width = shape
        for what, value, one in (
            ("stride", node.stride, 1),
            ("dilation", node.dilation, 1),
            ("groups", node.groups, 1),
        ):
            if not np.array_equal(np.broadcast_to(value, (2,)), (one, one)):
                raise OpzoError(
                    f"node {quoted(name)} has {what} {_pair(value)}; convolutions on the chip have {one}: train with "
                    "that"
                )
        if _pair(node.padding) not in ("same", _pair(kernel // 2)):
            raise OpzoError(
                f"node {quoted(name)} has padding {_pair(node.padding)}; convolutions on the chip keep height and "
                f"width: train with padding {kernel // 2} for a kernel of {kernel}"
            )
        part = Convolution(len(weight), kernel)
        self._append(layer, shape, (*part.above(Map(channels, height, width)).shape,), str(part))

    def add_pool(self, name: str, node: Any) -> None:
        """Append an average pool of 2 x 2; a sum pool is four times as much, which the next layer's weights take up."""
        kind = type(node).__name__
        if not (self.layers and self.layers[-1].convolution) or self.shape is None or len(self.shape) != 3:
            raise OpzoError(f"node {quoted(name)} is {kind} that does not follow a convolution; leave it out")
        if self._parts[-1] == str(Pool()):
            raise OpzoError(f"node {quoted(name)} is the second pool in a row; put a convolution between them")
        for what, value, wanted in (
            ("kernel_size", node.kernel_size, POOL),
            ("stride", node.stride, POOL),
            ("padding", node.padding, 0),
        ):
            if _pair(value) != _pair(wanted):
                raise OpzoError(
                    f"node {quoted(name)} is {kind} with {what} {_pair(value)}; pools on the chip are 2 x 2, stride 2, "
                    "padding 0: train with that"
                )
        try:
            self.shape = Map(*self.shape).pooled().shape
        except NetworkError as error:
            raise OpzoError(f"node {quoted(name)}: {error}; train with maps of even sides") from None
        self._gain = CELL if isinstance(node, nir.SumPool2d) else 1.0
        self._parts.append(str(Pool()))

    def flatten(self) -> None:
        """Flatten the map channel by channel, as a linear layer sees it."""
        if self.shape is not None:
            self.shape = (int(np.prod(self.shape)),)

    def _rearranged(self, name: str, strided: Strided, weight: Any, shape: tuple[int, ...]) -> Any:
        """Weights of the first convolution for rearranged inputs, and the shape of these."""
        channels, height, width = shape
        try:
            made, after = strided.weight(weight, (channels, height, width)), strided.shape((channels, height, width))
        except OpzoError as error:
            raise OpzoError(f"node {quoted(name)}: {error}") from None
        logger.info("node %s: events are rearranged from %s to %s", quoted(name), _text(shape), _text(after))
        self.strided = str(strided)
        return made, after

    def _layer(self, name: str, weight: Any, bias: Any) -> FloatLayer:
        bias = np.zeros(weight.shape[:1]) if bias is None else numbers(name, bias).reshape(-1)
        if bias.size == 1:
            bias = np.broadcast_to(bias, weight.shape[:1])
        layer = FloatLayer(printable(name), weight * self._gain, bias)
        self._gain = 1.0
        return layer

    def _append(self, layer: FloatLayer, below: tuple[int, ...], above: tuple[int, ...], part: str) -> None:
        if not self.layers:
            self._inputs = below
        self.layers.append(layer)
        self._parts.append(part)
        self.shape = above


def _strided(node: nir.Conv2d, kernel: int) -> Strided | None:
    """A first convolution that needs rearranged inputs; None for one that does not, or that cannot be."""
    stride, padding = _pair(node.stride), _pair(node.padding)
    padding = {"same": _pair(kernel // 2), "valid": "0"}.get(padding, padding)
    usual = stride == "1" and padding == _pair(kernel // 2)
    if usual or not (stride.isdigit() and padding.isdigit()) or _pair(node.dilation) != "1" or node.groups != 1:
        return None
    return Strided(kernel, int(stride), int(padding))


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _pair(value: Any) -> str:
    """Both sides of a parameter, for comparison and messages: ``2`` or ``2 x 1``; a text as it is."""
    if isinstance(value, str):
        return printable(value)
    sides = [f"{side:g}" for side in np.broadcast_to(np.asarray(value, float).ravel(), (2,))]
    return sides[0] if sides[0] == sides[1] else " x ".join(sides)
