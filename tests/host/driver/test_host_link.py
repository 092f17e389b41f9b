"""The host's side of the link against a device behind a bad line."""

import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from link_line import (
    LIMITS,
    PATIENCE,
    Line,
    assert_each_ran_once,
    clean,
    clean_link,
    connect,
    fake_core,
    run_all,
    runs,
    spoiler,
)

from opzo.host.driver import link as link_module
from opzo.sim.golden.link import GoldenLink
from opzo.spec.commands import NAK, REPLY, Command, RunFlag
from opzo.spec.errors import LinkError, OpzoError
from opzo.spec.events import encode_events
from opzo.spec.frames import Frame, Unescape
from opzo.spec.protocol import IDENTITY, VERSION, Identity
from opzo.spec.registers import Reg
from opzo.spec.rules import Input


@pytest.mark.parametrize("where", ["to", "back", "both"])
@pytest.mark.parametrize(
    ("seed", "kind"), [(0, Input.FRAME), (1, Input.FRAME), (2, Input.SPIKES), (3, Input.SPIKES), (4, Input.GRADED)]
)
def test_every_run_is_done_once_and_in_order_over_a_bad_line(
    where: str, seed: int, kind: Input, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "ATTEMPTS", 1000)
    random = np.random.default_rng(seed)
    core = fake_core(kind)
    line = Line(GoldenLink(core), to=clean, back=clean)
    link = connect(lambda: line)
    bad = spoiler(random, 1 / 2000)
    if where != "back":
        line.to = bad
    if where != "to":
        line.back = bad
    given = runs(70, random, kind)
    answers = run_all(link, given, kind)
    assert_each_ran_once(core, given, answers, fake_core(kind))


@pytest.mark.parametrize("kind", list(Input))
def test_pairs_of_bytes_stay_together_where_a_payload_is_odd(kind: Input) -> None:
    core = fake_core(kind)
    line = Line(GoldenLink(core), to=clean, back=clean)
    link = connect(lambda: line)
    link.identity = replace(link.identity, max_payload=255)
    given = runs(7, np.random.default_rng(5), kind)
    assert_each_ran_once(core, given, run_all(link, given, kind), fake_core(kind))


def test_bytes_of_runs_are_those_of_their_frames_before_escaping() -> None:
    link, _, line = clean_link()
    unescape, bodies = Unescape(), []

    def seen(data: bytes) -> bytes:
        bodies.extend(unescape.feed(data))
        return data

    line.to = seen
    run_all(link, runs(7, np.random.default_rng(6)))
    assert len(bodies) > 7
    # Each frame has an END before and after it.
    assert link.bytes_sent == sum(len(body) + 2 for body in bodies)


def test_no_more_runs_underway_than_credits() -> None:
    link, _, line = clean_link()
    held: list[bytes] = []
    line.back = lambda data: (held.append(data), b"")[1]
    link.start_run(RunFlag.TRAIN, 0, b"")
    link.start_run(RunFlag.TRAIN, 1, b"")
    line.back = lambda data: (data, held.append(b""))[0]
    assert link._running() == link.identity.credits == 2
    line.arrived = held[0]
    link.start_run(RunFlag.TRAIN, 2, b"")
    assert link._running() <= 2


def test_call_is_sent_only_after_all_runs_are_answered() -> None:
    link, core, line = clean_link()
    first = link.start_run(RunFlag.TRAIN, 3, b"")
    answered_when_sent: list[bool] = []

    def watch(data: bytes) -> bytes:
        answered_when_sent.append(first.reply is not None)
        return data

    line.to = watch
    link.call(Command.WRITE_REGISTERS, b"\x06" + struct.pack("<I", 84))
    assert answered_when_sent == [True]
    assert core.read_register(Reg.RATE) == 84


def test_error_reply_may_overtake_an_earlier_result() -> None:
    link, _, line = clean_link()
    early: list[bytes] = []
    line.back = lambda data: (early.append(data), b"")[1]
    good = link.start_run(RunFlag.TRAIN, 1, b"")
    line.back = clean
    bad = link.start_run(RunFlag.TRAIN, 9, b"")
    with pytest.raises(LinkError, match="refused RUN: BAD_LABEL"):
        link.finish(bad)
    assert good.reply is None
    line.arrived += early[0]
    assert len(link.finish(good)) == 5


def test_lost_session_tells_that_training_resumes_from_the_checkpoint() -> None:
    link, core, line = clean_link()
    line.device = GoldenLink(core)
    with pytest.raises(LinkError, match=r"lost its session.*checkpoint"):
        link.call(Command.RESET)


def test_silent_device_ends_in_a_link_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "ATTEMPTS", 3)
    link, _, line = clean_link()
    line.back = lambda data: b""
    with pytest.raises(LinkError, match="stopped answering; check cable"):
        link.call(Command.RESET)


def test_device_that_only_chatters_ends_in_a_link_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "ATTEMPTS", 2)
    link, _, line = clean_link()
    line.read = lambda timeout: b"garbage"  # type: ignore[method-assign]
    with pytest.raises(LinkError, match="stopped answering"):
        link.call(Command.RESET)


def test_device_that_asks_for_the_same_frame_for_ever_ends_in_a_link_error() -> None:
    link, _, line = clean_link()
    line.to = lambda data: data[:5] + bytes((data[5] ^ 1,)) + data[6:]
    with pytest.raises(LinkError, match="receives only damaged frames; check cable and baud rate"):
        link.call(Command.RESET)


