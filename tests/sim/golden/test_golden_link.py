"""The golden link by hand-made cases, random bytes, and a host behind a channel that loses and damages."""

from collections.abc import Callable

import numpy as np
import pytest
from desk import NONE, OK, Desk, nak, u32

from opzo.sim.benches.fake_core import FakeRun
from opzo.sim.benches.traffic import TEST_LIMITS, ChunkCase, chunk_cases
from opzo.spec.commands import REPLY, Command, NakReason, RunFlag, Status
from opzo.spec.events import encode_events
from opzo.spec.frames import Frame
from opzo.spec.memories import Space
from opzo.spec.protocol import REPLAY, Identity
from opzo.spec.registers import Reg
from opzo.spec.rules import Input

ROW = bytes(2 * TEST_LIMITS.lanes)
INPUT_ROWS = 76
"""Rows of INPUT_HISTORY: 301 inputs, 4 lanes."""


def test_nothing_is_executed_without_a_session() -> None:
    desk = Desk()
    for code in range(256):
        if code != Command.SYNC:
            assert desk.ask(Frame(0, code, b"\x02" + u32(5))) == nak(NakReason.NO_SESSION, 0)
    assert desk.core.writes == []


def test_sync_tells_the_identity_and_sets_the_order() -> None:
    desk = Desk()
    reply = desk.ask(Frame(255, Command.SYNC, u32(77)))
    assert reply == Frame(255, Command.SYNC | REPLY, OK + Identity.of(TEST_LIMITS, 25_000).pack())
    assert (desk.link.expected, desk.link.nonce) == (0, 77)
    assert desk.call(Command.RESET) == OK
    # Its repeat changes nothing; a new nonce does.
    assert desk.ask(Frame(255, Command.SYNC, u32(77))) == reply
    assert desk.link.expected == 1
    assert desk.ask(Frame(9, Command.SYNC, u32(78))) is not None
    assert desk.link.expected == 10


@pytest.mark.parametrize("size", [0, 3, 5])
def test_sync_of_the_wrong_size_changes_nothing(size: int) -> None:
    desk = Desk()
    refused = Frame(4, Command.SYNC | REPLY, bytes((Status.BAD_LENGTH,)))
    assert desk.ask(Frame(4, Command.SYNC, bytes(size))) == refused
    assert desk.link.nonce is None
    desk.begin(20)
    assert desk.ask(Frame(4, Command.SYNC, bytes(size))) == refused
    assert desk.link.expected == 21


def test_a_new_session_discards_the_input_and_the_replies() -> None:
    desk = Desk().begin(10)
    desk.call(Command.EVENTS, encode_events([(3, 4), (400, 1)]))
    desk.ask(Frame(20, Command.SYNC, u32(6)))
    assert desk.ask(Frame(11, Command.EVENTS, encode_events([(3, 4), (400, 1)]))) == nak(NakReason.ORDER, 21)
    assert desk.call(Command.RUN, bytes((0, 1)) + encode_events([(2, 9)]))[:1] == OK
    assert desk.core.runs == [FakeRun(((2, 9),), 1, NONE)]


def test_registers() -> None:
    desk = Desk().begin()
    assert desk.call(Command.WRITE_REGISTERS, bytes((Reg.SAMPLES,)) + u32(0xDEADBEEF, 7)) == OK
    assert desk.call(Command.READ_REGISTERS, bytes((Reg.SAMPLES, 3))) == OK + u32(0xDEADBEEF, 0, 0)
    assert desk.call(Command.WRITE_REGISTERS, bytes((255,)) + u32(1, 2)) == OK
    assert [write[:2] for write in desk.core.writes[-2:]] == [("register", 255), ("register", 0)]
    assert desk.call(Command.READ_REGISTERS, bytes((255, 2))) == OK + u32(0, 2)
    assert len(desk.call(Command.READ_REGISTERS, bytes((0, 255)))) == 1 + 4 * 255
    assert desk.call(Command.WRITE_REGISTERS, bytes((9,))) == OK


