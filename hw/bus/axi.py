"""The chip behind AXI4-Lite registers, with AXI4-Streams of samples and results."""

from typing import Any

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.bus import axi_lite
from opzo.hw.bus.axi_lite import AxiLite
from opzo.hw.bus.chip import BusPort
from opzo.hw.bus.flat import AXI_CLOCK, WORDS, axi_domain, join, managed, named
from opzo.hw.core import Core
from opzo.hw.interface import CoreSignature
from opzo.spec.limits import Limits

PORTS = (
    named("s_axi_", axi_lite.PORTS) | named("s_axis_", WORDS) | named("m_axis_", managed(WORDS)) | {"interrupt": Out(1)}
)
"""Registers, samples, results, and an interrupt: active high, a level."""


class AxiPort(wiring.Component):
    """Serve AXI4-Lite and AXI4-Streams by means of the core.

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
        m.submodules.bus = bus = BusPort(self.limits, self.clock_khz, streams=True)
        m.submodules.axi = axi = AxiLite()
        connect(m, bus.core, flipped(self.core))
        connect(m, axi.access, bus.access)
        join(m, self, axi, axi_lite.PORTS, "s_axi_")
        port: Any = self
        m.d.comb += [
            bus.sample.payload.data.eq(port.s_axis_tdata),
            bus.sample.payload.last.eq(port.s_axis_tlast),
            bus.sample.valid.eq(port.s_axis_tvalid),
            port.s_axis_tready.eq(bus.sample.ready),
            port.m_axis_tdata.eq(bus.result.payload.data),
            port.m_axis_tlast.eq(bus.result.payload.last),
            port.m_axis_tvalid.eq(bus.result.valid),
            bus.result.ready.eq(port.m_axis_tready),
            port.interrupt.eq(bus.interrupt),
        ]
        return m


class AxiTop(wiring.Component):
    """Core and `AxiPort`, clocked by ``aclk``, reset by ``aresetn``.

    Parameters are those of `AxiPort`, members its PORTS.
    """

    def __init__(self, limits: Limits, clock_khz: int = 0) -> None:
        self.limits, self.clock_khz = limits, clock_khz
        super().__init__(AXI_CLOCK | PORTS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axi_domain(m, self)
        m.submodules.core = core = Core(self.limits)
        m.submodules.port = port = AxiPort(self.limits, self.clock_khz)
        connect(m, port.core, core.link)
        join(m, self, port, PORTS)
        return m
