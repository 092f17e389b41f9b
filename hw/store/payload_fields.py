"""Fields of a payload that are too long for the operands of `ExecutorSignature`."""

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.spec.commands import REQUESTS, Command


class PayloadFields(wiring.Component):
    """Take the fixed part of a payload.

    Parameters
    ----------
    command : Command

    Members
    -------
    start : In(1)
        Strobe: take the next bytes.
    i : In(stream)
        Bytes; taken while not ``complete``.
    fields : Out(StructLayout)
        The fields, by name; valid while ``complete``.
    complete : Out(1)
    """

    start: Any
    i: Any
    fields: Any
    complete: Any

    def __init__(self, command: Command) -> None:
        self._bytes = REQUESTS[command].size
        layout = data.StructLayout({field.name: field.bits for field in REQUESTS[command].fields})
        super().__init__({"start": In(1), "i": In(stream.Signature(8)), "fields": Out(layout), "complete": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        missing = Signal(range(self._bytes + 1))
        bits = self.fields.as_value()
        loads = Signal()
        m.d.comb += [self.i.ready.eq(loads), self.complete.eq(~loads)]
        with m.If(self.start):
            m.d.sync += [missing.eq(self._bytes), loads.eq(1)]
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += [
                bits.eq(Cat(bits[8:], self.i.p)),
                missing.eq(missing - 1),
                loads.eq(missing != 1),
            ]
        return m
