"""Scaled errors of a run, for Feedback and Learn."""

from typing import Any

from amaranth import Array, Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from opzo.hw.error.ports import ErrorReadSignature, sources
from opzo.spec.formats import HISTORY_STEPS, SCALED_ERROR
from opzo.spec.limits import Limits


class ErrorMemory(wiring.Component):
    """Keep the scaled errors of each readout and time step, and the scaled losses of the last two steps.

    Memory word: scaled error; address: source, step, class.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    source, step : In
        Of what is written.
    write : In({valid, class_, value})
        Strobe: the error of a class.
    write_loss : In({valid, value})
        Strobe: scaled loss of the network's step.
    read : In(ErrorReadSignature)
    """

    source: Signal
    step: Signal
    write: data.View
    write_loss: data.View
    read: Any

    def __init__(self, limits: Limits) -> None:
        self._class_bits = class_bits = limits.class_bits
        error = signed(SCALED_ERROR.width)
        super().__init__(
            {
                "source": In(sources(limits)),
                "step": In(range(HISTORY_STEPS)),
                "write": In(data.StructLayout({"valid": 1, "class_": class_bits, "value": error})),
                "write_loss": In(data.StructLayout({"valid": 1, "value": SCALED_ERROR.width})),
                "read": In(ErrorReadSignature(limits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        read, bits = self.read, self._class_bits
        depth = 1 << (bits + len(self.step) + len(self.source))
        memory: Memory = Memory(shape=signed(SCALED_ERROR.width), depth=depth, init=[])
        m.submodules.memory = memory
        write_port = memory.write_port()
        read_port = memory.read_port()
        losses = Array(Signal(SCALED_ERROR.width, name=f"loss_{n}", reset_less=True) for n in range(2))
        m.d.comb += [
            write_port.addr.eq(Cat(self.write.class_, self.step, self.source)),
            write_port.data.eq(self.write.value),
            write_port.en.eq(self.write.valid),
            read_port.addr.eq(Cat(read.class_[:bits], read.step, read.source)),
            read.error.eq(read_port.data),
            read.loss.eq(losses[read.step[0]]),
        ]
        with m.If(self.write_loss.valid):
            m.d.sync += losses[self.step[0]].eq(self.write_loss.value)
        return m
