"""Whether link or engine limits how fast a board would be."""

from typing import Any

BAUD = 3_000_000
BITS_A_BYTE = 10
"""On a UART: start, eight bits, stop."""


def link_or_engine(sent: float, cycles: float, events: float, clock: float) -> dict[str, Any]:
    """Seconds that ``sent`` bytes take at BAUD and ``cycles`` at ``clock`` MHz; both go on at the same time."""
    link, engine = sent * BITS_A_BYTE / BAUD, cycles / (clock * 1e6)
    return {
        "bytes_per_event": sent / max(1, events),
        "baud": BAUD,
        "link_seconds": link,
        "clock_mhz": clock,
        "engine_seconds": engine,
        "limited_by": "link" if link > engine else "engine",
    }


def told(limit: dict[str, Any], what: str) -> str:
    """The same as a sentence."""
    return (
        f"{what}: {limit['engine_seconds'] * 1e3:.3g} ms in an engine at {limit['clock_mhz']:g} MHz, "
        f"{limit['link_seconds'] * 1e3:.3g} ms on a link of {limit['baud']:,} baud "
        f"({limit['bytes_per_event']:.2f} bytes an event): the {limit['limited_by']} limits"
    )