def test_broken_transport_is_opened_again_within_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "REOPEN_PAUSE", 0.0)
    core = fake_core()
    device = GoldenLink(core)
    opened: list[Line] = []

    def open_line() -> Line:
        if len(opened) == 3:
            opened.append(Line(device, to=clean, back=clean))
            raise OpzoError("not back yet")
        opened.append(Line(device, to=clean, back=clean))
        return opened[-1]

    def unplug(data: bytes) -> bytes:
        raise OSError("unplugged")

    link = connect(open_line, reopens=True)
    given = runs(9, np.random.default_rng(0))
    answers = run_all(link, given[:3])
    opened[0].to = unplug
    answers += run_all(link, given[3:6])
    # The second time the device has trained before the line breaks: its answers are lost, not its work.
    opened[1].back = unplug
    answers += run_all(link, given[6:])
    assert_each_ran_once(core, given, answers, fake_core())
    assert link.repeats > 0
    assert opened[0].closed
    assert opened[1].closed


def test_broken_transport_that_stays_away_ends_in_a_link_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "REOPEN_PAUSE", 0.0)
    core = fake_core()
    line = Line(GoldenLink(core), to=clean, back=clean)
    lines = iter([line])

    def open_line() -> Line:
        try:
            return next(lines)
        except StopIteration:
            raise OpzoError("no device at /dev/test") from None

    link = connect(open_line, reopens=True)

    def unplug(data: bytes) -> bytes:
        raise OSError("unplugged")

    line.to = unplug
    with pytest.raises(LinkError, match=r"unplugged.*did not come back"):
        link.call(Command.RESET)


class Impostor:
    """Something that answers SYNC with whatever it likes."""

    def __init__(self, answer: Callable[[Frame], bytes]) -> None:
        self.answer = answer
        self.unescape = Unescape()
        self.arrived = b""

    def write(self, data: bytes) -> None:
        for body in self.unescape.feed(data):
            frame = Frame.decode(body or b"")
            assert frame is not None
            self.arrived += self.answer(frame)

    def read(self, timeout: float) -> bytes:
        data, self.arrived = self.arrived, b""
        return data

    def close(self) -> None:
        pass


def identity_reply(identity: Identity) -> Callable[[Frame], bytes]:
    return lambda frame: Frame(frame.seq, Command.SYNC | REPLY, b"\0" + identity.pack()).encode()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (identity_reply(replace(Identity.of(LIMITS), version=1)), f"protocol version 1, this opzo {VERSION}"),
        (identity_reply(replace(Identity.of(LIMITS), credits=0)), r"sent an invalid identity \(0 credits"),
        (identity_reply(replace(Identity.of(LIMITS), max_payload=5)), "payloads of up to 5 bytes"),
        (identity_reply(replace(Identity.of(LIMITS), lanes=5)), "sent an invalid identity .*program it again"),
        (
            identity_reply(replace(Identity.of(LIMITS), magic=7)),
            "not an opzo device: unexpected magic number 0x00000007",
        ),
        (
            lambda frame: Frame(frame.seq, Command.SYNC | REPLY, b"\0" + Identity.of(LIMITS).pack()[:-1]).encode(),
            f"identity of {IDENTITY.size - 1} bytes instead of {IDENTITY.size}",
        ),
        (lambda frame: Frame(frame.seq, Command.SYNC | REPLY, b"").encode(), "not an opzo device"),
        (lambda frame: b"login: ", "answers, but not as an opzo device"),
        (lambda frame: b"", "does not answer; is the board programmed"),
    ],
)
def test_refuses_what_is_no_device_of_this_version(
    answer: Callable[[Frame], bytes], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "SYNC_PATIENCE", PATIENCE)
    monkeypatch.setattr(link_module, "SYNC_ATTEMPTS", 2)
    with pytest.raises(OpzoError, match=message) as caught:
        connect(lambda: Impostor(answer), reopens=True)
    assert not isinstance(caught.value, LinkError)


def test_sync_ignores_what_an_earlier_session_left_on_the_line() -> None:
    core = fake_core()
    line = Line(GoldenLink(core), to=clean, back=clean)
    stale = Frame(3, Command.RUN | REPLY, b"\0\1\0\0\0\0").encode() + Frame(3, NAK, bytes((2, 3))).encode()
    line.arrived = b"\xdb\x01half a frame" + stale
    assert connect(lambda: line).identity == Identity.of(LIMITS)


def test_answers_to_frames_behind_a_lost_one_do_not_multiply_what_is_sent() -> None:
    # On a busy machine a short patience ends before the device has answered.
    link, _, line = clean_link(patience=60)
    sent: list[Frame] = []
    unescape = Unescape()

    def spoil_first(data: bytes) -> bytes:
        frames = [Frame.decode(body) for body in unescape.feed(data) if body]
        sent.extend(frame for frame in frames if frame is not None)
        return data if len(sent) > 1 else data[:5] + b"\x55" + data[6:]

    line.to = spoil_first
    pairs = encode_events([(address, 1) for address in range(1200)])
    link.finish(link.start_run(RunFlag.TRAIN, 0, pairs))
    # EVENTS, EVENTS, RUN, and the three of them once more.
    assert len(sent) == 6


def test_a_device_that_asks_for_frames_again_has_not_stopped_answering() -> None:
    """Each frame is lost, then damaged on its way, more often than silence is borne."""
    link, core, line = clean_link()
    fates = iter(
        2 * link_module.ATTEMPTS * [lambda data: b"", lambda data: data[:3] + bytes((data[3] ^ 1,)) + data[4:]]
    )
    line.to = lambda data: next(fates, clean)(data)
    link.call(Command.WRITE_REGISTERS, struct.pack("<BI", Reg.RATE, 7))
    assert core.read_register(Reg.RATE) == 7
    assert next(fates, None) is None
