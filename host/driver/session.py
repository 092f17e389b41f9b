"""Start of a session with a device: the SYNC command, and the identity in its reply."""

import secrets
import struct
import time
from collections.abc import Callable, Iterable, Iterator

from opzo.host.driver.transport import Transport
from opzo.spec.commands import REPLY, REQUESTS, Command
from opzo.spec.errors import OpzoError
from opzo.spec.frames import Frame, Unescape
from opzo.spec.memories import ENTRY_BYTES
from opzo.spec.protocol import IDENTITY, MAGIC, VERSION, Identity


class ForeignDeviceError(OpzoError):
    """Something answers, but it is not an opzo device."""


class Sync:
    """One SYNC command, which is sent until it is answered. A session that another program has ends with it.

    Attributes
    ----------
    heard : bool
        Whether any byte has arrived.
    """

    def __init__(self, seq: int) -> None:
        self._frame = Frame(seq, Command.SYNC, REQUESTS[Command.SYNC].pack(secrets.randbits(32)))
        self.heard = False

    def send(self, transport: Transport, seconds: float, frames: Callable[[bytes], Iterable[Frame]]) -> bytes | None:
        """Send it and wait for the reply; its payload after the status, None where it does not arrive in time.

        Parameters
        ----------
        seconds : float
            How long to wait.
        frames : callable
            Valid frames that end in the bytes that arrive.

        Raises OSError where the transport breaks.
        """
        deadline = time.monotonic() + seconds
        transport.write(self._frame.encode())
        while (left := deadline - time.monotonic()) > 0:
            data = transport.read(left)
            self.heard |= bool(data)
            for frame in frames(data):
                if (frame.seq, frame.code) == (self._frame.seq, Command.SYNC | REPLY):
                    return frame.data[1:]
        return None


def sync_once(transport: Transport, seconds: float) -> bytes | None:
    """Reply to one SYNC for `read_identity`; None where it does not arrive in time. Raises OSError."""
    unescape = Unescape()

    def frames(data: bytes) -> Iterator[Frame]:
        for body in unescape.feed(data):
            frame = None if body is None else Frame.decode(body)
            if frame is not None:
                yield frame

    return Sync(secrets.randbelow(256)).send(transport, seconds, frames)


def read_identity(reply: bytes, name: str) -> Identity:
    """Identity in a reply to SYNC.

    Raises ForeignDeviceError for what is not an opzo device, OpzoError for one of another version or with an invalid
    identity; ``name`` is that of the device in their messages.
    """
    magic, version = struct.unpack_from("<IH", reply.ljust(6, b"\0"))
    if magic != MAGIC:
        raise ForeignDeviceError(
            f"{name} is not an opzo device: unexpected magic number {magic:#010x}; choose another port"
        )
    if version != VERSION:
        raise OpzoError(
            f"{name} speaks protocol version {version}, this opzo {VERSION}; "
            "program the device and install opzo from the same release"
        )
    if len(reply) != IDENTITY.size:
        raise OpzoError(f"{name} sent an identity of {len(reply)} bytes instead of {IDENTITY.size}; program it again")
    identity = Identity.unpack(reply)
    try:
        row_bytes = ENTRY_BYTES * identity.limits.lanes
    except OpzoError as error:
        raise OpzoError(f"{name} sent an invalid identity ({error}); program it again") from None
    if not identity.credits or identity.max_payload < REQUESTS[Command.WRITE_MEMORY].size + row_bytes:
        raise OpzoError(
            f"{name} sent an invalid identity ({identity.credits} credits, payloads of up to {identity.max_payload} "
            "bytes); program it again"
        )
    return identity
