"""Top level of a board's FPGA: clock, serial port, accelerator, LEDs."""

from typing import Any

from amaranth import Cat, ClockDomain, ClockSignal, Const, Module, ResetSignal, Signal
from amaranth.build import Attrs, Pins, Resource, Subsignal
from amaranth.hdl import Elaboratable
from amaranth.lib import io, wiring
from amaranth.lib.cdc import ResetSynchronizer

from opzo.boards.board import Board, Light
from opzo.boards.families.flow import Flow
from opzo.boards.families.pll import Pll
from opzo.boards.lights import SECONDS, Lights
from opzo.hw.lib.uart import UART
from opzo.hw.store.block_memory import BlockMemory
from opzo.hw.top import Top
from opzo.spec.limits import Limits


class BoardTop(Elaboratable):
    """`Top` on a board: clock from a PLL, reset until it is locked, UART, LEDs; a sample store in block RAM, if any.

    LEDs: link (a complete frame arrived), training (a run with learning began), error (a byte without a stop bit, a
    lost byte, or a NAK); each stays on for SECONDS or more.

    Parameters
    ----------
    board : Board
    flow : Flow
        Flow of the board's family.
    limits : Limits
    pll : Pll
        Core clock.
    baud : int
        Rate of the UART.
    """

    def __init__(self, board: Board, flow: Flow, limits: Limits, pll: Pll, baud: int) -> None:
        self._board, self._flow, self._limits, self._pll = board, flow, limits, pll
        self._top = Top(limits, round(pll.mhz * 1000))
        self._uart = UART(pll.mhz * 1e6, baud)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        top, uart = self._top, self._uart
        self._clock(m, platform)
        m.submodules.top = top
        m.submodules.uart = uart
        wiring.connect(m, uart.rx, top.rx)
        wiring.connect(m, top.tx, uart.tx)
        if self._limits.store:
            m.submodules.memory = memory = BlockMemory(self._limits.store_bits)
            wiring.connect(m, top.memory, memory.port)
        pins = self._uart_pins(platform)
        m.submodules.rx = rx = io.Buffer(io.Direction.Input, pins.rx)
        m.submodules.tx = tx = io.Buffer(io.Direction.Output, pins.tx)
        m.d.comb += [uart.rx_pin.eq(rx.i), tx.o.eq(uart.tx_pin)]
        m.submodules.lights = lights = Lights(3, round(SECONDS * self._pll.mhz * 1e6))
        m.d.comb += lights.strobe.eq(Cat(top.received, top.training, uart.framing | uart.overrun | top.refused))
        shown: dict[Light, Any] = {} if self._board.row is None else {self._board.row: Const(1)}
        for number, light in enumerate((self._board.link, self._board.training, self._board.error)):
            # An LED with two meanings shows either.
            shown[light] = shown.get(light, 0) | lights.on[number]
        self._show(m, platform, shown)
        return m

    def _clock(self, m: Module, platform: Any) -> None:
        clock = Signal()
        locked = Signal()
        reset = Signal()
        self._flow.add_pll(m, platform, self._pll, clock, locked)
        m.domains += [ClockDomain("sync"), ClockDomain("source", local=True)]
        m.d.comb += [ClockSignal("sync").eq(clock), ClockSignal("source").eq(clock), reset.eq(~locked)]
        if platform.default_rst is not None:
            button = platform.request(platform.default_rst, dir="-")
            m.submodules.reset_button = pressed = io.Buffer(io.Direction.Input, button)
            m.d.comb += reset.eq(~locked | pressed.i)
        m.submodules.reset = ResetSynchronizer(reset, domain="source")
        self._flow.spread_reset(m, ResetSignal("source"), ResetSignal("sync"))

    def _uart_pins(self, platform: Any) -> Any:
        if self._board.uart_pins is not None:
            rx, tx = self._board.uart_pins
            attributes = Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP")
            platform.add_resources(
                [
                    Resource(
                        "uart", 0, Subsignal("rx", Pins(rx, dir="i")), Subsignal("tx", Pins(tx, dir="o")), attributes
                    )
                ]
            )
        return platform.request("uart", 0, dir="-")

    def _show(self, m: Module, platform: Any, shown: dict[Light, Any]) -> None:
        ports: dict[tuple[str, int], Any] = {}
        for light, value in shown.items():
            place = (light.resource, light.number)
            if place not in ports:
                ports[place] = platform.request(*place, dir="-")
            port = getattr(ports[place], light.color) if light.color else ports[place]
            name = f"{light.resource}_{light.number}{light.color}"
            m.submodules[name] = led = io.Buffer(io.Direction.Output, port)
            m.d.comb += led.o.eq(value)
