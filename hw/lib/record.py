"""Signals with a layout, with the type that they have."""

from amaranth import Signal
from amaranth.lib import data


def record(layout: data.Layout, name: str, *, reset_less: bool = False) -> data.View:
    """Signal of ``layout``, the same as ``Signal(layout)``, which type checkers take for a plain Signal."""
    return data.View(layout, Signal(layout.size, name=name, reset_less=reset_less))
