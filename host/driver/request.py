"""A command to the device, from its first transmission to its reply."""

from opzo.spec.commands import Command, Status
from opzo.spec.errors import LinkError
from opzo.spec.frames import Frame


class Request:
    """One numbered command frame and, once it has arrived, its reply.

    Each of ``payloads`` after the first is shorter than the one before and replaces it in a repetition.

    Attributes
    ----------
    wire : bytes
        The frame as it is sent.
    shortened : int
        Index of the payload that was sent last.
    reply : bytes or None
        Payload of the reply, with its status.
    """

    def __init__(self, seq: int, command: Command, *payloads: bytes) -> None:
        self.seq, self.command = seq, command
        self._payloads = payloads
        self.wire = Frame(seq, command, payloads[0]).encode()
        self.shortened = 0
        self.reply: bytes | None = None

    def shorten(self) -> None:
        """Switch to the next payload, if there is one."""
        if self.shortened + 1 < len(self._payloads):
            self.shortened += 1
            self.wire = Frame(self.seq, self.command, self._payloads[self.shortened]).encode()

    @property
    def data(self) -> bytes:
        """Payload of the reply after its status; LinkError where the device refused."""
        if not self.reply:
            raise LinkError(f"the device answered {self.command.name} without a status; reset it and try again")
        if self.reply[0] != Status.OK:
            known = self.reply[0] in Status._value2member_map_
            status = Status(self.reply[0]).name if known else f"status {self.reply[0]}"
            raise LinkError(f"the device refused {self.command.name}: {status}")
        return self.reply[1:]
