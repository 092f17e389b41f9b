"""Whether link or engine limits how fast a board would be."""

from typing import Any

BAUD = 3_000_000
BITS_A_BYTE = 10
"""On a UART: start, eight bits, stop."""


def link_or_engine(sent: int, cycles: int, events: int, clock: float, baud: int = BAUD) -> dict[str, Any]:
    """Seconds that ``sent`` bytes take on a link and ``cycles`` at ``clock`` MHz; both go on at the same time."""
    link, engine = sent * BITS_A_BYTE / baud, cycles / (clock * 1e6)
    return {
        "bytes_per_event": sent / max(1, events),
        "baud": baud,
        "link_seconds": link,
        "clock_mhz": clock,
        "engine_seconds": engine,
        "limited_by": "link" if link > engine else "engine",
    }
