"""Neurons of a NIR graph: their threshold and gain for the weights before them, and their leak."""

from typing import Any, NamedTuple

import nir
import numpy as np
from numpy.typing import NDArray

from opzo.host.exchange.neurons import TOLERANCE
from opzo.host.exchange.nir_values import by_channel, extent, quoted
from opzo.spec.errors import OpzoError

KINDS = nir.LIF | nir.IF | nir.CubaLIF


class NeuronValues(NamedTuple):
    """Neurons with threshold 1: ``v = leak * v + gain * current + offset``; one leak, the others by channel."""

    leak: float
    gain: NDArray[np.float64]
    offset: NDArray[np.float64]


def neuron_values(name: str, node: Any, shape: tuple[int, ...], dt: float | None) -> NeuronValues:
    """Step of a neuron of node ``name`` by the explicit Euler method, as simulators do it.

    An IF adds ``r * current`` in a time step, whatever its length. OpzoError, naming the node, if the chip has no such
    neurons.
    """
    gain, threshold, reset = (by_channel(name, values, shape) for values in (node.r, node.v_threshold, node.v_reset))
    if not (threshold > 0).all():
        raise OpzoError(f"node {quoted(name)} has thresholds of {extent(threshold)}; those of the chip are more than 0")
    if reset.any():
        raise OpzoError(
            f"node {quoted(name)} resets to {extent(reset)}; the chip's neurons reset to 0 or by the threshold, so "
            "v_reset must be 0"
        )
    if isinstance(node, nir.IF):
        return NeuronValues(1.0, gain / threshold, np.zeros_like(gain))
    if dt is None:
        raise OpzoError(
            f"the graph does not give the length of a time step, so the leak of node {quoted(name)} is unknown; "
            "give --dt"
        )
    if isinstance(node, nir.CubaLIF):
        gain = gain * _synapse(name, node, shape, dt)
    tau = by_channel(name, node.tau_mem if isinstance(node, nir.CubaLIF) else node.tau, shape)
    if not (tau > 0).all() or (tau * (1 + TOLERANCE) < dt).any():
        raise OpzoError(
            f"node {quoted(name)} has tau {extent(tau)} s, with time steps of {dt:g} s; tau must not be shorter than a "
            "time step: give the correct --dt"
        )
    if np.ptp(tau) > TOLERANCE * tau.max():
        raise OpzoError(
            f"node {quoted(name)} has tau {extent(tau)} s; the neurons of a layer have one leak on the chip: train "
            "with one tau"
        )
    rest, share = by_channel(name, node.v_leak, shape), dt / tau
    return NeuronValues(max(0.0, 1 - float(share[0])), share * gain / threshold, share * rest / threshold)


def _synapse(name: str, node: nir.CubaLIF, shape: tuple[int, ...], dt: float) -> NDArray[np.float64]:
    """Gain of a synapse without memory."""
    tau = by_channel(name, node.tau_syn, shape)
    if not np.allclose(tau, dt, rtol=TOLERANCE, atol=0):
        raise OpzoError(
            f"node {quoted(name)} is CubaLIF with tau_syn {extent(tau)} s: the chip's neurons have no synaptic "
            f"current; train with LIF, or with tau_syn equal to the time step, {dt:g} s"
        )
    return by_channel(name, node.w_in, shape)
