"""Whether link or engine limits how fast a board would be."""

from typing import Any

from opzo.host.report.units import duration
from opzo.spec.protocol import BITS_A_BYTE

BAUD = 3_000_000


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


def times(limit: dict[str, Any], cycles: str) -> dict[str, str]:
    """The same for a person: what engine and link take, by name; ``cycles`` tells how many, and of what kind."""
    told = {
        "engine": f"{duration(limit['engine_seconds'] * 1e6)} at {limit['clock_mhz']:g} MHz, {cycles} cycles",
        "link": f"{duration(limit['link_seconds'] * 1e6)} at {limit['baud'] / 1e6:g} Mbaud, "
        f"{limit['bytes_per_event']:.2f} bytes per event",
    }
    told[limit["limited_by"]] += " (limits)"
    return told
