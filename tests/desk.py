"""A golden link to which tests send single frames."""

from opzo.sim.benches.fake_core import FakeCore
from opzo.sim.benches.traffic import TEST_LIMITS, frames
from opzo.sim.golden.link import GoldenLink
from opzo.spec.commands import NAK, REPLY, Command, NakReason, RunFlag, Status
from opzo.spec.frames import Frame
from opzo.spec.registers import Reg

OK = bytes((Status.OK,))
NONE = RunFlag(0)


class Desk:
    """A golden link; `begin` opens a session, `call` sends the next frame in order."""

    def __init__(self) -> None:
        self.core = FakeCore(TEST_LIMITS)
        self.link = GoldenLink(self.core, clock_khz=25_000)

    def begin(self, seq: int = 99, nonce: int = 5) -> "Desk":
        self.ask(Frame(seq, Command.SYNC, nonce.to_bytes(4, "little")))
        self.core.write_register(Reg.CLASSES, TEST_LIMITS.classes)
        self.core.write_register(Reg.INPUTS, TEST_LIMITS.inputs)
        self.core.writes.clear()
        return self

    def ask(self, frame: Frame) -> Frame | None:
        replies = frames(self.link.feed(frame.encode()))
        assert len(replies) <= 1
        return replies[0] if replies else None

    def call(self, code: int, data: bytes = b"") -> bytes:
        seq = self.link.expected
        reply = self.ask(Frame(seq, code, data))
        assert reply is not None
        assert (reply.seq, reply.code) == (seq, code | REPLY)
        assert self.link.expected == (seq + 1) % 256
        return reply.data


def u32(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "little") for value in values)


def nak(reason: NakReason, expected: int) -> Frame:
    return Frame(expected, NAK, bytes((reason, expected)))
