"""A unit in the place of the accelerator, so that only what is around it on a board is built."""

from amaranth import Module
from amaranth.lib import wiring
from stand_in import StandIn


class Loopback(StandIn):
    """Sends back each byte. Its bits 0, 1 and 2 are ``received``, ``refused`` and ``training``."""

    def elaborate(self, platform):
        m = Module()
        wiring.connect(m, wiring.flipped(self.rx), wiring.flipped(self.tx))
        m.d.comb += [self.received.eq(self.rx.p[0]), self.refused.eq(self.rx.p[1]), self.training.eq(self.rx.p[2])]
        return m
