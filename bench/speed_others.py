"""Cost of a sample on other learning chips, published or derived, with the assumptions."""

from typing import Any

from opzo.spec.network import Network

ODIN_CYCLES_PER_SYNAPSE = 2
"""A neuron spike event takes 512 cycles for the 256 synapses of a row (ODIN, doc/README.md, table of events)."""
RECKON_NEURONS = 256
"""Maximum number of inputs, and of recurrent neurons (ReckOn, src/srnn.v, M = 8)."""
RECKON_BLOCK = 16
"""Postsynaptic neurons whose weights are updated in parallel."""


def others(network: Network, chips: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the comparison: ``chip``, ``cycles``, ``network``, ``basis`` (published or derived), ``source``.

    ``chips`` are the figures of opzo: the derived rows use the synaptic operations counted there.
    """
    first = chips[0]
    forward = round(first["test"]["integrate"] * first["lanes"])
    steps = network.steps
    block = 2 * (RECKON_BLOCK + RECKON_NEURONS)
    eprop = RECKON_NEURONS // RECKON_BLOCK * block
    step = RECKON_NEURONS + RECKON_NEURONS + 2
    return [
        {
            "chip": "ODIN (2019, 28 nm)",
            "network": f"load of {network}, which it cannot hold: 256 neurons, 64 k synapses",
            "train": forward * ODIN_CYCLES_PER_SYNAPSE,
            "test": forward * ODIN_CYCLES_PER_SYNAPSE,
            "basis": "derived",
            "assumption": f"2 cycles a synaptic operation, learning included, times the {forward:,} operations of a "
            "forward pass counted here; SDSP learns one layer, so there is no further cost",
            "source": "github.com/ChFrenkel/ODIN, doc/README.md, section 2.2.1 (event types and cycles)",
        },
        {
            "chip": "ReckOn (2022, 28 nm)",
            "network": f"256-256-10, recurrent, T = {steps}: the largest it holds; e-prop in every step",
            "train": steps * (step + eprop),
            "test": steps * step,
            "basis": "derived",
            "assumption": f"from its state machines, without any event: {step} cycles a step to look for events and to "
            f"leak, {eprop:,} for e-prop (16 blocks of 16 neurons: 32 cycles, and 2 for each of 256 rows); each event "
            "costs 256 cycles more, so this is a lower bound",
            "source": "github.com/ChFrenkel/ReckOn, src/srnn.v (states PROP, STEP, EPROP; e_pre, e_post, neur256_cnt)",
        },
        {
            "chip": "Spiker-LL (2026, FPGA)",
            "network": f"{network.inputs}-H-{network.classes}, T = {steps}: one hidden layer, one unit a neuron",
            "train": steps * network.inputs,
            "test": steps * network.inputs,
            "basis": "derived",
            "assumption": "one input a cycle for all neurons of a layer at once, spiking or not, layers in parallel; "
            "its trainers change the column of weights that is being read; a lower bound, without hand-shakes",
            "source": "github.com/smilies-polito/Spiker, spiker/vhdl/multi_input_cu.py; arXiv:2605.18003 says "
            "'sub-millisecond latency' and no cycles in what could be read of it",
        },
    ]
