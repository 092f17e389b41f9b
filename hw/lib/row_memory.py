"""Row memory of a group of lanes: weights and feedback entries."""

import math
from collections.abc import Sequence

from amaranth import Array, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

BANK_ROWS = 1024
"""Rows of a bank."""
READ_LATENCY = 4
"""Cycles from ``read_address`` to ``read_data``."""


class RowMemory(wiring.Component):
    """Memory of ``rows`` row-words of ``width`` bits, in banks of BANK_ROWS rows.

    One read and one write per cycle. No logic is between a block RAM and a register; the READ_LATENCY cycles are::

        read_address -> address register of each bank -> block RAM -> register of each bank -> bank select, register

    The address registers of bank N are in a module ``copy_N``, which synthesis keeps. A row that is read in the cycle
    in which it is written gives the old word; synthesis may give any word (`opzo.boards.families.flow`).

    Parameters
    ----------
    rows, width : int
    contents : sequence of int, or None
        Row-words of a memory that is only read, without the members that write.

    Members
    -------
    read_address : In
    read_data : Out(width)
        READ_LATENCY cycles after its address.
    write_address : In
    write_en : In(1)
    write_data : In(width)
        One cycle after its address and enable.
    """

    read_address: Signal
    read_data: Signal
    write_address: Signal
    write_data: Signal
    write_en: Signal

    def __init__(self, rows: int, width: int, contents: Sequence[int] | None = None) -> None:
        if rows < 1:
            raise ValueError(f"rows must be 1 or more, not {rows}")
        if contents is not None and len(contents) != rows:
            raise ValueError(f"contents must have {rows} rows, not {len(contents)}")
        self._rows, self._width, self._contents = rows, width, contents
        read = {"read_address": In(range(max(rows, 2))), "read_data": Out(width)}
        write = {"write_address": In(range(max(rows, 2))), "write_data": In(width), "write_en": In(1)}
        super().__init__(read | (write if contents is None else {}))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bank_bits = (BANK_ROWS - 1).bit_length()
        banks = []
        for index in range(math.ceil(self._rows / BANK_ROWS)):
            first = index * BANK_ROWS
            depth = min(BANK_ROWS, self._rows - first)
            init = [] if self._contents is None else self._contents[first : first + depth]
            bank: memory.Memory = memory.Memory(shape=self._width, depth=depth, init=init)
            m.submodules[f"bank_{index}"] = bank
            read = bank.read_port()
            data = Signal(self._width, name=f"data_{index}", reset_less=True)
            m.submodules[f"copy_{index}"] = copy = Module()
            read_address = Signal.like(read.addr, reset_less=True)
            copy.d.sync += read_address.eq(self.read_address)
            m.d.comb += read.addr.eq(read_address)
            if self._contents is None:
                # The port has the name of the variable.
                write = bank.write_port()
                self._write(m, copy, index, write)
            m.d.sync += data.eq(read.data)
            banks.append(data)
        selected = Signal(self._width, reset_less=True)
        read_bank = self.read_address >> bank_bits
        for stage in range(READ_LATENCY - 1):
            before = read_bank
            read_bank = Signal.like(read_bank, name=f"read_bank_{stage}", reset_less=True)
            m.d.sync += read_bank.eq(before)
        m.d.sync += selected.eq(Array(banks)[read_bank])
        m.d.comb += self.read_data.eq(selected)
        return m

    def _write(self, m: Module, copy: Module, index: int, write: memory.WritePort) -> None:
        """Write bank ``index``, with registers of its own in ``copy``."""
        write_address = Signal.like(write.addr, reset_less=True)
        write_en = Signal(reset_less=True)
        bank = self.write_address >> (BANK_ROWS - 1).bit_length()
        copy.d.sync += [write_address.eq(self.write_address), write_en.eq(self.write_en & (bank == index))]
        m.d.comb += [write.addr.eq(write_address), write.data.eq(self.write_data), write.en.eq(write_en)]
