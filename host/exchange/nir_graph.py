"""Conversion of networks to and from NIR, the exchange format of neuromorphic simulators.

A network is a chain Input, Affine, LIF, Affine, LIF ..., Affine, Output. NIR's LIF is continuous in time; simulators
step it by ``v += dt / tau (v_leak - v + r I)``, so the chip's ``v / 2 + I`` is tau = 2 dt, r = 2, v_leak = 0. NIR has
neither reset by subtraction nor the length of a time step; both are in the graph's metadata.
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
"""Length of a time step in seconds in exported graphs, the default of other simulators."""
SUBTRACT = "subtract"
"""Value of the metadata ``reset`` for neurons that subtract the threshold."""
TOLERANCE = 1e-5
"""Relative tolerance; tau and dt may have been stored in single precision."""
logger = getLogger(__name__)


def to_nir(checkpoint: Checkpoint) -> nir.NIRGraph:
    """Graph with the exact weights of the chip, in single precision."""
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
        A chain of alternating Affine or Linear and LIF nodes; a Flatten may follow the input.
    scaling : InputScaling
        Input normalization of the network.
    dt : float
        Length of a time step in seconds; by default that of the graph's metadata.

    Raises OpzoError, naming the node, if the chip cannot compute the network.
    """
    metadata = graph.metadata
    dt = _number(metadata, "dt") if dt is None else dt
    if dt is not None and not 0 < dt < np.inf:
        raise OpzoError(f"a time step of {dt:g} s is invalid; give its length with --dt")
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
            "the graph does not end with a linear layer; the chip's readout is a linear layer without neurons"
        )
    _check_ends(graph, layers)
    layers[0] = scaling.fold(layers[0])
    return FloatModel(layers, *_steps_and_input(metadata))


def _check_ends(graph: nir.NIRGraph, layers: list[FloatLayer]) -> None:
    """Raise OpzoError if the shape of input or output differs from that of the adjacent layer."""
    for kind, layer, size in (
        (nir.Input, layers[0], layers[0].weight.shape[1]),
        (nir.Output, layers[-1], len(layers[-1].weight)),
    ):
        name = _only(graph, kind)
        (shape,) = graph.nodes[name].output_type.values()
        if shape is not None and np.prod(_numbers(name, shape)) != size:
            raise OpzoError(
                f"node {_quoted(name)} has shape {tuple(np.ravel(shape).tolist())}, but the adjacent layer "
                f"'{layer.name}' has {size} values; write a graph with matching nodes"
            )


def _chain(graph: nir.NIRGraph) -> list[tuple[str, nir.NIRNode]]:
    """Nodes between input and output, in order; OpzoError if they are not a chain."""
    begin, end = _only(graph, nir.Input), _only(graph, nir.Output)
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        for name in (source, target):
            if name not in after:
                raise OpzoError(f"an edge refers to the node {_quoted(name)}, which does not exist; remove the edge")
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
    """Equivalent layer for neurons with threshold 1 and current gain 1."""
    if dt is None:
        raise OpzoError(
            f"the graph does not give the length of a time step, so the leak of node {_quoted(name)} is unknown; "
            "give --dt"
        )
    parameters = (node.tau, node.r, node.v_leak, node.v_threshold, node.v_reset)
    size = len(layer.bias)
    tau, gain, rest, threshold, reset = (_each(name, values, size) for values in parameters)
    if not np.allclose(tau * (1 - LEAK), dt, rtol=TOLERANCE):
        raise OpzoError(
            f"node {_quoted(name)} has tau {_range(tau)} s; with time steps of {dt:g} s, the chip's leak of "
            f"{LEAK:g} is tau {dt / (1 - LEAK):g} s; train with that, or give the correct --dt"
        )
    if not (threshold > 0).all():
        raise OpzoError(
            f"node {_quoted(name)} has thresholds of {_range(threshold)}; those of the chip are more than 0"
        )
    if reset.any():
        raise OpzoError(
            f"node {_quoted(name)} resets to {_range(reset)}; the chip subtracts the threshold, so v_reset must be 0"
        )
    if text_of(metadata.get("reset", "")) != SUBTRACT:
        logger.warning("node '%s': NIR resets to v_reset, the chip subtracts the threshold instead", name)
    share = 1 - LEAK
    return layer.scaled(share * gain / threshold, share * rest / threshold)


def _each(name: str, values: Any, size: int) -> NDArray[np.float64]:
    """Parameter value of each neuron."""
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
    """Convert a parameter to an array of numbers; OpzoError if it is not numeric."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise OpzoError(f"node {_quoted(name)} has a parameter of type {array.dtype}; expected real numbers")
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
        "IF": "its neurons have no leak, those of the chip lose half of their potential per time step",
        "CubaLIF": "the chip's neurons have no synaptic current; train with LIF",
        "LI": "the chip's readout has no memory, and readouts are summed over the time steps; remove the node",
        "NIRGraph": "the chip has no recurrent connections, and graphs cannot be nested; write one chain of nodes",
    }
    if isinstance(node, nir.Affine | nir.Linear | nir.LIF):
        place = "LIF neurons" if expect_neurons else "a linear layer"
        return f"node {_quoted(name)} is {kind} instead of {place}; layers and neurons alternate on the chip"
    return f"node {_quoted(name)} is {kind}: {reason.get(kind, 'the chip supports only Affine, Linear and LIF nodes')}"


def _steps_and_input(metadata: dict[str, Any]) -> tuple[int | None, Input | None]:
    """Time steps and input kind from the metadata, None if not given."""
    steps, kind = _number(metadata, "steps"), metadata.get("input")
    if steps is not None and not (1 <= steps <= MAX_STEPS and steps == int(steps)):
        raise OpzoError(f"'steps' in the graph's metadata is {steps:g}; give a whole number in 1..{MAX_STEPS}")
    return None if steps is None else int(steps), None if kind is None else Input.parse(text_of(kind))


def _number(metadata: dict[str, Any], key: str) -> float | None:
    """Number from the metadata, None if not given."""
    try:
        return float(metadata[key]) if key in metadata else None
    except (TypeError, ValueError):
        raise OpzoError(
            f"'{key}' in the graph's metadata is {printable(text_of(metadata[key]))}, which is not a number; "
            "leave it out"
        ) from None
