"""Behavioural model of an SDR SDRAM chip that checks the rules of its datasheet.

It knows nothing of simulators: times are ns, and `sdram_pins` connects it to a design.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from opzo.hw.store.sdram.parts import BANK_BITS, SdramPart
from opzo.hw.store.sdram.pins import ALL_BANKS, CAS_LATENCY_PLACE, SINGLE_WRITES, SdramCommand

SLACK = 1e-3
"""Rounding error of times in ns."""


class SdramError(AssertionError):
    """A rule of the datasheet is violated; the text has time, command and rule."""


@dataclass
class Bank:
    """State of a bank: its open row, when it was opened and closed, and when the last READ and WRITE came."""

    row: int | None = None
    opened: float = -inf
    closed: float = -inf
    read: float = -inf
    written: float = -inf


@dataclass(frozen=True)
class Pins:
    """Levels at the pins at an edge of the clock."""

    cs_n: int
    command: int
    """``ras_n``, ``cas_n`` and ``we_n``, from the highest bit."""
    ba: int
    a: int
    dqm: int
    dq: int
    dq_oe: int
    """Whether the controller drives the data bus."""
    cke: int = 1


@dataclass(frozen=True)
class Drive:
    """The chip drives the data bus: from when on with any level, its valid word from when to when, and until when."""

    start: float
    valid: float
    invalid: float
    end: float
    word: int


@dataclass
class SdramChip:
    """Execute the commands at the pins and raise `SdramError` for each that violates a rule.

    Rules: times of the part, order of power-up, READ and WRITE only in an open row, REFRESH in time, one driver of the
    data bus. Bursts have one word; auto-precharge, self-refresh and suspended clocks are refused.

    Parameters
    ----------
    part : SdramPart
    period : float
        Clock period in ns.
    content : callable
        Word at an address (row, bank and column, from the highest bit) that has not been written.
    """

    part: SdramPart
    period: float
    content: Callable[[int], int]
    counts: dict[SdramCommand, int] = field(default_factory=lambda: dict.fromkeys(SdramCommand, 0))
    """Commands so far."""

    def __post_init__(self) -> None:
        self.words: dict[int, int] = {}
        self.drives: list[Drive] = []
        self.restart(0.0)

    def restart(self, time: float) -> None:
        """The controller begins its power-up sequence; the content is lost."""
        self.words.clear()
        self._start, self._precharged, self._refreshes, self._cas_latency = time, False, 0, 0
        self._refreshed = self._mode_loaded = -inf
        self._banks = [Bank() for _ in range(1 << BANK_BITS)]
        self._driven = inf

    def bus(self, time: float, oe: int) -> None:
        """The controller begins or ends to drive the data bus."""
        self._one_driver(time)
        self._driven = time if oe else inf

    def _one_driver(self, time: float) -> None:
        if any(drive.start < time - SLACK and self._driven < drive.end - SLACK for drive in self.drives):
            raise SdramError(f"{time:.1f} ns: controller and chip drive the data bus")

    def check_refresh(self, time: float) -> None:
        """Check that the last REFRESH was not too long ago."""
        if self._cas_latency and time - self._refreshed > self.part.refresh_interval + SLACK:
            raise SdramError(
                f"{time:.1f} ns: no REFRESH since {self._refreshed:.1f} ns, {self.part.refresh_interval:.1f} ns at most"
            )

    def edge(self, time: float, pins: Pins) -> Drive | None:
        """Rising edge of the clock; returns what the chip drives in answer to a READ at this edge."""
        self._time, self._name = time, "NOP"
        self._one_driver(time)
        self.drives = [drive for drive in self.drives if drive.end > time - SLACK]
        if pins.cs_n or pins.command == SdramCommand.NOP:
            return None
        if pins.command not in tuple(SdramCommand):
            raise SdramError(f"{time:.1f} ns: command {pins.command:03b} is not supported")
        command = SdramCommand(pins.command)
        self.counts[command] += 1
        self._name = f"{command.name} bank {pins.ba} address {pins.a:#x}"
        self._rule(bool(pins.cke), "CKE is low")
        self.check_refresh(time)
        self._least("tMRD", self._mode_loaded, self.part.mode_cycles * self.period)
        self._least("tRFC", self._refreshed, self.part.refresh)
        match command:
            case SdramCommand.LOAD_MODE:
                self._load_mode(pins)
            case SdramCommand.REFRESH:
                self._refresh()
            case SdramCommand.PRECHARGE:
                self._precharge(pins)
            case SdramCommand.ACTIVE:
                self._active(pins)
            case SdramCommand.WRITE:
                self._write(pins)
            case SdramCommand.READ:
                return self._read(pins)
        return None

    def _rule(self, holds: bool, text: str) -> None:
        if not holds:
            raise SdramError(f"{self._time:.1f} ns: {self._name}: {text}")

    def _least(self, rule: str, since: float, least: float) -> None:
        passed = self._time - since
        self._rule(passed >= least - SLACK, f"{rule}: {passed:.1f} ns, {least:.1f} ns at least")

    def _all_closed(self) -> None:
        self._rule(self._precharged, "power-up: no PRECHARGE of all banks yet")
        for number, bank in enumerate(self._banks):
            self._rule(bank.row is None, f"bank {number} has an open row")
            self._least("tRP", bank.closed, self.part.precharge)

    def _load_mode(self, pins: Pins) -> None:
        self._all_closed()
        cas_latency = pins.a >> CAS_LATENCY_PLACE & 7
        self._rule(cas_latency in self.part.clock, f"CAS latency {cas_latency} is not supported")
        self._rule(pins.a == SINGLE_WRITES | cas_latency << CAS_LATENCY_PLACE, "only bursts of one word are supported")
        self._rule(pins.ba == 0, "bank is not 0")
        least = self.part.clock[cas_latency]
        self._rule(self.period >= least - SLACK, f"clock of {self.period} ns, {least} ns at least")
        self._rule(pins.dqm == (1 << self.part.data_bits // 8) - 1, "DQM is low before the mode is set")
        self._cas_latency, self._mode_loaded = cas_latency, self._time

    def _refresh(self) -> None:
        self._all_closed()
        for bank in self._banks:
            self._least("tRC", bank.opened, self.part.row)
        self._refreshes += 1
        self._refreshed = self._time

    def _precharge(self, pins: Pins) -> None:
        self._least("power-up pause", self._start, self.part.power_up_us * 1000)
        every = bool(pins.a & ALL_BANKS)
        self._precharged |= every
        for bank in self._banks if every else [self._banks[pins.ba]]:
            if bank.row is not None:
                self._least("tRAS", bank.opened, self.part.active)
                self._row_in_time(bank)
                self._least("tWR", bank.written, max(self.part.write, self.part.write_cycles * self.period))
                # As the datasheets say that are strictest about it: CAS latency + burst length - 2.
                self._least("READ to PRECHARGE", bank.read, (self._cas_latency - 1) * self.period)
                bank.closed = self._time
            bank.row = None

    def _row_in_time(self, bank: Bank) -> None:
        open_for = self._time - bank.opened
        self._rule(open_for <= self.part.most_active + SLACK, f"tRAS: row open for {open_for:.1f} ns")

    def _active(self, pins: Pins) -> None:
        self._rule(bool(self._cas_latency), "power-up: the mode is not set")
        self._rule(self._refreshes >= self.part.power_up_refreshes, f"power-up: only {self._refreshes} REFRESH")
        bank = self._banks[pins.ba]
        self._rule(bank.row is None, f"row {bank.row} of the bank is open")
        self._rule(pins.a < 1 << self.part.row_bits, "no such row")
        self._least("tRP", bank.closed, self.part.precharge)
        self._least("tRC", bank.opened, self.part.row)
        for other in self._banks:
            if other is not bank:
                self._least("tRRD", other.opened, self.part.other_bank)
        bank.row, bank.opened = pins.a, self._time

    def _address(self, pins: Pins) -> int:
        bank = self._banks[pins.ba]
        if bank.row is None:
            raise SdramError(f"{self._time:.1f} ns: {self._name}: no row of the bank is open")
        self._least("tRCD", bank.opened, self.part.column)
        self._row_in_time(bank)
        self._rule(pins.a < 1 << self.part.column_bits, "no such column, or auto-precharge")
        return (bank.row << BANK_BITS | pins.ba) << self.part.column_bits | pins.a

    def _write(self, pins: Pins) -> None:
        address = self._address(pins)
        self._rule(bool(pins.dq_oe), "nobody drives the data bus")
        mask = sum(0xFF << 8 * byte for byte in range(self.part.data_bits // 8) if not pins.dqm >> byte & 1)
        old = self.words.get(address, self.content(address))
        self.words[address] = old & ~mask | pins.dq & mask
        self._banks[pins.ba].written = self._time

    def _read(self, pins: Pins) -> Drive:
        address = self._address(pins)
        self._rule(pins.dqm == 0, "DQM is high")
        self._banks[pins.ba].read = self._time
        begin = self._time + (self._cas_latency - 1) * self.period
        valid, end = begin + self.part.access[self._cas_latency], begin + self.period
        drive = Drive(
            begin, valid, end + self.part.hold, end + self.part.release, self.words.get(address, self.content(address))
        )
        self.drives.append(drive)
        return drive
