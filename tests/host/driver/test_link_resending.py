"""What the link sends again and when, what it counts, and how soon it gives up."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
from link_line import LIMITS, Line, assert_each_ran_once, clean, clean_link, connect, fake_core, run_all, runs, spoiler

from opzo.host.driver import link as link_module
from opzo.host.driver.devices import KINDS, DeviceKind, connection
from opzo.host.driver.link import Link
from opzo.sim.golden.link import GoldenLink
from opzo.spec.commands import NAK, NAK_PAYLOAD, Command, NakReason, RunFlag
from opzo.spec.errors import LinkError
from opzo.spec.frames import Frame, Unescape


class Recorder:
    """Passes bytes on, and keeps the frames in them."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self._unescape = Unescape()

    def __call__(self, data: bytes) -> bytes:
        self.frames += [frame for body in self._unescape.feed(data) if body and (frame := Frame.decode(body))]
        return data


@pytest.mark.parametrize("first", [7, 254, 255])
def test_only_frames_from_the_one_asked_for_are_sent_again(first: int) -> None:
    link, _, line = clean_link(patience=60)
    link._seq = first
    line.to = lambda data: b""
    for label in range(2):
        link.start_run(RunFlag.TRAIN, label, b"")
    sent = Recorder()
    line.to = lambda data: (sent(data), b"")[1]
    asked = (first + 1) % 256
    line.arrived = Frame(asked, NAK, NAK_PAYLOAD.pack(NakReason.MALFORMED, asked)).encode()
    link._await(lambda: bool(sent.frames))
    assert [frame.seq for frame in sent.frames] == [asked]
    assert link.repeats == 1


def test_frames_in_both_directions_are_counted() -> None:
    link, _, line = clean_link()
    sent, received = Recorder(), Recorder()
    line.to, line.back = sent, received
    before = link.quality.frames
    run_all(link, runs(7, np.random.default_rng(0)))
    link.call(Command.RESET)
    assert len(sent.frames) > 8
    assert link.quality.frames - before == len(sent.frames) + len(received.frames)
    assert link.quality.damaged == 0


def test_a_new_session_begins_without_the_rest_of_a_frame() -> None:
    link, _, line = clean_link()
    line.read = lambda timeout: line.arrived  # type: ignore[method-assign]
    line.back = lambda data: data + b"\xc0half a frame"
    reply = link.start(Command.RESET)
    link.finish(reply)
    line.back, line.arrived = clean, b""
    del line.read
    link.renew()
    assert link.identity.limits == LIMITS
    assert link.quality.damaged == 0


class Impatient(Line):
    """A line on which it is an error to wait."""

    def read(self, timeout: float) -> bytes:
        assert self.arrived, "the link waits for what it has not sent"
        return super().read(timeout)


def test_a_line_that_is_back_gets_unanswered_frames_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "REOPEN_PAUSE", 0.0)
    core = fake_core()
    device = GoldenLink(core)
    lines = [kind(device, to=clean, back=clean) for kind in (Line, Impatient)]
    waiting: Iterator[Line] = iter(lines)
    link = connect(lambda: next(waiting), reopens=True, patience=60)

    def unplug(data: bytes) -> bytes:
        raise OSError("unplugged")

    lines[0].to = unplug
    link.call(Command.RESET)
    assert link.repeats == 1


class Falls:
    """A transport that answers to SYNC and then nothing, whose waits pass by a clock of its own."""

    seconds = 0.0

    def __init__(self, *_: object) -> None:
        self._line = Line(GoldenLink(fake_core()), to=clean, back=clean)
        self._writes = 0

    def write(self, data: bytes) -> None:
        self._writes += 1
        if self._writes == 1:
            self._line.write(data)

    def read(self, timeout: float) -> bytes:
        if not self._line.arrived:
            Falls.seconds += timeout
        return self._line.read(timeout)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("device", "seconds"), [("golden", 99), ("netlist:build", 60), ("serial:/dev/test", 20)])
def test_a_device_that_stopped_answering_is_given_up_in_time(
    device: str, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = device.partition(":")[0]
    kind = KINDS[name]
    monkeypatch.setitem(KINDS, name, DeviceKind(f"{__name__}:Falls", kind.address, slow=kind.slow))
    monkeypatch.setattr(link_module.time, "monotonic", lambda: Falls.seconds)
    link = Link(connection(device, LIMITS))
    begin = Falls.seconds
    with pytest.raises(LinkError, match="has stopped answering; check cable and power"):
        link.call(Command.RESET)
    assert Falls.seconds - begin == pytest.approx(seconds, rel=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_a_host_that_is_held_up_gives_up_no_noisy_line(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock jumps by up to 0.5 s, much more than the link's patience, while replies are already there."""
    random = np.random.default_rng(seed)

    class Clock:
        passed = 0.0

        def monotonic(self) -> float:
            if random.random() < 0.3:
                self.passed += random.random() / 2
            return time.monotonic() + self.passed

        def sleep(self, seconds: float) -> None:
            self.passed += seconds

    link_clock = Clock()
    core = fake_core()
    line = Line(GoldenLink(core), to=clean, back=clean)
    link = connect(lambda: line)
    monkeypatch.setattr(link_module, "time", link_clock)
    monkeypatch.setattr(link_module, "ATTEMPTS", 1000)
    line.to = line.back = spoiler(random, 1 / 2000)
    given = runs(30, random)
    assert_each_ran_once(core, given, run_all(link, given), fake_core())
