"""Whether an opzo device answers at a serial port, and at which baud rate."""

import secrets
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from opzo.host.driver.serial_port import SerialTransport
from opzo.spec.commands import REPLY, Command
from opzo.spec.errors import OpzoError
from opzo.spec.frames import Frame, Unescape
from opzo.spec.protocol import MAGIC, Identity

PROBE_SECONDS = 0.5
"""For which an answer is waited for at each baud rate."""


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


def probe(path: str, bauds: Sequence[int]) -> Answer:
    """Ask at each baud rate which device is at a serial port; takes PROBE_SECONDS a rate at most.

    A session that another program has with the device ends.
    """
    for baud in bauds:
        try:
            reply = _ask(path, baud)
        except (OSError, OpzoError) as error:
            return Answer(None, None, str(error))
        if reply is not None:
            return _read(baud, reply)
    return Answer(None, None, f"no answer at {', '.join(map(str, bauds))} baud")


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
