"""The top of every board through its pins: clock, reset, UART, lights; and that a wrong one is found."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from amaranth import Signal
from amaranth.build import Subsignal
from amaranth.hdl import Fragment
from amaranth.lib import io
from amaranth.sim import Simulator
from loopback import Loopback

from opzo.boards import top
from opzo.boards.build import Plan
from opzo.boards.families.flow import Flow, oscillator
from opzo.boards.pins import board_pins
from opzo.boards.registry import BOARDS, find_board
from opzo.boards.top import BoardTop
from opzo.spec.limits import Limits

TINY = Limits(lanes=4, rows=512, inputs=16, words=4, classes=4)
LIGHTS = ("link", "training", "error")
BIT_OF = {"link": 0, "error": 1, "training": 2}
"""Bit of a byte that lights a light, through `Loopback`."""


class Wires:
    """A board's platform, with a signal at each pin of the package."""

    def __init__(self, board):
        self._platform = board.platform()
        self.default_clk, self.default_rst = self._platform.default_clk, self._platform.default_rst
        self.at = {}

    def add_resources(self, resources):
        self._platform.add_resources(resources)

    def request(self, name, number=0, *, dir):
        resource = self._platform.lookup(name, number)
        parts = {part.name: self._port(part.ios[0]) for part in resource.ios if isinstance(part, Subsignal)}
        return SimpleNamespace(**parts) if parts else self._port(resource.ios[0])

    def _port(self, pins):
        (site,) = pins.map_names(self._platform._conn_pins, "")
        port = io.SimulationPort({"i": "i", "o": "o"}[pins.dir], 1, invert=pins.invert, name=f"pin_{site}")
        self.at[site] = port.i if pins.dir == "i" else port.o
        return port

    @property
    def row(self):
        """Level of the pin of the ButterStick that is held high."""
        return self.at["C13"]


class NoPll(Flow):
    """The oscillator's pin clocks the chip, and the test says when the PLL is locked."""

    def __init__(self):
        self.locked = Signal()

    def add_pll(self, m, platform, pll, clock, locked):
        m.d.comb += [clock.eq(oscillator(m, platform)), locked.eq(self.locked)]


def check_top(board, monkeypatch, *, built=None, baud_factor=1):
    """Check a board's top; ``built`` is the board that it is built for by mistake."""
    monkeypatch.setattr(top, "Top", Loopback)
    # About 20 cycles a bit.
    plan, pins = Plan.of(board, TINY, min(board.core_mhz, max(4, 20e-6 * board.baud))), board_pins(board)
    wires, flow = Wires(board), NoPll()
    design = BoardTop(built or board, flow, TINY, plan.pll, plan.baud * baud_factor)
    simulator = Simulator(Fragment.get(design, wires))

    async def bench(ctx):
        def wire(name):
            return wires.at[pins[name].site]

        def lit():
            shown = {name: bool(ctx.get(wire(name))) is not pins[name].inverted for name in LIGHTS}
            return {name for name in LIGHTS if shown[name]}

        async def cycle():
            for level in (1, 0):
                ctx.set(wire("oscillator"), level)
                await ctx.delay(1e-9)
            line.append(ctx.get(wire("tx")))

        async def send(byte):
            """Levels of tx, one for each bit time, from the first start bit on."""
            line.clear()
            bits = [0, *(byte >> n & 1 for n in range(8)), 1]
            each = plan.pll.mhz * 1e6 / plan.baud
            for number in range(round(25 * each)):
                place = int(number / each)
                ctx.set(wire("rx"), bits[place] if place < len(bits) else 1)
                await cycle()
            if 0 not in line:
                return None
            start = line.index(0)
            seen = [line[min(start + int((n + 0.5) * each), len(line) - 1)] for n in range(10)]
            assert (seen[0], seen[9]) == (0, 1), "start and stop bit"
            return sum(bit << n for n, bit in enumerate(seen[1:9]))

        def press(down):
            if "button" in pins:
                ctx.set(wire("button"), down is not pins["button"].inverted)

        line = []
        ctx.set(wire("rx"), 1)
        press(False)
        assert await send(0xFF) is None, "answers before the PLL has locked"
        ctx.set(flow.locked, 1)
        for _ in range(10):
            await cycle()
        assert await send(0xA8) == 0xA8
        assert lit() == set()
        if board.row is not None:
            assert ctx.get(wires.row), "the pin without which the lights stay dark"
        on = set()
        for name in LIGHTS:
            byte = 0x50 | 1 << BIT_OF[name]
            assert await send(byte) == byte
            # One LED may have two meanings.
            on |= {other for other in LIGHTS if pins[other] == pins[name]}
            assert lit() == on
        if "button" in pins:
            press(True)
            assert await send(0xFF) is None, "answers while its reset button is pressed"
            assert lit() == set()

    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_top_of_every_board_through_its_pins(board, monkeypatch):
    check_top(board, monkeypatch)


def test_lights_that_stay_dark_are_found(monkeypatch):
    board = find_board("butterstick")
    # Its first row is C13.
    with pytest.raises(KeyError, match="C13"):
        check_top(board, monkeypatch, built=replace(board, row=None))


def test_swapped_lights_are_found(monkeypatch):
    board = find_board("ulx3s-25f")
    with pytest.raises(AssertionError):
        check_top(board, monkeypatch, built=replace(board, link=board.error, error=board.link))


@pytest.mark.parametrize("name", ["ulx3s-25f", "ecpix5-45f"])
def test_wrong_polarity_of_the_reset_is_found(name, monkeypatch):
    right = top.ResetSynchronizer
    monkeypatch.setattr(top, "ResetSynchronizer", lambda reset, domain: right(~reset, domain=domain))
    with pytest.raises(AssertionError, match="before the PLL"):
        check_top(find_board(name), monkeypatch)


@pytest.mark.parametrize("factor", [0.5, 0.9])
def test_wrong_divider_of_the_uart_is_found(factor, monkeypatch):
    with pytest.raises(AssertionError):
        check_top(find_board("ulx3s-25f"), monkeypatch, baud_factor=factor)
