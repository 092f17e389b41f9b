"""Whether the serial link or the engine limits the speed of training on a board."""

from typing import Any

from opzo.host.report.units import duration
from opzo.spec.protocol import BITS_A_BYTE

BAUD = 3_000_000
"""Baud rate for which the time on the link is stated, that of the faster boards."""


def bottleneck(link_bytes: float, cycles: float, events: float, clock_mhz: float) -> dict[str, Any]:
    """Time that a sample takes on the link, at BAUD, and in the engine; both work at the same time.

    Parameters
    ----------
    link_bytes, cycles, events : float
        Bytes on the link, clock cycles of the engine and events of a sample.
    clock_mhz : float
        Clock of the engine.
    """
    link, engine = link_bytes * BITS_A_BYTE / BAUD, cycles / (clock_mhz * 1e6)
    return {
        "bytes_per_event": link_bytes / max(1, events),
        "baud": BAUD,
        "link_seconds": link,
        "clock_mhz": clock_mhz,
        "engine_seconds": engine,
        "limited_by": "link" if link > engine else "engine",
    }


def describe_bottleneck(figures: dict[str, Any], cycles: str) -> dict[str, str]:
    """Figures of `bottleneck` as text for ``engine`` and ``link``; ``cycles`` is their number and origin."""
    texts = {
        "engine": f"{duration(figures['engine_seconds'] * 1e6)} at {figures['clock_mhz']:g} MHz, {cycles} cycles",
        "link": f"{duration(figures['link_seconds'] * 1e6)} at {figures['baud'] / 1e6:g} Mbaud, "
        f"{figures['bytes_per_event']:.2f} bytes per event",
    }
    texts[figures["limited_by"]] += " (limits)"
    return texts
