"""The model of an SDRAM chip finds each violation of its rules."""

from dataclasses import replace

import pytest

from opzo.hw.store.sdram.parts import TANG_NANO_20K, ULX3S, SdramPart
from opzo.hw.store.sdram.pins import ALL_BANKS, SINGLE_WRITES, SdramCommand
from opzo.sim.benches.store.sdram_chip import Pins, SdramChip, SdramError

PERIOD = 10.0
MODE = SINGLE_WRITES | 2 << 4
PART = replace(ULX3S, power_up_us=1)
ACTIVE, PRECHARGE, READ, WRITE, REFRESH, LOAD_MODE = (
    SdramCommand[name] for name in ("ACTIVE", "PRECHARGE", "READ", "WRITE", "REFRESH", "LOAD_MODE")
)


class Controller:
    """Gives commands to a chip, each so many cycles after the last one."""

    def __init__(self, part: SdramPart = PART) -> None:
        self.chip = SdramChip(part, PERIOD, lambda address: address & 0xFFFF)
        self.time = 0.0
        self.idle_dqm = (1 << part.data_bits // 8) - 1

    def __call__(
        self,
        cycles: int,
        command: SdramCommand | int,
        a: int = 0,
        ba: int = 0,
        *,
        dqm: int = 0,
        dq: int = 0,
        **more: int,
    ):
        """A command; WRITE drives the data bus from half a cycle before its edge to half a cycle after it."""
        self.time += cycles * PERIOD
        driven = command == WRITE and more.get("dq_oe", 1)
        if driven:
            self.chip.bus(self.time - PERIOD / 2, 1)
        levels = {"cs_n": 0, "command": command, "ba": ba, "a": a, "dqm": dqm, "dq": dq, "dq_oe": int(driven)}
        drive = self.chip.edge(self.time, Pins(**levels | more))
        if driven:
            self.chip.bus(self.time + PERIOD / 2, 0)
        return drive

    def power_up(self, refreshes: int = 8) -> "Controller":
        self(100, PRECHARGE, ALL_BANKS, dqm=self.idle_dqm)
        for _ in range(refreshes):
            self(7, REFRESH, dqm=self.idle_dqm)
        self(7, LOAD_MODE, MODE, dqm=self.idle_dqm)
        return self


def open_row(row: int = 3, ba: int = 1) -> Controller:
    chip = Controller().power_up()
    chip(2, ACTIVE, row, ba)
    return chip


def test_words_are_kept_by_row_bank_and_column():
    do = open_row(row=3, ba=1)
    do(3, WRITE, 5, 1, dq=0x1234)
    do(1, WRITE, 6, 1, dq=0x5678, dqm=0b01)
    do(3, READ, 5, 1)
    address = (3 << 2 | 1) << 9
    assert do.chip.words == {address | 5: 0x1234, address | 6: 0x5600 | (address | 6) & 0xFF}
    drive = do(1, READ, 7, 1)
    assert drive is not None
    assert drive.word == (address | 7) & 0xFFFF
    # CAS latency 2: driven from the next edge on, valid tAC later, until tOH after the edge after that.
    assert (drive.start, drive.end) == (do.time + PERIOD, do.time + 2 * PERIOD + PART.release)
    assert (drive.valid, drive.invalid) == (do.time + PERIOD + PART.access[2], do.time + 2 * PERIOD + PART.hold)


def test_rows_may_be_open_in_all_banks():
    do = open_row(ba=0)
    for ba in range(1, 4):
        do(2, ACTIVE, 4, ba)
    do(3, READ, 0, 3)
    do(1, READ, 0, 0)
    do(4, PRECHARGE, 0, 2)
    do(3, ACTIVE, 5, 2)
    assert do.chip.counts[ACTIVE] == 5


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([(2, READ, 0, 1)], "READ bank 1 address 0x0: tRCD: 20.0 ns, 21.0 ns at least"),
        ([(2, WRITE, 0, 1)], "tRCD"),
        ([(3, READ, 0, 2)], "no row of the bank is open"),
        ([(3, READ, ALL_BANKS, 1)], "auto-precharge"),
        ([(3, READ, 512, 1)], "no such column"),
        ([(1, ACTIVE, 0, 2)], "tRRD"),
        ([(9, ACTIVE, 0, 1)], "row 3 of the bank is open"),
        ([(4, PRECHARGE, 0, 1)], "tRAS: 40.0 ns, 44.0 ns at least"),
        ([(4, WRITE, 0, 1), (1, PRECHARGE, 0, 1)], "tWR"),
        ([(5, PRECHARGE, 0, 1), (2, ACTIVE, 0, 1)], "tRP"),
        ([(5, PRECHARGE, 0, 1), (2, REFRESH)], "tRP"),
        ([(5, PRECHARGE, 0, 2), (3, REFRESH)], "bank 1 has an open row"),
        ([(5, PRECHARGE, 0, 1), (3, REFRESH), (6, ACTIVE)], "tRFC"),
        ([(5, PRECHARGE, 0, 1), (3, REFRESH), (6, REFRESH)], "tRFC"),
        ([(5, PRECHARGE, 0, 1), (3, LOAD_MODE, MODE)], "DQM is low"),
        ([(780, READ, 0, 1)], "no REFRESH since"),
        ([(3, READ, 0, 1), (3, WRITE, 0, 1)], "controller and chip drive the data bus"),
        ([(3, 0b110)], "command 110 is not supported"),
    ],
)
def test_a_violation_is_found(steps, text):
    do = open_row()
    for step in steps[:-1]:
        do(*step)
    with pytest.raises(SdramError, match=text) as found:
        do(*steps[-1])
    assert f"{do.time:.1f} ns" in str(found.value) or "drive the data bus" in text


