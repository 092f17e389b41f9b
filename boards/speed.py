"""How fast a board trains a network of the size that figures are given for: 784-256-256-10, six steps, on MNIST."""

from typing import Any

LOAD = "784-256-256-10"
CYCLES, CYCLES_LANES = 2350, 64
"""Cycles a training sample, measured on that many lanes with a trained network (``bench/cycles.py``)."""
BYTES = 313
"""Bytes a sample on the link, with framing: 150 pixels that are not 0, two bytes each (mean of 5,000 of MNIST)."""
BITS_A_BYTE = 10
"""On a UART: start, eight bits, stop."""


def training_speed(lanes: int, clock_mhz: float, baud: int) -> dict[str, Any]:
    """Training samples a second of the engine, of the link, and of both together.

    Nearly all cycles move row-words, of which a layer has ``ceil(neurons / lanes)`` times as many as rows; so cycles
    are taken as inversely proportional to the lanes. Engine and link work at the same time: the slower one limits.
    """
    engine = clock_mhz * 1e6 / (CYCLES * CYCLES_LANES / lanes)
    link = baud / BITS_A_BYTE / BYTES
    return {
        "load": LOAD,
        "engine_samples_per_second": round(engine, 1),
        "link_samples_per_second": round(link, 1),
        "samples_per_second": round(min(engine, link), 1),
        "limited_by": "link" if link < engine else "engine",
    }
