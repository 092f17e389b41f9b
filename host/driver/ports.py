"""Serial ports of this machine: what they are, which board it may be, and whether an opzo device answers there."""

import secrets
import struct
import time
from dataclasses import dataclass

from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from opzo.boards.board import Board
from opzo.boards.registry import BOARDS
from opzo.boards.usb import guess_boards, is_programming_channel
from opzo.host.driver.serial_port import DEFAULT_BAUD, SerialTransport
from opzo.spec.commands import REPLY, Command
from opzo.spec.errors import OpzoError
from opzo.spec.frames import Frame, Unescape
from opzo.spec.protocol import MAGIC, Identity

PROBE_SECONDS = 0.5
"""For which an answer is waited for at each baud rate."""


@dataclass(frozen=True)
class Port:
    """A serial port.

    Attributes
    ----------
    path, description, manufacturer, product, serial_number : str
        '' where there is none.
    vid, pid : int or None
        USB ids.
    programming : bool
        Whether it is the channel by which its board is programmed: nothing answers there.
    boards : list of Board
        What it may be, the likeliest first.
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
        """Rates at which a device may be there: those of its boards, else of boards that need an adapter."""
        boards = self.boards or [board for board in BOARDS if not board.bridge]
        return list(dict.fromkeys([board.baud for board in boards] + [DEFAULT_BAUD] * (not self.boards)))

    def device(self, baud: int | None = None) -> str:
        """Device string, for a rate or for the likeliest one."""
        rate = baud or (self.boards[0].baud if self.boards else DEFAULT_BAUD)
        return f"serial:{self.path}" + (f"@{rate}" if rate != DEFAULT_BAUD else "")


def find_ports() -> list[Port]:
    """Serial ports in order of their paths."""
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


@dataclass(frozen=True)
class Answer:
    """What came of asking at a port.

    Attributes
    ----------
    baud : int or None
        Rate at which an opzo device answered.
    identity : Identity or None
        What it said; None for one of another protocol version.
    text : str
        The same in a few words, or why there is no answer.
    """

    baud: int | None
    identity: Identity | None
    text: str


def probe(port: Port) -> Answer:
    """Ask who is there at each rate that it may have; takes PROBE_SECONDS a rate at most.

    A session that another program has with the device ends.
    """
    for baud in port.bauds:
        try:
            reply = _ask(port.path, baud)
        except (OSError, OpzoError) as error:
            return Answer(None, None, str(error))
        if reply is not None:
            return _read(baud, reply)
    return Answer(None, None, f"no answer at {', '.join(map(str, port.bauds))} baud")


def _ask(path: str, baud: int) -> bytes | None:
    """Payload of the reply to SYNC after its status; None without one in time."""
    transport = SerialTransport(path, baud, write_timeout=PROBE_SECONDS)
    try:
        sync = Frame(secrets.randbelow(256), Command.SYNC, struct.pack("<I", secrets.randbits(32)))
        transport.write(sync.encode())
        unescape, deadline = Unescape(), time.monotonic() + PROBE_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            for body in unescape.feed(transport.read(left)):
                frame = None if body is None else Frame.decode(body)
                if frame is not None and (frame.seq, frame.code) == (sync.seq, Command.SYNC | REPLY):
                    return frame.data[1:]
        return None
    finally:
        transport.close()


def _read(baud: int, reply: bytes) -> Answer:
    magic, version = struct.unpack_from("<IH", reply.ljust(6, b"\0"))
    if magic != MAGIC:
        return Answer(None, None, f"a device that calls itself {magic:#010x} answers")
    try:
        identity = Identity.unpack(reply)
        limits = identity.limits
    except (struct.error, OpzoError):
        return Answer(baud, None, f"an opzo device of protocol version {version} answers")
    return Answer(
        baud,
        identity,
        f"an opzo device answers: {limits.lanes} lanes, {limits.rows * limits.lanes:,} weights of "
        f"{limits.weight_bits} bits, protocol {version}",
    )
