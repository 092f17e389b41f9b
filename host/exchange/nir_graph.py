"""Conversion of networks to and from NIR, the exchange format of neuromorphic simulators.

A network is a chain Input, Affine, LIF, Affine, LIF ..., Affine, Output, with Conv2d for Affine, pools and a Flatten in
networks with convolutions. NIR's LIF is continuous in time; simulators step it by ``v += dt / tau (v_leak - v + r I)``,
so the chip's ``v / 2 + I`` is tau = 2 dt, r = 2, v_leak = 0. NIR has neither reset by subtraction nor the length of a
time step; both are in the graph's metadata.
"""

from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from logging import getLogger
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from opzo.host.exchange.float_layers import FloatLayer, InputScaling, layers_of_chip
from opzo.host.exchange.neurons import FloatNeurons, as_readout
from opzo.host.exchange.nir_file import text_of
from opzo.host.exchange.nir_layers import LayerChain
from opzo.host.exchange.nir_neurons import KINDS, neuron_values
from opzo.host.exchange.nir_values import number_of, numbers, quoted
from opzo.host.exchange.pytorch import CHIP_SCALING, FloatModel
from opzo.host.training.checkpoint import Checkpoint
from opzo.spec.errors import OpzoError
from opzo.spec.formats import MAX_STEPS
from opzo.spec.layers import POOL, Pool
from opzo.spec.messages import printable
from opzo.spec.neurons import Reset, by_layer, in_words
from opzo.spec.rules import Input

DT = 1e-4
"""Length of a time step in seconds in exported graphs, the default of other simulators."""
logger = getLogger(__name__)


