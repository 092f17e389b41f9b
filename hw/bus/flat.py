"""Ports with the names that designers of buses expect: one signal each, a prefix and one underscore."""

from collections.abc import Mapping
from typing import Any

from amaranth import ClockDomain, ClockSignal, Module, ResetSignal
from amaranth.lib.wiring import In, Member, Out

AXI_CLOCK = {"aclk": In(1), "aresetn": In(1)}
BYTES = {"tdata": In(8), "tvalid": In(1), "tready": Out(1)}
WORDS = {"tdata": In(32), "tlast": In(1), "tvalid": In(1), "tready": Out(1)}
"""AXI4-Streams as their subordinates see them; a manager has the other directions."""


def named(prefix: str, ports: Mapping[str, Member]) -> dict[str, Member]:
    """Members of a component for ``ports``, with ``prefix`` before their names."""
    return {prefix + name: member for name, member in ports.items()}


def managed(ports: Mapping[str, Member]) -> dict[str, Member]:
    """Ports of a manager from those of a subordinate."""
    return {name: member.flip() for name, member in ports.items()}


def axi_domain(m: Module, top: Any) -> None:
    """Clock everything in the module by ``aclk``; ``aresetn`` is synchronous."""
    m.domains += ClockDomain("sync")
    m.d.comb += [ClockSignal().eq(top.aclk), ResetSignal().eq(~top.aresetn)]


def join(m: Module, outer: Any, inner: Any, ports: Mapping[str, Member], prefix: str = "") -> None:
    """Connect ``ports`` of ``outer``, which have ``prefix`` before their names, with those of a submodule."""
    for name, member in ports.items():
        outside, inside = getattr(outer, prefix + name), getattr(inner, name)
        m.d.comb += inside.eq(outside) if member.flow is In else outside.eq(inside)
