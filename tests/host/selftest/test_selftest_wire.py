"""The wire of the self-test against devices that never stop sending."""

import pytest

from opzo.host.selftest import wire
from opzo.host.selftest.mismatch import MismatchError
from opzo.host.selftest.wire import Wire
from opzo.sim.model_transport import golden
from opzo.spec.commands import Command
from opzo.spec.frames import Frame
from opzo.spec.limits import Limits

LIMITS = Limits(lanes=4, rows=64, inputs=16, words=4, classes=4)


class Chatter:
    """A device that sends the same bytes for ever."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def write(self, data: bytes) -> None:
        """Ignore ``data``."""

    def read(self, timeout: float) -> bytes:
        """The bytes."""
        return self.data

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "SILENCE", 0.05)
    monkeypatch.setattr(wire, "EXTRA", 0.01)


@pytest.mark.timeout(8)
def test_bytes_without_a_frame_are_no_reply() -> None:
    device = Wire(Chatter(b"garbage"), golden(LIMITS))
    with pytest.raises(MismatchError, match=r"reply to a reset: expected .*, got nothing"):
        device.call("a reset", Command.RESET)
    device.finish()


@pytest.mark.timeout(8)
def test_frames_that_nobody_asked_for_are_told() -> None:
    device = Wire(Chatter(Frame(7, Command.RESET).encode()), golden(LIMITS))
    with pytest.raises(MismatchError, match="after the last reply: expected nothing, got seq 7, RESET"):
        device.finish()
