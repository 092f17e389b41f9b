"""AXI4-Lite subordinate: reads and writes, one at a time."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.bus.access import AccessSignature
from opzo.hw.lib.check import check
from opzo.spec.bus import ADDRESS_BITS

PORTS = {
    "awaddr": In(ADDRESS_BITS),
    "awprot": In(3),
    "awvalid": In(1),
    "awready": Out(1),
    "wdata": In(32),
    "wstrb": In(4),
    "wvalid": In(1),
    "wready": Out(1),
    "bresp": Out(2),
    "bvalid": Out(1),
    "bready": In(1),
    "araddr": In(ADDRESS_BITS),
    "arprot": In(3),
    "arvalid": In(1),
    "arready": Out(1),
    "rdata": Out(32),
    "rresp": Out(2),
    "rvalid": Out(1),
    "rready": In(1),
}
"""Ports of the subordinate; the protection bits are ignored."""
OKAY, SLVERR = 0, 2


class AxiLite(wiring.Component):
    """Turn the five channels of AXI4-Lite into accesses.

    Each channel is registered; all ready and valid signals are registers, so no path leads from one channel to another.
    Reads and writes that wait at the same time take turns.

    Members
    -------
    PORTS
        Channels of the bus.
    access : Out(AccessSignature)
    """

    access: Any

    def __init__(self) -> None:
        super().__init__({**PORTS, "access": Out(AccessSignature())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        port: Any = self
        access = self.access
        write_address, read_address = (Signal(ADDRESS_BITS, reset_less=True) for _ in range(2))
        data, strobes = Signal(32, reset_less=True), Signal(4, reset_less=True)
        has_write_address, has_data, has_read_address = (Signal() for _ in range(3))
        for valid, ready, has, pairs in (
            (port.awvalid, port.awready, has_write_address, ((write_address, port.awaddr),)),
            (port.wvalid, port.wready, has_data, ((data, port.wdata), (strobes, port.wstrb))),
            (port.arvalid, port.arready, has_read_address, ((read_address, port.araddr),)),
        ):
            m.d.sync += ready.eq(0)
            # Ready for one cycle, which is the cycle of the transfer, because valid stays until then.
            with m.If(valid & ~ready & ~has):
                m.d.sync += ready.eq(1)
            with m.If(valid & ready):
                m.d.sync += [has.eq(1), *(register.eq(value) for register, value in pairs)]

        can_write = has_write_address & has_data & ~port.bvalid
        can_read = has_read_address & ~port.rvalid
        busy = Signal()
        is_write = Signal()
        m.d.comb += [
            access.valid.eq(busy),
            access.write.eq(is_write),
            access.address.eq(Mux(is_write, write_address, read_address) >> 2),
            access.w_data.eq(data),
            access.complete.eq(strobes.all()),
        ]
        with m.If(~busy & (can_write | can_read)):
            # After a write it is the turn of a read.
            m.d.sync += [busy.eq(1), is_write.eq(can_write & ~(can_read & is_write))]
        with m.If(port.bvalid & port.bready):
            m.d.sync += port.bvalid.eq(0)
        with m.If(port.rvalid & port.rready):
            m.d.sync += port.rvalid.eq(0)
        response = Mux(access.error, SLVERR, OKAY)
        with m.If(busy & access.done):
            m.d.sync += busy.eq(0)
            with m.If(is_write):
                m.d.sync += [port.bvalid.eq(1), port.bresp.eq(response), Cat(has_write_address, has_data).eq(0)]
            with m.Else():
                m.d.sync += [
                    port.rvalid.eq(1),
                    port.rresp.eq(response),
                    port.rdata.eq(access.r_data),
                    has_read_address.eq(0),
                ]
        check(m, "done", busy | ~access.done, "an access is done that nobody waits for")
        return m
