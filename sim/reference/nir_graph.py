"""Bridge between NIR, the exchange format of neuromorphic simulators, and the chip.

A network is a chain Input, Affine, LIF, Affine, LIF ..., Affine, Output. NIR's LIF is continuous in time; simulators
step it by ``v += dt / tau (v_leak - v + r I)``, so that the chip's ``v / 2 + I`` is tau = 2 dt, r = 2, v_leak = 0. That
neurons reset by subtraction, and how long a time step is, NIR has no words for: they are in the graph's metadata.
"""

from io import BytesIO
from itertools import pairwise
from logging import getLogger
from pathlib import Path
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from opzo.host.checkpoint import Checkpoint
from opzo.sim.reference.exchange import CHIP_SCALING, FloatModel
from opzo.sim.reference.layers import FloatLayer, InputScaling, layers_of_chip
from opzo.sim.reference.neuron import LEAK
from opzo.spec.errors import OpzoError
from opzo.spec.network import Input

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


def read_nir(path: Path) -> nir.NIRGraph:
    """Graph of a ``.nir`` file; OpzoError where it is none, or where its nodes do not fit each other."""
    if not path.is_file():
        raise OpzoError(f"there is no file {path}; give a .nir file of a graph")
    try:
        graph = nir.read(path)
    except Exception as error:
        # The library checks with assertions and all kinds of exceptions.
        raise OpzoError(
            f"{path} holds no NIR graph ({error or type(error).__name__}); write it with nir.write"
        ) from None
    if not isinstance(graph, nir.NIRGraph):
        raise OpzoError(
            f"{path} holds a single {type(graph).__name__} node; write a graph of linear layers and LIF nodes"
        )
    return graph


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
    layers[0] = scaling.fold(layers[0])
    return FloatModel(layers, *_said(metadata))


def _chain(graph: nir.NIRGraph) -> list[tuple[str, nir.NIRNode]]:
    """Nodes between input and output, in order; OpzoError where they are no chain."""
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        after[source].append(target)
    begin, end = _only(graph, nir.Input), _only(graph, nir.Output)
    name = begin
    nodes: list[tuple[str, nir.NIRNode]] = []
    while name != end:
        if len(after[name]) != 1 or len(nodes) > len(graph.nodes):
            raise OpzoError(
                f"node '{name}' goes to {', '.join(after[name]) or 'nothing'}; the chip computes a chain of layers, "
                "each of which goes to the next"
            )
        (name,) = after[name]
        nodes.append((name, graph.nodes[name]))
    nodes = nodes[:-1]
    unused = graph.nodes.keys() - {name for name, _ in nodes} - {begin, end}
    if unused:
        raise OpzoError(f"node '{min(unused)}' is not between input and output; leave it out")
    return nodes


def _only(graph: nir.NIRGraph, kind: type) -> str:
    names: list[str] = [name for name, node in graph.nodes.items() if isinstance(node, kind)]
    if len(names) != 1:
        raise OpzoError(f"the graph has {len(names)} nodes of kind {kind.__name__}; the chip's networks have one")
    return names[0]


def _linear(name: str, node: Any) -> FloatLayer:
    weight = np.asarray(node.weight, float)
    bias = np.zeros(len(weight)) if isinstance(node, nir.Linear) else np.asarray(node.bias, float).reshape(-1)
    return FloatLayer(name, weight, bias)


def _fold_neurons(name: str, node: Any, layer: FloatLayer, dt: float | None, metadata: dict[str, Any]) -> FloatLayer:
    """Layer before neurons of threshold 1 and current gain 1 that does the same."""
    if dt is None:
        raise OpzoError(
            f"the graph does not say how long a time step is, so the leak of node '{name}' is unknown; give --dt"
        )
    parameters = (node.tau, node.r, node.v_leak, node.v_threshold, node.v_reset)
    size = len(layer.bias)
    tau, gain, rest, threshold, reset = (_each(name, values, size) for values in parameters)
    if not np.allclose(tau * (1 - LEAK), dt, rtol=TOLERANCE):
        raise OpzoError(
            f"node '{name}' has tau {_range(tau)} s; with time steps of {dt:g} s, the chip's leak of {LEAK:g} is tau "
            f"{dt / (1 - LEAK):g} s; train it so, or give the --dt that was meant"
        )
    if not (threshold > 0).all():
        raise OpzoError(f"node '{name}' has thresholds of {_range(threshold)}; the chip's are more than 0")
    if reset.any():
        raise OpzoError(
            f"node '{name}' resets to {_range(reset)}; the chip subtracts the threshold, so v_reset must be 0"
        )
    if _text(metadata.get("reset", "")) != SUBTRACT:
        logger.warning("node '%s': NIR resets to v_reset, the chip subtracts the threshold instead", name)
    share = 1 - LEAK
    return layer.scaled(share * gain / threshold, share * rest / threshold)


def _each(name: str, values: Any, size: int) -> NDArray[np.float64]:
    """Parameter of each neuron."""
    array = np.asarray(values, float).reshape(-1)
    if array.size not in (1, size) or not np.isfinite(array).all():
        raise OpzoError(f"node '{name}' has {array.size} values of a parameter for {size} neurons; give one for each")
    return np.broadcast_to(array, (size,))


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
        return f"node '{name}' is {kind} where {place} must be; layers and neurons take turns on the chip"
    return f"node '{name}' is {kind}: {reason.get(kind, 'the chip computes Affine, Linear and LIF nodes only')}"


def _said(metadata: dict[str, Any]) -> tuple[int | None, Input | None]:
    """Time steps and kind of input, where a graph says them."""
    steps, kind = _number(metadata, "steps"), metadata.get("input")
    return None if steps is None else int(steps), None if kind is None else Input.parse(_text(kind))


def _number(metadata: dict[str, Any], key: str) -> float | None:
    """Number in the metadata, where it is there."""
    try:
        return float(metadata[key]) if key in metadata else None
    except (TypeError, ValueError):
        raise OpzoError(
            f"'{key}' in the graph's metadata is {_text(metadata[key])}, which is no number; leave it out"
        ) from None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
