"""Pins of a board's FPGA by function, by which the simulation of a netlist finds clock, UART and LEDs."""

from dataclasses import dataclass
from typing import Any

from amaranth.build import Pins, Subsignal

from opzo.boards.board import Board


@dataclass(frozen=True)
class Pin:
    """Pin of the FPGA's package: its name, and whether it is active low."""

    site: str
    inverted: bool


def board_pins(board: Board) -> dict[str, Pin]:
    """Pins called oscillator, rx, tx, link, training, error and, on a board with a reset button, button."""
    platform = board.platform()

    def find(resource: str, number: int = 0, part: str = "") -> Pin:
        (pins,) = (pins for name, pins in _pins(platform.lookup(resource, number)) if name == part)
        (site,) = pins.map_names(platform._conn_pins, resource)
        return Pin(site, bool(pins.invert))

    if board.uart_pins is None:
        found = {name: find("uart", 0, name) for name in ("rx", "tx")}
    else:
        names = zip(("rx", "tx"), board.uart_pins, strict=True)
        found = {name: Pin(platform._conn_pins.get(site, site), False) for name, site in names}
    found["oscillator"] = find(platform.default_clk)
    if platform.default_rst is not None:
        found["button"] = find(platform.default_rst)
    for name, light in (("link", board.link), ("training", board.training), ("error", board.error)):
        found[name] = find(light.resource, light.number, light.color)
    return found


def _pins(resource: Any) -> list[tuple[str, Any]]:
    """Name of each part of a resource, '' for the resource itself, and its pins."""
    parts = [part for part in resource.ios if isinstance(part, Pins | Subsignal)]
    return [("", part) if isinstance(part, Pins) else _named(part) for part in parts]


def _named(part: Any) -> tuple[str, Any]:
    return part.name, part.ios[0]
