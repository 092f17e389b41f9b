"""Signals with a layout, under the type that they have."""

from amaranth import Signal
from amaranth.lib import data


def record(layout: data.Layout, name: str, *, reset_less: bool = False) -> data.View:
    """Signal of ``layout``; ``Signal(layout)`` is the same, but type checkers take it for a plain Signal."""
    return data.View(layout, Signal(layout.size, name=name, reset_less=reset_less))