def test_memories() -> None:
    desk = Desk().begin()
    lanes = TEST_LIMITS.lanes
    data = np.arange(2 * lanes, dtype="<u2").tobytes()
    first = TEST_LIMITS.rows - 2
    assert desk.call(Command.WRITE_MEMORY, bytes((Space.WEIGHTS,)) + u32(first) + data) == OK
    assert desk.call(Command.READ_MEMORY, bytes((Space.WEIGHTS,)) + u32(first) + b"\x02\0") == OK + data
    for space, rows in (
        (Space.LFSR, 2),
        (Space.MEMBRANE, 2 * TEST_LIMITS.words),
        (Space.HISTORY, TEST_LIMITS.words),
        (Space.INPUT_HISTORY, INPUT_ROWS),
    ):
        whole = b"".join(desk.core.read_row(space, k).astype("<u2").tobytes() for k in range(rows))
        assert desk.call(Command.READ_MEMORY, bytes((space,)) + u32(0) + rows.to_bytes(2, "little")) == OK + whole


TOO_LONG = 32768 // TEST_LIMITS.lanes


@pytest.mark.parametrize(
    ("code", "data", "status"),
    [
        (0, b"", Status.BAD_COMMAND),
        (9, b"123", Status.BAD_COMMAND),
        (0x7F, b"", Status.BAD_COMMAND),
        (Command.RUN | REPLY, b"", Status.BAD_COMMAND),
        (Command.READ_REGISTERS, b"", Status.BAD_LENGTH),
        (Command.READ_REGISTERS, b"\0", Status.BAD_LENGTH),
        (Command.READ_REGISTERS, b"\0\0", Status.BAD_LENGTH),
        (Command.READ_REGISTERS, b"\0\1\0", Status.BAD_LENGTH),
        (Command.WRITE_REGISTERS, b"", Status.BAD_LENGTH),
        (Command.WRITE_REGISTERS, b"\0" * 4, Status.BAD_LENGTH),
        (Command.WRITE_REGISTERS, b"\0" * 6, Status.BAD_LENGTH),
        (Command.READ_MEMORY, b"\0" * 6, Status.BAD_LENGTH),
        (Command.READ_MEMORY, b"\0" * 8, Status.BAD_LENGTH),
        (Command.READ_MEMORY, b"\0" + u32(0) + b"\0\0", Status.BAD_LENGTH),
        (Command.READ_MEMORY, b"\7" + u32(1 << 31) + TOO_LONG.to_bytes(2, "little"), Status.BAD_LENGTH),
        (Command.READ_MEMORY, b"\0" + u32(0) + (TOO_LONG - 1).to_bytes(2, "little"), Status.BAD_ADDRESS),
        (Command.READ_MEMORY, b"\4" + u32(INPUT_ROWS) + b"\1\0", Status.BAD_ADDRESS),
        (Command.READ_MEMORY, b"\5" + u32(0) + b"\1\0", Status.BAD_ADDRESS),
        (Command.READ_MEMORY, b"\xff" + u32(0) + b"\1\0", Status.BAD_ADDRESS),
        (Command.READ_MEMORY, b"\0" + u32(TEST_LIMITS.rows - 1) + b"\2\0", Status.BAD_ADDRESS),
        (Command.READ_MEMORY, b"\0" + u32(0xFFFFFFFF) + b"\1\0", Status.BAD_ADDRESS),
        (Command.READ_MEMORY, b"\1" + u32(2) + b"\1\0", Status.BAD_ADDRESS),
        (Command.READ_MEMORY, b"\2" + u32(2 * TEST_LIMITS.words) + b"\1\0", Status.BAD_ADDRESS),
        (Command.READ_MEMORY, b"\3" + u32(TEST_LIMITS.words) + b"\1\0", Status.BAD_ADDRESS),
        (Command.WRITE_MEMORY, b"\0" * 4, Status.BAD_LENGTH),
        (Command.WRITE_MEMORY, b"\0" + u32(0), Status.BAD_LENGTH),
        (Command.WRITE_MEMORY, b"\0" + u32(0) + ROW[1:], Status.BAD_LENGTH),
        (Command.WRITE_MEMORY, b"\4" + u32(0) + ROW + b"\0", Status.BAD_LENGTH),
        (Command.WRITE_MEMORY, b"\2" + u32(0) + ROW, Status.BAD_ADDRESS),
        (Command.WRITE_MEMORY, b"\3" + u32(0) + ROW, Status.BAD_ADDRESS),
        (Command.WRITE_MEMORY, b"\4" + u32(0) + ROW, Status.BAD_ADDRESS),
        (Command.WRITE_MEMORY, b"\5" + u32(0) + ROW, Status.BAD_ADDRESS),
        (Command.WRITE_MEMORY, b"\0" + u32(TEST_LIMITS.rows) + ROW, Status.BAD_ADDRESS),
        (Command.EVENTS, b"\1", Status.BAD_LENGTH),
        (Command.RUN, b"", Status.BAD_LENGTH),
        (Command.RUN, b"\1", Status.BAD_LENGTH),
        (Command.RUN, b"\1\xff\xff", Status.BAD_LENGTH),
        (Command.RUN, b"\1\xff" + encode_events([(TEST_LIMITS.inputs, 1)]), Status.BAD_EVENT),
        (Command.RUN, bytes((1, TEST_LIMITS.classes)), Status.BAD_LABEL),
        (Command.RESET, b"\0", Status.BAD_LENGTH),
    ],
)
def test_errors_execute_nothing_and_are_answered_again(code: int, data: bytes, status: Status) -> None:
    desk = Desk().begin()
    before = desk.link.expected
    assert desk.call(code, data) == bytes((status,))
    for _ in range(REPLAY - 1):
        desk.call(Command.EVENTS)
    assert desk.ask(Frame(before, code, data)) == Frame(before, code | REPLY, bytes((status,)))
    assert desk.core.runs == []
    assert desk.core.writes == []


