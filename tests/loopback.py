"""A unit in the place of the accelerator, so that only what is around it on a board is built."""

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Loopback(wiring.Component):
    """Sends back each byte. Its bits 0, 1 and 2 are ``received``, ``refused`` and ``training``."""

    rx: In(stream.Signature(8))
    tx: Out(stream.Signature(8))
    received: Out(1)
    refused: Out(1)
    training: Out(1)

    def __init__(self, limits, clock_khz):
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        wiring.connect(m, wiring.flipped(self.rx), wiring.flipped(self.tx))
        m.d.comb += [self.received.eq(self.rx.p[0]), self.refused.eq(self.rx.p[1]), self.training.eq(self.rx.p[2])]
        return m
