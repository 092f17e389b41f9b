"""Bridge between NIR, the exchange format of neuromorphic simulators, and the chip.

A network is a chain Input, Affine, LIF, Affine, LIF ..., Affine, Output. NIR's LIF is continuous in time; simulators
step it by ``v += dt / tau (v_leak - v + r I)``, so that the chip's ``v / 2 + I`` is tau = 2 dt, r = 2, v_leak = 0. That
neurons reset by subtraction, and how long a time step is, NIR has no words for: they are in the graph's metadata.
"""

from io import BytesIO
from itertools import pairwise
from logging import getLogger
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from opzo.host.exchange.float_layers import LEAK, FloatLayer, InputScaling, layers_of_chip
from opzo.host.exchange.nir_file import text_of
from opzo.host.exchange.pytorch import CHIP_SCALING, FloatModel
from opzo.host.training.checkpoint import Checkpoint
from opzo.spec.errors import OpzoError
from opzo.spec.formats import MAX_STEPS
from opzo.spec.messages import printable
from opzo.spec.rules import Input
from opzo.system.bounds import check_memory

DT = 1e-4
"""Seconds a time step in graphs that are written: what other simulators take where nothing is said."""
SUBTRACT = "subtract"
"""Metadata ``reset`` of graphs whose neurons lose the threshold when they spike."""
TOLERANCE = 1e-5
"""Relative; tau and dt may have been stored in single precision."""
logger = getLogger(__name__)


def to_nir(checkpoint: Checkpoint) -> nir.NIRGraph:
    """Graph with the very weights of the chip, in single precision."""
    network = checkpoint.network
    nodes: dict[str, Any] = {"input": nir.Input(np.array([network.inputs]))}
    layers = layers_of_chip(network, checkpoint.state.weights)
    for number, layer in enumerate(layers):
        weight, bias = layer.weight.astype(np.float32), layer.bias.astype(np.float32)
        nodes[f"affine_{number}"] = nir.Affine(weight, bias)
        if layer is not layers[-1]:
            one = np.ones(len(bias))
            tau, gain = DT / (1 - LEAK), 1 / (1 - LEAK)
            nodes[f"lif_{number}"] = nir.LIF(tau=tau * one, r=gain * one, v_leak=0 * one, v_threshold=one)
    nodes["output"] = nir.Output(np.array([network.classes]))
    metadata = {"dt": DT, "reset": SUBTRACT, "steps": network.steps, "input": network.input.name.lower()}
    return nir.NIRGraph(nodes, list(pairwise(nodes)), metadata)


def encode_nir(graph: nir.NIRGraph) -> bytes:
    """Content of a ``.nir`` file."""
    file = BytesIO()
    nir.write(file, graph)
    return file.getvalue()


def from_nir(graph: nir.NIRGraph, *, scaling: InputScaling = CHIP_SCALING, dt: float | None = None) -> FloatModel:
    """Layers of a graph, in the chip's conventions.

    Parameters
    ----------
    graph : nir.NIRGraph
        A chain of Affine or Linear and LIF nodes; a Flatten may follow the input.
    scaling : InputScaling
        What the network takes as input.
    dt : float
        Seconds a time step; without it, the graph's metadata must say so.

    Raises OpzoError, naming the node, where the chip cannot compute the network.
    """
    metadata = graph.metadata
    dt = _number(metadata, "dt") if dt is None else dt
    if dt is not None and not 0 < dt < np.inf:
        raise OpzoError(f"a time step of {dt:g} s cannot be; give its length with --dt")
    layers: list[FloatLayer] = []
    expect_neurons = False
    for name, node in _chain(graph):
        if isinstance(node, nir.Flatten) and not layers:
            continue
        if isinstance(node, nir.Affine | nir.Linear) and not expect_neurons:
            layers.append(_linear(name, node))
        elif isinstance(node, nir.LIF) and expect_neurons:
            layers[-1] = _fold_neurons(name, node, layers[-1], dt, metadata)
        else:
            raise OpzoError(_refusal(name, node, expect_neurons))
        expect_neurons = not expect_neurons
    if not expect_neurons:
        raise OpzoError(
            "the graph does not end with a linear layer; the chip's read-out is one, without neurons behind it"
        )
    _check_ends(graph, layers)
    layers[0] = scaling.fold(layers[0])
    return FloatModel(layers, *_said(metadata))


def _check_ends(graph: nir.NIRGraph, layers: list[FloatLayer]) -> None:
    """Raise OpzoError where input or output have other shapes than the layers next to them."""
    for kind, layer, size in (
        (nir.Input, layers[0], layers[0].weight.shape[1]),
        (nir.Output, layers[-1], len(layers[-1].weight)),
    ):
        name = _only(graph, kind)
        (shape,) = graph.nodes[name].output_type.values()
        if shape is not None and np.prod(_numbers(name, shape)) != size:
            raise OpzoError(
                f"node {_quoted(name)} has shape {tuple(np.ravel(shape).tolist())}, but layer '{layer.name}' next to "
                f"it has {size} values; write a graph whose nodes fit each other"
            )