def test_an_input_of_several_frames() -> None:
    desk = Desk().begin()
    events = [(0, 1), (7, 255), (280, 3), (299, 192)]
    pairs = encode_events(events)
    assert desk.call(Command.EVENTS, pairs[:2]) == OK
    assert desk.call(Command.EVENTS, pairs[2:6]) == OK
    reply = desk.call(Command.RUN, bytes((RunFlag.TRAIN | RunFlag.OUTPUTS, 5)) + pairs[6:])
    assert desk.core.runs == [FakeRun(tuple(events), 5, RunFlag.TRAIN | RunFlag.OUTPUTS)]
    assert len(reply) == 6 + 4 * TEST_LIMITS.classes
    outputs = np.frombuffer(reply[6:], "<i4")
    assert reply[1] == outputs.argmax()
    # The next run starts from nothing; unknown flags are ignored.
    assert len(desk.call(Command.RUN, bytes((0xFC, 0)) + encode_events([(0, 2)]))) == 6
    assert desk.core.runs[1] == FakeRun(((0, 2),), 0, RunFlag.FRESH | RunFlag.DECISION)


@pytest.mark.parametrize(
    "end",
    [
        lambda desk: desk.call(Command.RESET),
        lambda desk: desk.call(Command.RUN, b"\0"),
        lambda desk: desk.call(Command.RUN, b"\0\xff"),
        lambda desk: desk.call(Command.RUN, b"\0\0\xff\xff"),
    ],
)
def test_a_discarded_input_leaves_nothing(end: Callable[[Desk], bytes]) -> None:
    desk = Desk().begin()
    desk.call(Command.EVENTS, encode_events([(200, 1)]))
    end(desk)
    assert desk.core.runs == []
    assert desk.call(Command.RUN, b"\0\0" + encode_events([(1, 2)]))[:1] == OK
    assert desk.core.runs == [FakeRun(((1, 2),), 0, NONE)]


def test_a_bad_event_is_remembered_and_forgotten_with_its_run() -> None:
    desk = Desk().begin()
    assert desk.call(Command.EVENTS, encode_events([(1, 1), (TEST_LIMITS.inputs, 1)])) == OK
    assert desk.call(Command.EVENTS) == OK
    assert desk.call(Command.RUN, b"\0\0") == bytes((Status.BAD_EVENT,))
    assert desk.call(Command.RUN, b"\0\0")[:1] == OK
    assert desk.core.runs == [FakeRun((), 0, NONE)]


def test_an_events_frame_of_odd_size_appends_nothing() -> None:
    desk = Desk().begin()
    assert desk.call(Command.EVENTS, encode_events([(1, 1)])) == OK
    assert desk.call(Command.EVENTS, encode_events([(5, 1)]) + b"\0") == bytes((Status.BAD_LENGTH,))
    desk.call(Command.RUN, b"\0\0" + encode_events([(0, 2)]))
    assert desk.core.runs == [FakeRun(((1, 1), (2, 2)), 0, NONE)]


