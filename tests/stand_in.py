"""The ports of the accelerator, for units that take its place on a board in tests."""

from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class StandIn(wiring.Component):
    """A unit with the ports and the arguments of `opzo.hw.top.Top`."""

    rx: In(stream.Signature(8))
    tx: Out(stream.Signature(8))
    received: Out(1)
    refused: Out(1)
    training: Out(1)

    def __init__(self, limits, clock_khz):
        super().__init__()