def _chain(graph: nir.NIRGraph) -> list[tuple[str, nir.NIRNode]]:
    """Nodes between input and output, in order; OpzoError where they are no chain."""
    begin, end = _only(graph, nir.Input), _only(graph, nir.Output)
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        for name in (source, target):
            if name not in after:
                raise OpzoError(f"an edge names the node {_quoted(name)}, which the graph does not have; leave it out")
        after[source].append(target)
    name = begin
    nodes: list[tuple[str, nir.NIRNode]] = []
    while name != end:
        if len(after[name]) != 1 or len(nodes) > len(graph.nodes):
            raise OpzoError(
                f"node {_quoted(name)} goes to {printable(', '.join(after[name])) or 'nothing'}; the chip computes a "
                "chain of layers, each of which goes to the next"
            )
        (name,) = after[name]
        nodes.append((name, graph.nodes[name]))
    nodes = nodes[:-1]
    unused = graph.nodes.keys() - {name for name, _ in nodes} - {begin, end}
    if unused:
        raise OpzoError(f"node {_quoted(min(unused))} is not between input and output; leave it out")
    return nodes


def _only(graph: nir.NIRGraph, kind: type) -> str:
    names: list[str] = [name for name, node in graph.nodes.items() if isinstance(node, kind)]
    if len(names) != 1:
        raise OpzoError(f"the graph has {len(names)} nodes of kind {kind.__name__}; the chip's networks have one")
    return names[0]


def _linear(name: str, node: Any) -> FloatLayer:
    weight = _numbers(name, node.weight)
    bias = np.zeros(weight.shape[:1]) if isinstance(node, nir.Linear) else _numbers(name, node.bias).reshape(-1)
    if bias.size == 1:
        bias = np.broadcast_to(bias, weight.shape[:1])
    return FloatLayer(printable(name), weight, bias)


def _fold_neurons(name: str, node: Any, layer: FloatLayer, dt: float | None, metadata: dict[str, Any]) -> FloatLayer:
    """Layer before neurons of threshold 1 and current gain 1 that does the same."""
    if dt is None:
        raise OpzoError(
            f"the graph does not say how long a time step is, so the leak of node {_quoted(name)} is unknown; give --dt"
        )
    parameters = (node.tau, node.r, node.v_leak, node.v_threshold, node.v_reset)
    size = len(layer.bias)
    tau, gain, rest, threshold, reset = (_each(name, values, size) for values in parameters)
    if not np.allclose(tau * (1 - LEAK), dt, rtol=TOLERANCE):
        raise OpzoError(
            f"node {_quoted(name)} has tau {_range(tau)} s; with time steps of {dt:g} s, the chip's leak of "
            f"{LEAK:g} is tau {dt / (1 - LEAK):g} s; train it so, or give the --dt that was meant"
        )
    if not (threshold > 0).all():
        raise OpzoError(f"node {_quoted(name)} has thresholds of {_range(threshold)}; the chip's are more than 0")
    if reset.any():
        raise OpzoError(
            f"node {_quoted(name)} resets to {_range(reset)}; the chip subtracts the threshold, so v_reset must be 0"
        )
    if text_of(metadata.get("reset", "")) != SUBTRACT:
        logger.warning("node '%s': NIR resets to v_reset, the chip subtracts the threshold instead", name)
    share = 1 - LEAK
    return layer.scaled(share * gain / threshold, share * rest / threshold)


def _each(name: str, values: Any, size: int) -> NDArray[np.float64]:
    """Parameter of each neuron."""
    array = _numbers(name, values).reshape(-1)
    if array.size not in (1, size):
        raise OpzoError(
            f"node {_quoted(name)} has {array.size} values of a parameter for {size} neurons; give one for each, or "
            "one for all"
        )
    if not np.isfinite(array).all():
        raise OpzoError(f"node {_quoted(name)} has parameters that are not finite; train the network again")
    return np.broadcast_to(array, (size,))


def _numbers(name: str, values: Any) -> NDArray[np.float64]:
    """Parameter as an array of numbers; OpzoError where it is none."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise OpzoError(f"node {_quoted(name)} has a parameter of type {array.dtype}; real numbers expected")
    check_memory(f"node {_quoted(name)}", array.size * np.dtype(float).itemsize)
    return array.astype(float)


def _quoted(name: str) -> str:
    return f"'{printable(name)}'"


def _range(values: NDArray[np.float64]) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _refusal(name: str, node: Any, expect_neurons: bool) -> str:
    kind = type(node).__name__
    reason = {
        "IF": "its neurons have no leak, the chip's lose half of their potential a time step",
        "CubaLIF": "the chip's neurons have no synaptic current; train with LIF",
        "LI": "the chip's read-out has no memory: read-outs are summed over the time steps; leave it out",
        "NIRGraph": "the chip has no recurrent connections and no graphs in graphs; write its nodes into one chain",
    }
    if isinstance(node, nir.Affine | nir.Linear | nir.LIF):
        place = "LIF neurons" if expect_neurons else "a linear layer"
        return f"node {_quoted(name)} is {kind} where {place} must be; layers and neurons take turns on the chip"
    return f"node {_quoted(name)} is {kind}: {reason.get(kind, 'the chip computes Affine, Linear and LIF nodes only')}"


def _said(metadata: dict[str, Any]) -> tuple[int | None, Input | None]:
    """Time steps and kind of input, where a graph says them."""
    steps, kind = _number(metadata, "steps"), metadata.get("input")
    if steps is not None and not (1 <= steps <= MAX_STEPS and steps == int(steps)):
        raise OpzoError(f"'steps' in the graph's metadata is {steps:g}; whole numbers in 1..{MAX_STEPS} can be")
    return None if steps is None else int(steps), None if kind is None else Input.parse(text_of(kind))


def _number(metadata: dict[str, Any], key: str) -> float | None:
    """Number in the metadata, where it is there."""
    try:
        return float(metadata[key]) if key in metadata else None
    except (TypeError, ValueError):
        raise OpzoError(
            f"'{key}' in the graph's metadata is {printable(text_of(metadata[key]))}, which is no number; leave it out"
        ) from None