@pytest.mark.parametrize("case", chunk_cases(TEST_LIMITS), ids=lambda case: f"{case.kind}-{case.status.name}")
def test_chunks_at_their_bounds(case: ChunkCase) -> None:
    desk = Desk().begin()
    desk.core.write_register(Reg.INPUT, case.kind)
    *events, run = case.commands()
    for command in events:
        assert desk.call(*command) == OK
    reply = desk.call(*run)
    if case.status == Status.OK:
        assert reply[:1] == OK
        assert len(desk.core.runs) == 1
    else:
        assert reply == bytes((case.status,))
        assert desk.core.runs == []
    # Nothing is left of it.
    end = b"\xf0\0" if case.kind == Input.GRADED else b"\xf0"
    assert desk.call(Command.RUN, b"\4\0" + end)[:1] == OK
    assert desk.core.runs[-1] == FakeRun((), 0, RunFlag.FRESH, (0,))


def test_a_chunk_of_several_frames() -> None:
    desk = Desk().begin()
    desk.core.write_register(Reg.INPUT, Input.SPIKES)
    # Step 0: 3, 228; step 1: nothing; step 2: 9, 10, in the middle of a gap cut.
    assert desk.call(Command.EVENTS, bytes((3, 0xE0))) == OK
    assert desk.call(Command.EVENTS, bytes((0, 0xF1, 9))) == OK
    assert desk.call(Command.EVENTS) == OK
    desk.call(Command.RUN, bytes((RunFlag.TRAIN | RunFlag.FRESH, 4, 0, 0xF0)))
    spikes = tuple((address, 1) for address in (3, 228, 9, 10))
    assert desk.core.runs == [FakeRun(spikes, 4, RunFlag.TRAIN | RunFlag.FRESH, (2, 2, 4))]
    desk.core.write_register(Reg.INPUT, Input.GRADED)
    assert desk.call(Command.EVENTS, bytes((3, 200, 0xE0, 0))) == OK
    assert desk.call(Command.EVENTS, bytes((0, 1, 0))) == bytes((Status.BAD_LENGTH,))
    desk.call(Command.RUN, bytes((RunFlag.DECISION, 4, 0, 255, 0xF0, 7)))
    assert desk.core.runs[1] == FakeRun(((3, 200), (228, 255)), 4, RunFlag.DECISION, (2,))


def test_flags_reach_the_core() -> None:
    desk = Desk().begin()
    for flags in range(256):
        desk.call(Command.RUN, bytes((flags, 0)))
    assert [int(run.flags) for run in desk.core.runs] == [flags & 15 for flags in range(256)]


def test_repeats() -> None:
    desk = Desk().begin(250)
    pairs = encode_events([(1, 1)])
    sent = [
        Frame(251, Command.RUN, b"\1\0" + pairs),
        Frame(252, Command.EVENTS, pairs),
        Frame(253, Command.READ_REGISTERS, bytes((Reg.SAMPLES, 1))),
        Frame(254, Command.WRITE_REGISTERS, bytes((Reg.SAMPLES,)) + u32(9)),
    ]
    replies = [desk.ask(frame) for frame in sent]
    # READ_REGISTERS is not the last: nothing is sent, for its answer might be another one now.
    assert [desk.ask(frame) for frame in sent] == [replies[0], replies[1], None, replies[3]]
    assert len(desk.core.runs) == 1
    assert desk.core.writes == [("register", Reg.SAMPLES, u32(9))] * 2
    # Another command under a known number, a number not yet due, one too old.
    assert desk.ask(Frame(251, Command.EVENTS, pairs)) == nak(NakReason.ORDER, 255)
    assert desk.ask(Frame(0, Command.EVENTS, pairs)) == nak(NakReason.ORDER, 255)
    assert desk.ask(Frame(250, Command.RUN, b"\1\0" + pairs)) == nak(NakReason.ORDER, 255)
    desk.call(Command.READ_REGISTERS, bytes((Reg.SAMPLES, 1)))
    assert desk.link.expected == 0
    assert desk.ask(sent[0]) == nak(NakReason.ORDER, 0)
    assert desk.ask(sent[1]) == replies[1]
    # The event of the EVENTS was appended once, by 252.
    desk.call(Command.RUN, b"\0\0")
    assert desk.core.runs[1] == FakeRun(((1, 1),), 0, NONE)
