"""Command that the SDRAM controller executes, word by word."""

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.store.memory import MOST_WORDS, command_layout
from opzo.hw.store.sdram.parts import BANK_BITS, SdramPart


class CurrentCommand(wiring.Component):
    """Take a command and follow its address from word to word.

    Parameters
    ----------
    part : SdramPart

    Members
    -------
    command : In(stream)
        See `command_layout`.
    enable : In(1)
        A command may be taken; one is taken only while not ``busy``.
    move : In(1)
        Strobe: the next word is moved; only while ``busy``.
    busy : Out(1)
        A command has been taken and has words left; ``writes``, ``row``, ``column`` and ``upper`` are valid.
    writes : Out(1)
    row : Out
        Bank, and row above it, of the next word.
    column : Out
    upper : Out(1)
        The word is the upper half of a column of 32 bits.
    last, ends_row : Out(1)
        The next word is the last one of the command; of its row.
    """

    command: Any
    enable: Signal
    move: Signal
    busy: Signal
    writes: Signal
    row: Signal
    column: Signal
    upper: Signal
    last: Signal
    ends_row: Signal

    def __init__(self, part: SdramPart) -> None:
        self._part = part
        super().__init__(
            {
                "command": In(stream.Signature(command_layout(part.address_bits))),
                "enable": In(1),
                "move": In(1),
                "busy": Out(1),
                "writes": Out(1),
                "row": Out(part.row_bits + BANK_BITS),
                "column": Out(part.column_bits),
                "upper": Out(1),
                "last": Out(1),
                "ends_row": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        address = Signal(self._part.address_bits, reset_less=True)
        left = Signal(range(MOST_WORDS + 1), reset_less=True)
        halves = address[: -(len(self.row) + len(self.column))]
        place = address[len(halves) :]
        m.d.comb += [
            self.command.ready.eq(self.enable & ~self.busy),
            self.upper.eq(halves),
            Cat(self.column, self.row).eq(place),
            self.last.eq(left == 1),
            self.ends_row.eq(address[: -len(self.row)].all()),
        ]
        with m.If(self.command.valid & self.command.ready):
            m.d.sync += [
                address.eq(self.command.p.address),
                left.eq(self.command.p.words),
                self.writes.eq(self.command.p.write),
                self.busy.eq(1),
            ]
        with m.If(self.move):
            m.d.sync += [address.eq(address + 1), left.eq(left - 1), self.busy.eq(~self.last)]
        return m
