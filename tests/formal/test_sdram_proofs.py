"""SDRAM controller: refresh is never late, words move only in their open row, commands keep the chip's times."""

from dataclasses import replace

import pytest
from amaranth import Array, Cat, Mux, Signal, Value
from proof import Proof, mutant
from streams import assume_held, moved

from opzo.hw.store.sdram.controller import SdramController
from opzo.hw.store.sdram.parts import BANK_BITS, TANG_NANO_20K, ULX3S, SdramPart
from opzo.hw.store.sdram.pins import SdramCommand
from opzo.hw.store.sdram.timing import SdramTiming

pytestmark = pytest.mark.formal

EDGES = 2


def small(part: SdramPart, clock: float) -> tuple[SdramPart, SdramTiming]:
    """The part with its times, but four rows of four columns, a short power-up, and time for few words in a refresh."""
    timing = SdramTiming.of(part, clock)
    interval = timing.refresh + 2 * timing.delay + 16
    timing = replace(timing, power_up=1, power_up_refreshes=2, interval=interval)
    return replace(part, row_bits=2, column_bits=2), timing


class Controller:
    """The unit with a model of the chip at its pins and of what its user asked for; commands and stalls are free."""

    def __init__(self, unit: SdramController, part: SdramPart, timing: SdramTiming) -> None:
        self.unit, self.part, self.timing = unit, part, timing
        self.proof = proof = Proof(unit)
        pins, port = unit.pins, unit.port
        assume_held(proof, "command", port.command)
        assume_held(proof, "write", port.write)
        proof.assume("words", port.command.p.words != 0)
        levels = Cat(pins.we_n, pins.cas_n, pins.ras_n)
        self.at = {kind: ~pins.cs_n & (levels == kind) for kind in SdramCommand}
        self.moves = self.at[SdramCommand.READ] | self.at[SdramCommand.WRITE]
        names = ("POWER_UP", "REFRESH_FIRST", "LOAD_MODE", "CLOSED", "OPEN", "MOVE", "CLOSE")
        self.state = {name: proof.state("fsm_state", name) for name in names}
        self.opened = self.state["MOVE"] | self.state["OPEN"] | self.state["CLOSE"]
        self.refreshes()
        self.rows()
        self.times()

    def refreshes(self) -> None:
        """REFRESH commands are never further apart than the interval."""
        proof, timing, inside, state = self.proof, self.timing, self.proof.inside, self.state
        ages, seen = [], []
        # Of REFRESH at the pins, and a cycle before, where the unit decides.
        for name, event in (("pins", self.at[SdramCommand.REFRESH]), ("issued", inside["done"])):
            age, some = Signal(range(2 * timing.interval + 2), name=f"age_{name}"), Signal(name=f"seen_{name}")
            proof.m.d.sync += [some.eq(some | event), age.eq(Mux(event, 1, age + some))]
            ages.append(age)
            seen.append(some)
        proof.claim("refresh_in_time", ~seen[0] | (ages[0] <= timing.interval))
        proof.cover("refresh_again", seen[0] & self.at[SdramCommand.REFRESH] & proof.before(self.opened, 3))

        left, due, age, some = inside["timer.left"], inside["timer.due"], ages[1], seen[1]
        wait, active_wait, close_wait = (inside[name] for name in ("wait", "active_wait", "close_wait"))
        now = self.at[SdramCommand.REFRESH]
        proof.lemma("ages", Mux(now, some & (age == 1), (seen[0] == some) & (~some | (age == ages[0] + 1))))
        # Cycles since the request: the timer counts on.
        late = timing.period - 1 - left
        init = state["REFRESH_FIRST"] | state["LOAD_MODE"]
        proof.lemma("states", Cat(state.values()).any())
        proof.lemma("left", left < timing.period)
        proof.lemma("seen", Mux(state["POWER_UP"], ~some, some | state["REFRESH_FIRST"]))
        proof.lemma("age_init", ~some | ~init | (age + wait <= timing.refresh))
        proof.lemma("age_before", ~some | due | (age <= late))
        proof.lemma("age_late", ~some | init | ~due | (age <= timing.period + late))
        proof.lemma("late_open", ~due | ~(state["MOVE"] | state["OPEN"]) | (late == 0))
        most = Mux(active_wait > close_wait, active_wait, close_wait)
        proof.lemma("late_close", ~due | ~state["CLOSE"] | (late + most + timing.precharge <= timing.delay))
        after_mode = age + wait <= timing.refresh + timing.mode
        proof.lemma("late_closed", ~due | ~state["CLOSED"] | (late + wait <= timing.delay) | after_mode)
        short = wait < max(timing.precharge, timing.mode)
        proof.lemma("ready_soon", due | ~state["CLOSED"] | short | (wait <= left) | after_mode)

    def rows(self) -> None:
        """READ and WRITE are what the user asked for, word by word, in its row, which is open."""
        proof, part, m, pins, at = self.proof, self.part, self.proof.m, self.unit.pins, self.at
        command, moves, inside, state = self.unit.port.command, self.moves, self.proof.inside, self.state
        is_open = [Signal(name=f"model_open_{bank}") for bank in range(1 << BANK_BITS)]
        open_row = [Signal(part.row_bits, name=f"model_row_{bank}") for bank in range(1 << BANK_BITS)]
        for bank in range(1 << BANK_BITS):
            with m.If(at[SdramCommand.ACTIVE] & (pins.ba == bank)):
                m.d.sync += [is_open[bank].eq(1), open_row[bank].eq(pins.a)]
            with m.If(at[SdramCommand.PRECHARGE]):
                m.d.sync += is_open[bank].eq(0)
        asked = [
            Signal(len(Value.cast(command.p[name])), name=f"model_{name}") for name in ("address", "words", "write")
        ]
        address, words, writes = asked
        with m.If(moves):
            m.d.sync += [address.eq(address + 1), words.eq(words - 1)]
        with m.If(moved(command)):
            m.d.sync += [
                value.eq(command.p[name]) for value, name in zip(asked, ("address", "words", "write"), strict=True)
            ]
        columns = len(address) - part.row_bits - BANK_BITS
        column, place = address[columns - part.column_bits : columns], address[columns:]
        bank, row = place[:BANK_BITS], place[BANK_BITS:]
        proof.claim("asked_for", ~moves | ((words != 0) & (at[SdramCommand.WRITE] == writes)))
        proof.claim("in_an_open_row", ~moves | Array(is_open)[pins.ba])
        proof.claim("in_its_row", ~moves | ((pins.ba == bank) & (Array(open_row)[pins.ba] == row) & (pins.a == column)))
        closed = ~Cat(is_open).any()
        proof.claim("no_open_row", ~(at[SdramCommand.ACTIVE] | at[SdramCommand.REFRESH]) | closed)
        proof.claim("one_driver", pins.dq_oe == at[SdramCommand.WRITE])
        proof.cover("refreshed_write", at[SdramCommand.REFRESH] & inside["current.busy"] & writes)
        proof.cover("next_row", moves & ~writes & (words > 1) & (column == 0) & proof.before(self.opened, 4))

        busy, own_row, left = inside["current.busy"], inside["open_row"], inside["current.left"]
        proof.lemma("words", Mux(busy, (left == (words - moves)[: len(words)]) & (left != 0), words == moves))
        proof.lemma("address", ~busy | (inside["current.address"] == (address + moves)[: len(address)]))
        proof.lemma("write", ~busy | (inside["current.writes"] == writes))
        proof.lemma("moving", ~state["MOVE"] | (busy & (inside["current.row"] == own_row)))
        proof.lemma("moved", ~moves | (self.opened & (own_row == place)))
        opening, closing = at[SdramCommand.ACTIVE], at[SdramCommand.PRECHARGE]
        its_bank, its = own_row[:BANK_BITS], own_row[BANK_BITS:]
        here = [is_open[n] == (its_bank == n) for n in range(1 << BANK_BITS)]
        is_here = Cat(here).all() & (Array(open_row)[its_bank] == its)
        opens = (pins.ba == its_bank) & (pins.a == its) & closed
        proof.lemma("opened", ~self.opened | Mux(opening, state["MOVE"] & opens, is_here & ~closing))
        proof.lemma("closed", self.opened | closing | (closed & ~opening))
        proof.lemma("closing", ~(closing & opening))

    def times(self) -> None:
        """Commands come at times that the chip allows."""
        proof, timing, at, moves, opened = self.proof, self.timing, self.at, self.moves, self.opened
        wait, active_wait, close_wait = (proof.inside[name] for name in ("wait", "active_wait", "close_wait"))
        enough = timing.active + timing.precharge + timing.refresh + timing.mode

        def since(name: str, event: Value) -> Signal:
            count = Signal(range(enough + 1), name=f"since_{name}", init=enough)
            proof.m.d.sync += count.eq(Mux(event, 1, Mux(count >= enough, enough, count + 1)))
            return count

        some, power_up = ~self.unit.pins.cs_n, self.state["POWER_UP"]
        closing, opening = at[SdramCommand.PRECHARGE], at[SdramCommand.ACTIVE]
        for name, event, least in (
            ("tMRD", at[SdramCommand.LOAD_MODE], timing.mode),
            ("tRFC", at[SdramCommand.REFRESH], timing.refresh),
            ("tRP", closing, timing.precharge),
        ):
            count = since(name, event)
            proof.claim(name, ~some | (count >= least))
            proof.lemma(f"wait_{name}", Mux(event, wait == least - 1, count + wait >= least - 1))
            proof.lemma(f"over_{name}", ~(opened | power_up) | (~event & (count >= least)))
        active, move = since("active", opening), since("move", moves)
        proof.claim("tRCD", ~moves | (active >= timing.column))
        proof.claim("tRAS", ~closing | (active >= timing.active))
        row = timing.active + timing.precharge
        proof.claim("tRC", ~(opening | at[SdramCommand.REFRESH]) | (active >= row))
        proof.claim("tWR", ~closing | (move >= timing.close))
        proof.lemma(
            "wait_column", ~opened | Mux(opening, wait == timing.column - 1, active + wait >= timing.column - 1)
        )
        proof.lemma(
            "wait_active", Mux(opening, active_wait == timing.active - 1, active + active_wait >= timing.active - 1)
        )
        proof.lemma("wait_close", Mux(moves, close_wait == timing.close - 1, move + close_wait >= timing.close - 1))
        proof.lemma("wait_row", opened | (active + wait >= row - 1))
        proof.lemma("power_up", ~power_up | (~some & (active == enough) & (move == enough)))
        proof.lemma("waits", (active_wait < timing.active) & (close_wait < timing.close))


