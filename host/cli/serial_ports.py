"""Serial ports of this machine and the boards that may be behind them."""

from dataclasses import dataclass

from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from opzo.boards.board import Board
from opzo.boards.registry import BOARDS
from opzo.boards.usb import guess_boards, is_programming_channel
from opzo.host.driver.serial_port import DEFAULT_BAUD


@dataclass(frozen=True)
class Port:
    """A serial port.

    Attributes
    ----------
    path, description, manufacturer, product, serial_number : str
        '' where unknown.
    vid, pid : int or None
        USB ids.
    programming : bool
        Whether it is the channel for programming its board, on which no device answers.
    boards : list of Board
        Boards that it may belong to, the most likely first.
    """

    path: str
    description: str
    manufacturer: str
    product: str
    serial_number: str
    vid: int | None
    pid: int | None
    programming: bool
    boards: list[Board]

    @property
    def bauds(self) -> list[int]:
        """Baud rates to probe: those of its boards, else those of boards that need an adapter."""
        boards = self.boards or [board for board in BOARDS if not board.bridge]
        return list(dict.fromkeys([board.baud for board in boards] + [DEFAULT_BAUD] * (not self.boards)))

    def device(self, baud: int | None = None) -> str:
        """Device string, with ``baud`` or the most likely baud rate."""
        rate = baud or (self.boards[0].baud if self.boards else DEFAULT_BAUD)
        return f"serial:{self.path}" + (f"@{rate}" if rate != DEFAULT_BAUD else "")


def find_ports() -> list[Port]:
    """All serial ports, sorted by path."""
    return [_port(info) for info in sorted(list_ports.comports(), key=lambda info: info.device)]


def _port(info: ListPortInfo) -> Port:
    manufacturer, product = info.manufacturer or "", info.product or ""
    description = "" if info.description in (None, "n/a") else info.description
    programming = is_programming_channel(info.vid, info.pid, info.location)
    boards = guess_boards(info.vid, info.pid, f"{manufacturer} {product} {description}")
    return Port(
        *(info.device, description, manufacturer, product, info.serial_number or ""),
        *(info.vid, info.pid, programming, boards),
    )