def test_the_same_in_time_is_allowed():
    do = open_row()
    do(3, WRITE, 0, 1)
    do(3, READ, 0, 1)
    do(4, WRITE, 0, 1)
    do(2, PRECHARGE, 0, 1)
    do(3, REFRESH)
    do(7, ACTIVE, 0, 1)
    do(5, PRECHARGE, ALL_BANKS)
    do.chip.check_refresh(do.time + 500)


def test_a_row_that_is_closed_and_opened_too_soon_is_found():
    # tRC is more than tRAS and tRP of this part.
    do = Controller(replace(PART, row=90)).power_up()
    do(2, ACTIVE, 0, 1)
    do(5, PRECHARGE, 0, 1)
    with pytest.raises(SdramError, match="tRC: 80"):
        do(3, ACTIVE, 0, 1)


def test_a_precharge_that_ends_a_read_is_found():
    do = Controller(replace(PART, active=10))
    do(100, PRECHARGE, ALL_BANKS, dqm=3)
    for _ in range(8):
        do(7, REFRESH, dqm=3)
    do(7, LOAD_MODE, SINGLE_WRITES | 3 << 4, dqm=3)
    do(2, ACTIVE)
    do(3, READ)
    with pytest.raises(SdramError, match="READ to PRECHARGE"):
        do(1, PRECHARGE)


def test_a_row_that_is_open_for_too_long_is_found():
    do = Controller(replace(PART, most_active=1000)).power_up()
    do(2, ACTIVE)
    do(100, READ)
    with pytest.raises(SdramError, match="row open for 1010"):
        do(1, READ)


def test_a_read_while_the_controller_drives_the_bus_is_found():
    do = open_row()
    do.chip.bus(do.time, 1)
    do(3, READ, 0, 1)
    with pytest.raises(SdramError, match="controller and chip drive"):
        do(3, READ, 0, 1)


@pytest.mark.parametrize(
    ("levels", "text"),
    [
        ({"command": READ, "dqm": 1}, "DQM is high"),
        ({"command": WRITE, "dq_oe": 0}, "nobody drives"),
        ({"cke": 0}, "CKE"),
    ],
)
def test_wrong_levels_are_found(levels, text):
    do = open_row()
    with pytest.raises(SdramError, match=text):
        do(3, **({"command": READ} | levels), ba=1)


def test_power_up_in_the_wrong_order_is_found():
    with pytest.raises(SdramError, match="power-up pause"):
        Controller()(99, PRECHARGE, ALL_BANKS)
    for command in (REFRESH, LOAD_MODE):
        with pytest.raises(SdramError, match="no PRECHARGE of all banks"):
            Controller()(100, command, MODE)
    with pytest.raises(SdramError, match="only 7 REFRESH"):
        Controller().power_up(7)(2, ACTIVE)
    do = Controller()
    do(100, PRECHARGE, ALL_BANKS, dqm=3)
    with pytest.raises(SdramError, match="the mode is not set"):
        do(10, ACTIVE)


@pytest.mark.parametrize(
    ("mode", "ba", "text"),
    [
        (SINGLE_WRITES | 1 << 4, 0, "CAS latency 1"),
        (MODE | 1, 0, "bursts"),
        (2 << 4, 0, "bursts"),
        (MODE, 1, "bank is not 0"),
    ],
)
def test_other_modes_are_refused(mode, ba, text):
    do = Controller()
    do(100, PRECHARGE, ALL_BANKS, dqm=3)
    with pytest.raises(SdramError, match=text):
        do(3, LOAD_MODE, mode, ba, dqm=3)


def test_a_command_after_the_mode_register_waits():
    do = Controller().power_up()
    with pytest.raises(SdramError, match="tMRD"):
        do(1, ACTIVE)


def test_a_clock_that_is_too_fast_is_found():
    do = Controller(replace(PART, clock={2: 10.1, 3: 7}))
    with pytest.raises(SdramError, match=r"clock of 10\.0 ns"):
        do.power_up()


def test_words_of_32_bits_are_masked_by_bytes():
    do = Controller(replace(TANG_NANO_20K, power_up_us=1)).power_up()
    do(2, ACTIVE)
    do(3, WRITE, 1, dq=0xAABBCCDD, dqm=0b0011)
    assert do.chip.words == {1: 0xAABB0001}


def test_content_is_lost_when_the_controller_begins_again():
    do = open_row()
    do(3, WRITE, 0, 1, dq=7)
    do.chip.restart(do.time)
    assert not do.chip.words
    with pytest.raises(SdramError, match="power-up pause"):
        do(1, PRECHARGE, ALL_BANKS)
