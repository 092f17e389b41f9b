"""Memory behind the sample store: block RAM, and SDRAM with the model of a chip."""

from dataclasses import replace
from types import ModuleType

import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from formal.proof import mutant

from opzo.hw.store.block_memory import BlockMemory
from opzo.hw.store.sdram import controller
from opzo.hw.store.sdram.parts import TANG_NANO_20K, ULX3S, SdramPart
from opzo.hw.store.sdram.timing import PinDelays, SdramTiming, read_edges
from opzo.sim.benches.bench import run_bench

BENCH = "opzo.sim.benches.store.memory"
POWER_UP_US = 20
"""Instead of 200, to save time."""
TRAFFIC = {"commands": 12, "short": False, "idle": 3000, "resets": 4, "records": 20}
CLOCK = 62.5e6
DELAYS = PinDelays(clock=(6, 7), output=(2, 4), input=(1, 2))


class Buffered(wiring.Component):
    """A controller behind registers in the pins, one there and one back, as on a board."""

    def __init__(self, unit):
        self.unit = unit
        super().__init__(unit.signature)

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = self.unit
        wiring.connect(m, wiring.flipped(self.port), unit.port)
        for path, member, value in unit.pins.signature.flatten(unit.pins):
            pin = getattr(self.pins, path[0])
            inside, outside = (value, pin) if member.flow == Out else (pin, value)
            # No command in a reset.
            high = path[0].endswith("_n") or path[0] == "dqm"
            register = Signal(len(value), init=-high, name=f"{path[0]}_register")
            m.d.sync += register.eq(inside)
            m.d.comb += outside.eq(register)
        return m


def run(
    part: SdramPart,
    clock: float,
    delays: PinDelays,
    unit: ModuleType = controller,
    *,
    more_edges: int = 0,
    buffered: bool = False,
    testcase: str | None = None,
    traffic: dict[str, int] = TRAFFIC,
    **changes: int,
) -> None:
    """Run the bench on a controller; ``changes`` of its times, but not of the chip's."""
    timing = replace(SdramTiming.of(replace(part, power_up_us=POWER_UP_US), clock), **changes)
    component = unit.SdramController(part, timing, read_edges(part, clock, delays) + more_edges)
    run_bench(
        Buffered(component) if buffered else component,
        name=f"sdram-{part.name}",
        test_module=BENCH,
        testcase=testcase,
        parameters={
            "part": part.name,
            "power_up_us": POWER_UP_US,
            "period": 1e9 / clock,
            "clock": delays.clock,
            "output": delays.output,
            "input": delays.input,
            **traffic,
        },
    )


def run_wide(unit: ModuleType = controller) -> None:
    # At this clock the CAS latency is 3.
    run(TANG_NANO_20K, 125e6, PinDelays(clock=(6, 7), output=(1, 2), input=(0, 1)), unit)


def run_often(**changes: int) -> None:
    """With refreshes every 40 cycles they meet every state of the controller; and with registers in the pins."""
    traffic = TRAFFIC | {"commands": 100, "short": True}
    run(
        ULX3S,
        CLOCK,
        DELAYS,
        testcase="random_traffic_matches_an_array",
        traffic=traffic,
        more_edges=2,
        buffered=True,
        interval=40,
        **changes,
    )


def test_block_memory():
    run_bench(BlockMemory(12), name="block_memory", test_module=BENCH, parameters={"address_bits": 12, **TRAFFIC})


def test_sdram():
    run(ULX3S, CLOCK, DELAYS)


def test_wide_sdram():
    run_wide()


def test_sdram_that_is_refreshed_often():
    run_often()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"column": -1}, "tRCD"),
        ({"precharge": -1}, "tRP"),
        ({"refresh": -1}, "tRFC"),
        ({"close": -1}, "tWR"),
        ({"interval": 10}, "no REFRESH since"),
        ({"power_up": -400}, "power-up pause"),
        ({"power_up_refreshes": -1}, "only 7 REFRESH"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_times_are_found(change, text):
    timing = SdramTiming.of(replace(ULX3S, power_up_us=POWER_UP_US), CLOCK)
    ((name, by),) = change.items()
    with pytest.raises(AssertionError, match=text):
        run(ULX3S, CLOCK, DELAYS, **{name: getattr(timing, name) + by})


@pytest.mark.slow
def test_a_row_closed_too_soon_for_a_refresh_is_found():
    with pytest.raises(AssertionError, match="tRAS"):
        run_often(active=2)


@pytest.mark.slow
@pytest.mark.parametrize("more", [-1, 1])
def test_words_taken_at_a_wrong_edge_are_found(more):
    with pytest.raises(AssertionError, match="is 0x"):
        run(ULX3S, CLOCK, DELAYS, more_edges=more)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("current.row != open_row", "current.row[1:] != open_row[1:]", "no row of the bank is open"),
        ("current.row != open_row", "current.row[:-1] != open_row[:-1]", "is 0x"),
        ("current.ends_row", "0", "no row of the bank is open"),
        ("~timer.due & queue.room", "~timer.due", "is 0x|Timeout"),
        (
            'with m.If(timer.due):\n                    m.next = "CLOSE"',
            'with m.If(timer.due & queue.room):\n                    m.next = "CLOSE"',
            "no REFRESH since",
        ),
        ("move.eq(port.write.valid & port.write.ready)", "move.eq(port.write.ready)", "is 0x"),
        ("pins.ba.eq(current.row[:BANK_BITS])", "pins.ba.eq(0)", "is 0x"),
    ],
)
def test_a_wrong_controller_is_found(old, new, text):
    with pytest.raises(AssertionError, match=text):
        run(ULX3S, CLOCK, DELAYS, mutant("opzo.hw.store.sdram.controller", old, new))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("0b0011, 0b1100", "0b1100, 0b0011", "is 0x"),
        ("queue.upper.eq(current.upper", "queue.upper.eq(~current.upper", "is 0x"),
        ("timing.turn - 1", "timing.turn - 3", "controller and chip drive the data bus"),
    ],
)
def test_a_wrong_controller_of_a_wide_chip_is_found(old, new, text):
    with pytest.raises(AssertionError, match=text):
        run_wide(mutant("opzo.hw.store.sdram.controller", old, new))
