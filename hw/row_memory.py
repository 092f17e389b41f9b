"""Row memory of a group of lanes: weights and feedback entries."""

from amaranth import Array, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

BANK_ROWS = 1024
READ_LATENCY = 3


class RowMemory(wiring.Component):
    """Memory of ``rows`` row-words of ``width`` bits, in banks of BANK_ROWS rows.

    One read and one write a cycle. Read data comes READ_LATENCY cycles after the address: block RAM, register of each
    bank, register behind the bank select; so no select logic sits between a block RAM and a register. A row read
    in the cycle in which it is written gives the old word; the sequencer never does that.
    """

    read_address: Signal
    read_data: Signal
    write_address: Signal
    write_data: Signal
    write_en: Signal

    def __init__(self, rows: int, width: int) -> None:
        if rows < 1:
            raise ValueError(f"a row memory has 1 or more rows, not {rows}")
        self._rows, self._width = rows, width
        super().__init__(
            {
                "read_address": In(range(max(rows, 2))),
                "read_data": Out(width),
                "write_address": In(range(max(rows, 2))),
                "write_data": In(width),
                "write_en": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bank_bits = (BANK_ROWS - 1).bit_length()
        banks = []
        read_bank = self.read_address >> bank_bits
        write_bank = self.write_address >> bank_bits
        for index in range(-(-self._rows // BANK_ROWS)):
            depth = min(BANK_ROWS, self._rows - index * BANK_ROWS)
            bank: memory.Memory = memory.Memory(shape=self._width, depth=depth, init=[])
            m.submodules[f"bank_{index}"] = bank
            read, write = bank.read_port(), bank.write_port()
            data = Signal(self._width, name=f"data_{index}", reset_less=True)
            m.d.comb += [
                read.addr.eq(self.read_address),
                write.addr.eq(self.write_address),
                write.data.eq(self.write_data),
                write.en.eq(self.write_en & (write_bank == index)),
            ]
            m.d.sync += data.eq(read.data)
            banks.append(data)
        select_1 = Signal.like(read_bank, reset_less=True)
        select_2 = Signal.like(read_bank, reset_less=True)
        selected = Signal(self._width, reset_less=True)
        m.d.sync += [select_1.eq(read_bank), select_2.eq(select_1), selected.eq(Array(banks)[select_2])]
        m.d.comb += self.read_data.eq(selected)
        return m
