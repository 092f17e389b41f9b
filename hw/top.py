"""The accelerator: byte stream in, byte stream out."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.core import Core
from opzo.hw.link.link import Link, memory_port
from opzo.spec.fixed_network import FixedNetwork
from opzo.spec.limits import Limits


class Top(wiring.Component):
    """Link and core; a UART, a FIFO or a simulator connects to their byte streams.

    Parameters
    ----------
    limits : Limits
        Sizes of the device.
    clock_khz : int
        Clock in kHz that the device reports; 0 if unknown.
    fixed : FixedNetwork or None
        Network of a device that only infers.

    Members
    -------
    rx : In(stream)
        Bytes from the host.
    tx : Out(stream)
        Bytes to the host.
    busy : Out(1)
        Work is in progress that does not wait for the host: a run, a memory access, a frame to be answered, a reply
        to be sent. While ``busy`` is low and ``rx`` idle, the state does not change.
    received, refused, training : Out(1)
        Strobes for LEDs, as those of `Link`.
    memory : Out(StoreMemorySignature)
        Memory of the sample store, if the device has one.
    """

    rx: Any
    tx: Any
    busy: Any
    received: Any
    refused: Any
    training: Any
    memory: Any

    def __init__(self, limits: Limits, clock_khz: int = 0, fixed: FixedNetwork | None = None) -> None:
        self.limits, self.clock_khz, self.fixed = limits, clock_khz, fixed
        super().__init__(
            {
                "rx": In(stream.Signature(8)),
                "tx": Out(stream.Signature(8)),
                **{name: Out(1) for name in ("busy", "received", "refused", "training")},
                **memory_port(limits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = Core(self.limits, self.fixed)
        m.submodules.link = link = Link(self.limits, self.clock_khz)
        wiring.connect(m, link.core, core.link)
        wiring.connect(m, wiring.flipped(self.rx), link.rx)
        wiring.connect(m, link.tx, wiring.flipped(self.tx))
        if self.limits.store:
            wiring.connect(m, link.memory, wiring.flipped(self.memory))
        m.d.comb += [
            self.busy.eq(link.busy | ~core.link.idle),
            self.received.eq(link.received),
            self.refused.eq(link.refused),
            self.training.eq(link.training),
        ]
        return m