def controlled(part: SdramPart, timing: SdramTiming) -> Proof:
    return Controller(SdramController(part, timing, EDGES), part, timing).proof


@pytest.mark.parametrize(("part", "clock"), [(ULX3S, 62.5e6), (TANG_NANO_20K, 125e6)], ids=["narrow", "wide"])
def test_refresh_is_in_time_and_words_move_in_their_open_row(part: SdramPart, clock: float) -> None:
    """Unbounded, by induction over 1 cycle, with all rows and columns and the times of the part.

    Whatever the user does, two REFRESH commands are never further apart than the part's interval; each READ and WRITE
    is the next one that the user asked for, in its row, which is open; a row is opened, and the chip refreshed, only
    while no row is open; and all commands keep the part's times.
    """
    controlled(part, SdramTiming.of(part, clock)).induction(1)


def test_refreshes_and_rows_are_reached() -> None:
    """In small: a refresh interrupts a write, and a read goes on in the next row."""
    controlled(*small(ULX3S, 62.5e6)).reached(75)


@pytest.mark.parametrize(
    ("old", "new", "claim"),
    [
        ("RefreshTimer(timing.period)", "RefreshTimer(timing.period + 1)", "refresh_in_time"),
        ("current.row != open_row", "current.row[:-1] != open_row[:-1]", "in_its_row"),
        ("row[BANK_BITS:], timing.column", "row[BANK_BITS:], timing.column - 1", "tRCD"),
    ],
)
def test_a_wrong_unit_is_found(old: str, new: str, claim: str) -> None:
    part, timing = small(ULX3S, 62.5e6)
    unit = mutant("opzo.hw.store.sdram.controller", old, new)
    Controller(unit.SdramController(part, timing, EDGES), part, timing).proof.refute(claim, 100)
