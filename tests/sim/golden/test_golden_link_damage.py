"""The golden link on a channel that damages, cuts and drops bytes."""

from collections.abc import Callable
from random import Random

import pytest
from desk import OK, Desk, nak, u32
from hypothesis import given, settings
from hypothesis import strategies as st

from opzo.sim.benches.fake_core import FakeCore, FakeRun
from opzo.sim.benches.traffic import TEST_LIMITS, Traffic, frames, is_run_reply
from opzo.sim.golden.link import GoldenLink
from opzo.spec.commands import NAK, REPLY, Command, NakReason, RunFlag
from opzo.spec.events import encode_events
from opzo.spec.frames import END, ESC, MAX_PAYLOAD, Frame, Unescape
from opzo.spec.protocol import REPLAY


@pytest.mark.parametrize(
    "damage", [lambda w: w[:-2] + w[-1:], lambda w: w[:5] + b"\0" + w[5:], lambda w: w[:4] + w[-1:]]
)
def test_malformed_frames_are_only_nakked(damage: Callable[[bytes], bytes]) -> None:
    desk = Desk().begin(0)
    wire = Frame(1, Command.RUN, b"\1\0" + encode_events([(1, 1)])).encode()
    assert frames(desk.link.feed(damage(wire))) == [nak(NakReason.MALFORMED, 1)]
    assert desk.core.runs == []
    assert desk.call(Command.EVENTS, bytes(MAX_PAYLOAD)) == OK
    assert desk.ask(Frame(2, Command.EVENTS, bytes(MAX_PAYLOAD + 2))) == nak(NakReason.MALFORMED, 2)


@given(st.integers(0, 1 << 32), st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_replies_do_not_depend_on_how_bytes_are_cut(seed: int, longest: int) -> None:
    rng = Random(seed)
    traffic = Traffic(rng)
    exchanges = traffic.begin() + [traffic.hostile() for _ in range(20)]
    sent = b"".join(exchange.sent for exchange in exchanges)
    core = FakeCore(TEST_LIMITS)
    link = GoldenLink(core)
    answered = b""
    while sent:
        size = rng.randint(1, longest)
        answered += link.feed(sent[:size])
        sent = sent[size:]
    assert answered == b"".join(exchange.answered for exchange in exchanges)
    assert core.runs == traffic.core.runs


@given(st.lists(st.one_of(st.binary(max_size=40), st.lists(st.sampled_from((END, ESC, 1)), max_size=9).map(bytes))))
@settings(deadline=None)
def test_any_bytes_are_survived(pieces: list[bytes]) -> None:
    desk = Desk()
    for piece in pieces:
        for frame in frames(desk.link.feed(piece)):
            assert frame.code == NAK
    # What is left of a last piece ends with the END that begins the next frame.
    answered = frames(desk.link.feed(Frame(3, Command.SYNC, u32(1)).encode()))
    assert answered[-1].code == Command.SYNC | REPLY
    assert desk.begin(nonce=2).call(Command.RUN, b"\0\0")[:1] == OK
    assert len(desk.core.runs) == 1


@given(st.integers(0, 1 << 32))
@settings(max_examples=60, deadline=None)
def test_runs_are_those_answered(seed: int) -> None:
    traffic = Traffic(Random(seed))
    exchanges = traffic.begin() + [traffic.hostile() for _ in range(100)]
    replies = frames(b"".join(exchange.answered for exchange in exchanges))
    # Losses are hashes of all runs so far: two different runs have different replies.
    assert len({frame.data for frame in replies if is_run_reply(frame)}) == len(traffic.core.runs)


@given(st.integers(0, 1 << 32), st.floats(0, 0.4))
@settings(max_examples=60, deadline=None)
def test_each_run_is_done_once_over_a_channel_that_damages(seed: int, badness: float) -> None:
    rng = Random(seed)
    desk = Desk().begin(rng.randrange(256))
    runs = [
        FakeRun(((k % 200, 1 + k % 255), (k % 200 + 50, 7)), k % TEST_LIMITS.classes, RunFlag.TRAIN) for k in range(30)
    ]
    sent = []
    for k, run in enumerate(runs):
        pairs = encode_events(list(run.events))
        sent.append(Frame((desk.link.expected + 2 * k) % 256, Command.EVENTS, pairs[:2]))
        sent.append(Frame((desk.link.expected + 2 * k + 1) % 256, Command.RUN, bytes((1, run.label)) + pairs[2:]))
    answers = deliver(rng, badness, desk.link, sent)
    assert desk.core.runs == runs
    reference = Desk().begin((sent[0].seq - 1) % 256)
    assert answers == [reference.ask(frame) for frame in sent]


def deliver(rng: Random, badness: float, link: GoldenLink, sent: list[Frame]) -> list[Frame | None]:
    """Send ``sent`` as a host does that keeps up to REPLAY frames unanswered and goes back where it gets no answer."""
    answers: list[Frame | None] = [None] * len(sent)
    unescape = Unescape()
    first = 0
    for _ in range(5000):
        window = range(first, min(first + REPLAY, len(sent)))
        wire = b"".join(damage(rng, badness, sent[k].encode()) for k in window if answers[k] is None)
        for body in unescape.feed(damage(rng, badness, link.feed(wire))):
            reply = Frame.decode(body) if body else None
            for k in window:
                if reply is not None and (reply.seq, reply.code) == (sent[k].seq, sent[k].code | REPLY):
                    answers[k] = reply
        while first < len(sent) and answers[first] is not None:
            first += 1
        if first == len(sent):
            return answers
    raise AssertionError("the host got no answer")


def damage(rng: Random, badness: float, wire: bytes) -> bytes:
    """Lose, cut, change, repeat or follow with noise, each with a probability of ``badness`` / 4."""
    if rng.random() < badness / 4:
        return b""
    if rng.random() < badness / 4:
        wire = wire[: rng.randrange(len(wire) + 1)]
    if wire and rng.random() < badness / 4:
        where = rng.randrange(len(wire))
        wire = wire[:where] + rng.randbytes(1) + wire[where + 1 :]
    if rng.random() < badness / 4:
        wire += wire
    if rng.random() < badness / 4:
        wire += bytes(rng.choices((END, ESC, 0, 3), k=3))
    return wire
