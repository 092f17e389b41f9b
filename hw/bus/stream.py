"""The chip with its byte streams as AXI4-Streams."""

from typing import Any

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from opzo.hw.bus.flat import AXI_CLOCK, BYTES, axi_domain, managed, named
from opzo.hw.top import Top
from opzo.spec.limits import Limits


class StreamTop(wiring.Component):
    """`Top` with AXI4-Streams of bytes in place of its own streams.

    Parameters
    ----------
    limits : Limits
        Sizes of the device.
    clock_khz : int
        Clock in kHz that the device reports; 0 if unknown.

    Members
    -------
    aclk, aresetn : In(1)
    s_axis_tdata, s_axis_tvalid, s_axis_tready
        Bytes from the host.
    m_axis_tdata, m_axis_tvalid, m_axis_tready
        Bytes to the host.
    busy : Out(1)
        As that of `Top`.
    """

    def __init__(self, limits: Limits, clock_khz: int = 0) -> None:
        self.limits, self.clock_khz = limits, clock_khz
        super().__init__(AXI_CLOCK | named("s_axis_", BYTES) | named("m_axis_", managed(BYTES)) | {"busy": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axi_domain(m, self)
        m.submodules.chip = chip = Top(self.limits, self.clock_khz)
        port: Any = self
        m.d.comb += [
            chip.rx.payload.eq(port.s_axis_tdata),
            chip.rx.valid.eq(port.s_axis_tvalid),
            port.s_axis_tready.eq(chip.rx.ready),
            port.m_axis_tdata.eq(chip.tx.payload),
            port.m_axis_tvalid.eq(chip.tx.valid),
            chip.tx.ready.eq(port.m_axis_tready),
            port.busy.eq(chip.busy),
        ]
        return m
