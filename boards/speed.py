"""Estimate how fast a board trains a network on frames, before it is built."""

from dataclasses import dataclass
from math import ceil, prod
from typing import Any

from opzo.spec.geometry import CELL, block_count
from opzo.spec.layers import LayerShape
from opzo.spec.network import Network
from opzo.spec.protocol import BITS_A_BYTE

ACTIVE = 150 / 784
"""Mean share of non-zero inputs in MNIST."""
FIRING, FIRED = 0.06, 0.09
"""Spikes per neuron and step, and share of neurons that fire at least once in a sample, after training on MNIST."""
WAITING, WAITING_LOCAL = 200, 450
"""Cycles of a training sample without row transfers, and additional ones with local readouts."""
FRAME_BYTES, EVENT_BYTES = 13, 2
"""Bytes of a sample on the link, with framing."""
MARGIN = 2.0
"""How much faster than the link the engine should be, so that it waits only for the link, even if more inputs are
active or more neurons fire."""


def training_cycles(network: Network, lanes: int) -> float:
    """Cycles of a training sample by the cost model of docs/machine.md, with the activity of networks trained on MNIST.

    Within 5 % of the counts in docs/performance.md for 784-256-256-10 on 16 to 128 lanes. Convolutions apply their
    gradients after each sample (BATCH 1).
    """
    first, *others = layers = [_Work.of(layer, network.block, lanes) for layer in network.layers]
    hidden = layers[:-1]
    integrate = learn = (ACTIVE * first.seen + first.positions) * first.words
    for layer in others:
        integrate += network.steps * (FIRING * layer.seen + layer.positions) * layer.words
        learn += (FIRED * layer.seen + layer.positions) * layer.words
    blocks = [layer.blocks * layer.words for layer in hidden]
    # A local readout is read for its output and in Feedback; layers before the intermediate one have a second matrix.
    entry_words = sum(blocks) + 2 * sum(blocks[: network.local]) + sum(blocks[: len(network.intermediate_shapes)])
    feedback = network.steps * network.classes * entry_words
    fire = network.steps * first.positions * first.words
    apply = sum(layer.rows * layer.words for layer in layers if layer.convolution)
    return integrate + learn + feedback + fire + apply + WAITING + (WAITING_LOCAL if network.local else 0)


@dataclass(frozen=True)
class _Work:
    """What the cycles of a layer depend on.

    ``seen``: neurons in the windows of all positions, one by one. ``words`` are those of a position.
    """

    seen: int
    positions: int
    blocks: int
    words: int
    rows: int
    convolution: bool

    @classmethod
    def of(cls, layer: LayerShape, block: int, lanes: int) -> "_Work":
        """Work of ``layer``; dense, it is one position that sees all neurons below."""
        below, map, pad = layer.seen, layer.map, layer.kernel // 2
        places = below.positions
        if layer.kernel:
            # A row of the kernel misses the map in as many rows as it is away from the kernel's middle.
            places = prod(layer.kernel * side - pad * (pad + 1) for side in (below.height, below.width))
        return cls(
            seen=places * below.channels * (CELL if layer.pool else 1),
            positions=map.positions,
            blocks=block_count(map, block) if layer.kernel else 1,
            words=ceil(map.channels / lanes),
            rows=layer.rows,
            convolution=layer.kernel > 0,
        )


def link_speed(network: Network, baud: int) -> float:
    """Samples per second that the link can carry."""
    return baud / BITS_A_BYTE / (FRAME_BYTES + EVENT_BYTES * ACTIVE * network.inputs)


def training_speed(network: Network, lanes: int, clock_mhz: float, baud: int) -> dict[str, Any]:
    """Training samples per second of the engine, of the link, and of both, which work in parallel."""
    engine, link = clock_mhz * 1e6 / training_cycles(network, lanes), link_speed(network, baud)
    return {
        "network": str(network),
        "modelled": True,
        "engine_samples_per_second": round(engine, 1),
        "link_samples_per_second": round(link, 1),
        "samples_per_second": round(min(engine, link), 1),
        "limited_by": "link" if link < engine else "engine",
    }


def lanes_for_link(network: Network, clock_mhz: float, baud: int, lanes: tuple[int, ...]) -> int:
    """Smallest of ``lanes`` whose engine is MARGIN times as fast as the link; the largest if none is."""
    wanted = MARGIN * link_speed(network, baud)
    enough = (n for n in sorted(lanes) if clock_mhz * 1e6 / training_cycles(network, n) >= wanted)
    return next(enough, max(lanes))
