"""Estimate how fast a board trains a network on frames, before it is built."""

from math import ceil
from typing import Any

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

    Within 5 % of the counts in docs/performance.md for 784-256-256-10 on 16 to 128 lanes.
    """
    words = [ceil(neurons / lanes) for neurons in network.hidden]
    above = [*words[1:], ceil(network.classes / lanes)]
    integrate = learn = (ACTIVE * network.inputs + 1) * words[0]
    for neurons, count in zip(network.hidden, above, strict=True):
        integrate += network.steps * (FIRING * neurons + 1) * count
        learn += (FIRED * neurons + 1) * count
    feedback = network.steps * network.classes * (sum(words) + 2 * sum(words[: network.local]))
    fire = network.steps * words[0]
    return integrate + learn + feedback + fire + WAITING + (WAITING_LOCAL if network.local else 0)


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
