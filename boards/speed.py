"""How fast a board trains a network of frames, estimated before it exists."""

from math import ceil
from typing import Any

from opzo.spec.network import Network
from opzo.spec.protocol import BITS_A_BYTE

ACTIVE = 150 / 784
"""Share of the inputs that are not 0: mean of MNIST."""
FIRING, FIRED = 0.06, 0.09
"""Spikes of a neuron and step, and neurons that fire in a sample at least once, in networks trained on it."""
WAITING, WAITING_LOCAL = 200, 450
"""Cycles of a training sample in which no row moves, and how many more there are with local read-outs."""
FRAME_BYTES, EVENT_BYTES = 13, 2
"""Of a sample on the link, with framing."""
MARGIN = 2.0
"""How much faster than the link an engine is to be: it waits for nothing but the link then, also where more inputs are
active or more neurons fire."""


def training_cycles(network: Network, lanes: int) -> float:
    """Cycles of a training sample by the cost model of docs/machine.md, with the activity of networks trained on MNIST.

    Within 5 % of what docs/performance.md counts for 784-256-256-10 on 16 to 128 lanes.
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
    """Samples a second that the link carries."""
    return baud / BITS_A_BYTE / (FRAME_BYTES + EVENT_BYTES * ACTIVE * network.inputs)


def training_speed(network: Network, lanes: int, clock_mhz: float, baud: int) -> dict[str, Any]:
    """Training samples a second of the engine, of the link, and of both: they work at the same time."""
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
    """Fewest of ``lanes`` that the link can feed with MARGIN to spare; the most where none can."""
    wanted = MARGIN * link_speed(network, baud)
    enough = (n for n in sorted(lanes) if clock_mhz * 1e6 / training_cycles(network, n) >= wanted)
    return next(enough, max(lanes))
