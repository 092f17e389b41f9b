"""The chip behind Wishbone B4."""

from typing import Any

from amaranth import ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.bus.access import AccessSignature
from opzo.hw.bus.chip import BusPort
from opzo.hw.bus.flat import join, named
from opzo.hw.core import Core
from opzo.hw.interface import CoreSignature
from opzo.spec.bus import ADDRESS_BITS
from opzo.spec.limits import Limits

SLAVE = {
    "adr_i": In(ADDRESS_BITS),
    "dat_i": In(32),
    "dat_o": Out(32),
    "sel_i": In(4),
    "we_i": In(1),
    "stb_i": In(1),
    "cyc_i": In(1),
    "ack_o": Out(1),
    "err_o": Out(1),
}
"""Ports of a slave; addresses are bytes, and the low two bits are ignored."""
PORTS = named("wb_", SLAVE) | {"interrupt_o": Out(1)}
"""Registers, through which samples and results travel too, and an interrupt: active high, a level."""


class Wishbone(wiring.Component):
    """Turn classic standard cycles of Wishbone B4 into accesses.

    ``ack_o`` and ``err_o`` are registers, high for one cycle. A master that drops ``cyc_i`` or ``stb_i`` before them
    breaks the rules of the bus; the access is then done all the same.

    Members
    -------
    SLAVE
        The bus.
    access : Out(AccessSignature)
    """

    access: Any

    def __init__(self) -> None:
        super().__init__({**SLAVE, "access": Out(AccessSignature())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        port: Any = self
        access = self.access
        busy = Signal()
        ended = port.ack_o | port.err_o
        m.d.comb += access.valid.eq(busy)
        m.d.sync += [port.ack_o.eq(0), port.err_o.eq(0)]
        with m.If(~busy & port.cyc_i & port.stb_i & ~ended):
            m.d.sync += [
                busy.eq(1),
                access.write.eq(port.we_i),
                access.address.eq(port.adr_i >> 2),
                access.w_data.eq(port.dat_i),
                access.complete.eq(port.sel_i.all()),
            ]
        with m.If(busy & access.done):
            m.d.sync += [
                busy.eq(0),
                port.ack_o.eq(~access.error),
                port.err_o.eq(access.error),
                port.dat_o.eq(access.r_data),
            ]
        return m


class WishbonePort(wiring.Component):
    """Serve Wishbone by means of the core.

    Parameters
    ----------
    limits : Limits
        Sizes of the device.
    clock_khz : int
        Clock in kHz that the device reports; 0 if unknown.

    Members
    -------
    PORTS
        The bus; ``opzo.spec.bus`` has the map of the registers.
    core : In(CoreSignature)
        The core's side of `CoreSignature`, flipped.
    """

    core: Any

    def __init__(self, limits: Limits, clock_khz: int = 0) -> None:
        self.limits, self.clock_khz = limits, clock_khz
        super().__init__(PORTS | {"core": In(CoreSignature())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.bus = bus = BusPort(self.limits, self.clock_khz, streams=False)
        m.submodules.wishbone = wishbone = Wishbone()
        connect(m, bus.core, flipped(self.core))
        connect(m, wishbone.access, bus.access)
        join(m, self, wishbone, SLAVE, "wb_")
        port: Any = self
        m.d.comb += port.interrupt_o.eq(bus.interrupt)
        return m


class WishboneTop(wiring.Component):
    """Core and `WishbonePort`, clocked by ``wb_clk_i``, reset by ``wb_rst_i`` (active high, synchronous).

    Parameters are those of `WishbonePort`, members its PORTS.
    """

    def __init__(self, limits: Limits, clock_khz: int = 0) -> None:
        self.limits, self.clock_khz = limits, clock_khz
        super().__init__({"wb_clk_i": In(1), "wb_rst_i": In(1)} | PORTS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        top: Any = self
        m.domains += ClockDomain("sync")
        m.d.comb += [ClockSignal().eq(top.wb_clk_i), ResetSignal().eq(top.wb_rst_i)]
        m.submodules.core = core = Core(self.limits)
        m.submodules.port = port = WishbonePort(self.limits, self.clock_khz)
        connect(m, port.core, core.link)
        join(m, self, port, PORTS)
        return m