def to_nir(checkpoint: Checkpoint) -> nir.NIRGraph:
    """Graph with the exact weights of the chip, in single precision."""
    network = checkpoint.network
    inputs = network.input_map
    nodes: dict[str, Any] = {"input": nir.Input(np.array([network.inputs] if inputs is None else inputs.shape))}
    layers = layers_of_chip(network, checkpoint.state.weights)
    for number, (shape, layer) in enumerate(zip(network.layers, layers, strict=True)):
        if shape.pool:
            sides = np.full(2, POOL)
            nodes[f"pool_{number}"] = nir.AvgPool2d(kernel_size=sides, stride=sides, padding=0 * sides)
        weight, bias = layer.weight.astype(np.float32), layer.bias.astype(np.float32)
        if shape.kernel:
            size = (shape.seen.height, shape.seen.width)
            nodes[f"conv_{number}"] = nir.Conv2d(size, weight, 1, shape.kernel // 2, 1, 1, bias)
        else:
            if number and network.layers[number - 1].kernel:
                nodes["flatten"] = nir.Flatten({"input": np.array(shape.seen.shape)}, start_dim=0)
            nodes[f"affine_{number}"] = nir.Affine(weight, bias)
        if layer is not layers[-1]:
            one = np.ones(shape.map.shape if shape.kernel else len(bias))
            leak = network.leak[number].factor
            nodes[f"{'lif' if leak < 1 else 'if'}_{number}"] = _neurons(leak, one)
    nodes["output"] = nir.Output(np.array([network.classes]))
    metadata = {"dt": DT, "reset": in_words(network.reset), "steps": network.steps, "input": network.input.name.lower()}
    # The library does not know the shapes of pools.
    return nir.NIRGraph(nodes, list(pairwise(nodes)), metadata, type_check=not network.convolutions)


def _neurons(leak: float, one: NDArray[np.float64]) -> nir.NIRNode:
    """Neurons with threshold 1."""
    if leak == 1:
        return nir.IF(r=one, v_threshold=one)
    tau, gain = DT / (1 - leak), 1 / (1 - leak)
    return nir.LIF(tau=tau * one, r=gain * one, v_leak=0 * one, v_threshold=one)


def encode_nir(graph: nir.NIRGraph) -> bytes:
    """Content of a ``.nir`` file."""
    file = BytesIO()
    nir.write(file, graph)
    return file.getvalue()


def from_nir(
    graph: nir.NIRGraph, *, scaling: InputScaling = CHIP_SCALING, dt: float | None = None, reset: Reset | None = None
) -> FloatModel:
    """Layers of a graph, in the chip's conventions.

    Parameters
    ----------
    graph : nir.NIRGraph
        A chain of alternating layers (Affine, Linear, Conv2d) and neurons (LIF, IF), with pools and Flatten nodes.
    scaling : InputScaling
        Input normalization of the network.
    dt : float
        Length of a time step in seconds; by default that of the graph's metadata.
    reset : Reset
        What spikes do to the potential; by default what the graph's metadata say, else they set it to 0, as NIR says.

    Raises OpzoError, naming the node, if the chip cannot compute the network.
    """
    metadata = graph.metadata
    dt = number_of(metadata, "dt") if dt is None else dt
    if dt is not None and not 0 < dt < np.inf:
        raise OpzoError(f"a time step of {dt:g} s is invalid; give its length with --dt")
    chain = LayerChain(_shape(graph, nir.Input))
    layers = chain.layers
    neurons: list[FloatNeurons] = []
    expect_neurons = False
    for name, node in _chain(graph):
        if isinstance(node, nir.Flatten) and not expect_neurons:
            chain.flatten()
            continue
        if isinstance(node, nir.AvgPool2d | nir.SumPool2d) and not expect_neurons:
            chain.add_pool(name, node)
            continue
        if isinstance(node, nir.Affine | nir.Linear) and not expect_neurons:
            chain.add_linear(name, node)
        elif isinstance(node, nir.Conv2d) and not expect_neurons:
            chain.add_convolution(name, node)
        elif isinstance(node, KINDS) and expect_neurons and chain.shape is not None:
            values = neuron_values(name, node, chain.shape, dt)
            layers[-1] = layers[-1].scaled(values.gain, values.offset)
            neurons.append(FloatNeurons(printable(name), values.leak))
        else:
            raise OpzoError(_refusal(name, node, expect_neurons))
        expect_neurons = not expect_neurons
    if not layers or layers[-1].convolution or str(Pool()) in chain.net.split("-")[-1:]:
        raise OpzoError(
            "the graph does not end with a linear layer; the chip's readout is a linear layer without neurons"
        )
    if not expect_neurons:
        output = neurons.pop()
        as_readout(output, f"node '{output.name}', at the output,")
    neurons = _with_resets(neurons, metadata, reset)
    _check_ends(graph, layers)
    if chain.strided and np.any(scaling.mean):
        raise OpzoError(
            f"the mean of the inputs cannot be folded into the convolution '{layers[0].name}', which has rearranged "
            "inputs; train with mean 0"
        )
    layers[0] = scaling.fold(layers[0])
    return FloatModel(layers, neurons, *_steps_and_input(metadata), net=chain.net, strided=chain.strided)


def _with_resets(neurons: list[FloatNeurons], metadata: dict[str, Any], reset: Reset | None) -> list[FloatNeurons]:
    """Neurons with the given reset, else that of the metadata, else that of NIR, which is to 0."""
    said = text_of(metadata["reset"]) if "reset" in metadata else None
    if reset is None and said is None:
        logger.warning(
            "the neurons reset to 0, as NIR says; if the network was trained with neurons that subtract the threshold, "
            "give --neuron-reset subtract"
        )
    resets = by_layer(Reset, reset if reset is not None else said or Reset.ZERO, len(neurons))
    return [replace(some, reset=kind) for some, kind in zip(neurons, resets, strict=True)]


def _check_ends(graph: nir.NIRGraph, layers: list[FloatLayer]) -> None:
    """Raise OpzoError if the shape of input or output differs from that of the adjacent linear layer."""
    for kind, layer, size in (
        (nir.Input, layers[0], layers[0].weight.shape[1]),
        (nir.Output, layers[-1], len(layers[-1].weight)),
    ):
        shape = _shape(graph, kind)
        if shape is not None and not layer.convolution and np.prod(shape) != size:
            raise OpzoError(
                f"node {quoted(_only(graph, kind))} has shape {shape}, but the adjacent layer '{layer.name}' has "
                f"{size} values; write a graph with matching nodes"
            )


def _chain(graph: nir.NIRGraph) -> list[tuple[str, nir.NIRNode]]:
    """Nodes between input and output, in order; OpzoError if they are not a chain."""
    begin, end = _only(graph, nir.Input), _only(graph, nir.Output)
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        for name in (source, target):
            if name not in after:
                raise OpzoError(f"an edge refers to the node {quoted(name)}, which does not exist; remove the edge")
        after[source].append(target)
    name = begin
    nodes: list[tuple[str, nir.NIRNode]] = []
    while name != end:
        if len(after[name]) != 1 or len(nodes) > len(graph.nodes):
            raise OpzoError(
                f"node {quoted(name)} goes to {printable(', '.join(after[name])) or 'nothing'}; the chip computes a "
                "chain of layers, each of which goes to the next"
            )
        (name,) = after[name]
        nodes.append((name, graph.nodes[name]))
    nodes = nodes[:-1]
    unused = graph.nodes.keys() - {name for name, _ in nodes} - {begin, end}
    if unused:
        raise OpzoError(f"node {quoted(min(unused))} is not between input and output; leave it out")
    return nodes


def _shape(graph: nir.NIRGraph, kind: type) -> tuple[int, ...] | None:
    """Shape of the only node of this kind, None if the graph does not give it."""
    name = _only(graph, kind)
    (shape,) = graph.nodes[name].output_type.values()
    return None if shape is None else tuple(numbers(name, shape).ravel().astype(int).tolist())


def _only(graph: nir.NIRGraph, kind: type) -> str:
    names: list[str] = [name for name, node in graph.nodes.items() if isinstance(node, kind)]
    if len(names) != 1:
        raise OpzoError(f"the graph has {len(names)} nodes of kind {kind.__name__}; the chip's networks have one")
    return names[0]


def _refusal(name: str, node: Any, expect_neurons: bool) -> str:
    kind = type(node).__name__
    reason = {
        "LI": "the chip sums the readouts over the time steps without a leak; remove the node",
        "NIRGraph": "the chip has no recurrent connections, and graphs cannot be nested; write one chain of nodes",
    }
    if isinstance(node, nir.Affine | nir.Linear | nir.Conv2d | nir.AvgPool2d | nir.SumPool2d | KINDS):
        place = "neurons" if expect_neurons else "a layer"
        return f"node {quoted(name)} is {kind} instead of {place}; layers and neurons alternate on the chip"
    supported = "the chip supports only Affine, Linear, Conv2d, pools, Flatten, LIF and IF nodes"
    return f"node {quoted(name)} is {kind}: {reason.get(kind, supported)}"


def _steps_and_input(metadata: dict[str, Any]) -> tuple[int | None, Input | None]:
    """Time steps and input kind from the metadata, None if not given."""
    steps, kind = number_of(metadata, "steps"), metadata.get("input")
    if steps is not None and not (1 <= steps <= MAX_STEPS and steps == int(steps)):
        raise OpzoError(f"'steps' in the graph's metadata is {steps:g}; give a whole number in 1..{MAX_STEPS}")
    return None if steps is None else int(steps), None if kind is None else Input.parse(text_of(kind))
