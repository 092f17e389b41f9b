"""Trial runs of work that does not end, or that ends the process."""

import faulthandler
import signal
import time

import pytest

from opzo.spec.errors import OpzoError
from opzo.system import probe

SECONDS = 20
"""The machine of a test may be busy."""


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "SECONDS", 2)


def test_work_without_an_end_is_ended() -> None:
    def circle() -> None:
        while True:
            pass

    begin = time.monotonic()
    with pytest.raises(OpzoError, match="x: reading it takes more than 2 s; the file is damaged"):
        probe.probe("x", 0, circle)
    assert time.monotonic() - begin < SECONDS


def test_crash_is_told_and_exceptions_are_left_for_later() -> None:
    def crash() -> None:
        # pytest's, which would print the stack in the middle of the tests' output.
        faulthandler.disable()
        signal.raise_signal(signal.SIGSEGV)

    with pytest.raises(OpzoError, match="x: reading it ends in SIGSEGV; the file is damaged"):
        probe.probe("x", 0, crash)
    probe.probe("x", 0, lambda: 1 / 0)
