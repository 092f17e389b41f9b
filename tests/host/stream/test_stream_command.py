"""opzo stream: bad records, clocks that jump, Ctrl-C, outputs and options, and a decision for each recording."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stream_network import NAMES

from opzo.host.cli.main import main
from opzo.host.driver.device import Device
from opzo.host.driver.state import State
from opzo.host.stream.live_clock import LATE_US
from opzo.host.stream.live_counts import LiveCounts
from opzo.host.stream.live_readers import read_udp
from opzo.host.stream.live_source import RECORD, Change, RecordKind, TimeStep, TimeSteps
from opzo.host.training.checkpoint import Checkpoint
from opzo.spec.errors import LinkError, OpzoError

Rows = list[tuple[int, int, int, int]]


def events_of(count: int, begin: int = 0) -> Rows:
    """An event each millisecond."""
    return [(begin + 1000 * number, number % 30, 1, RecordKind.EVENT) for number in range(count)]


def stream(trained: Path, rows: Rows, *options: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """Exit code of the command with these records on stdin, in steps of 1 ms."""
    file = tmp_path / "records"
    file.write_bytes(np.array(rows, RECORD).tobytes())
    with file.open() as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        return main(["stream", str(trained), "-", *options, "--bin-us", "1000", "--json", "-q"])


@pytest.fixture
def run(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(rows: Rows, *options: str, code: int = 0) -> tuple[dict[str, Any], str]:
        assert stream(trained, rows, *options, monkeypatch=monkeypatch, tmp_path=tmp_path) == code
        said = capsys.readouterr()
        return json.loads(said.out) if said.out else {}, said.err

    return call


@pytest.mark.parametrize("stamp", [4_000_000_000, 1_900_000_000, 2_147_483_648])
def test_stamp_far_ahead_makes_no_empty_steps(run: Any, stamp: int) -> None:
    rows = [*events_of(20), (stamp, 3, 1, RecordKind.EVENT), *events_of(20, 20_000)]
    figures, said = run(rows)
    assert (figures["steps"], figures["events"]) == (40, 41)
    assert (figures["gaps"], figures["clock_jumps_back"]) == (1, 1)
    assert figures["steps_left_out"] > 100_000
    assert "the clock jumps ahead by" in said
    assert "empty time steps are left out (--max-gap)" in said


def test_gap_within_the_limit_is_made_of_empty_steps(run: Any) -> None:
    rows = [*events_of(5), *events_of(5, 1_000_000)]
    figures, _ = run(rows)
    assert (figures["steps"], figures["gaps"]) == (1005, 0)
    figures, _ = run(rows, "--max-gap", "994")
    assert (figures["steps"], figures["gaps"], figures["steps_left_out"]) == (10, 1, 995)
    figures, _ = run(rows, "--max-gap", "995")
    assert figures["steps"] == 1005


def steps_of(blocks: list[Rows], counts: LiveCounts, **options: Any) -> list[Any]:
    steps = TimeSteps(30, 1000, "udp:9", counts=counts, classes=3, **options)
    items = [item for rows in blocks for item in steps.feed(np.array(rows, RECORD))]
    return [*items, *steps.finish()]


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_clock_that_is_set_back_goes_on(cut: int) -> None:
    # A sender that starts again at 0 after 50 s, and again in the middle.
    rows = [*events_of(40, 50_000_000), *events_of(40), *events_of(40, 3)]
    counts = LiveCounts(10)
    items = steps_of([rows[at : at + cut] for at in range(0, len(rows), cut)], counts)
    taken = [item for item in items if isinstance(item, TimeStep)]
    # The second restart, of 40 ms, only looks late.
    assert (counts.jumps_back, counts.late, counts.gaps) == (1, 39, 0)
    assert 78 <= len(taken) <= 80
    assert max(len(step.addresses) for step in taken[:-1]) <= 2


def test_clock_that_runs_backwards_ends_the_stream() -> None:
    rows = [(4_000_000_000 - LATE_US * 2 * number, 1, 1, RecordKind.EVENT) for number in range(50)]
    counts = LiveCounts(20)
    with pytest.raises(
        OpzoError, match=r"runs back by 2,000,000 us at record 21 \(21 bad records, more than --max-bad 20\)"
    ):
        steps_of([rows], counts)
    assert counts.jumps_back > 20


def test_labels_without_a_time_take_effect_at_once() -> None:
    rows: Rows = [
        (0, 1, 0, RecordKind.LABEL),
        *events_of(3, 900_000_000),
        (0, 2, 0, RecordKind.LABEL),
        *events_of(3, 900_003_000),
    ]
    counts = LiveCounts()
    shown = [
        len(item.addresses) if isinstance(item, TimeStep) else (item.kind, item.value)
        for item in steps_of([rows, [(0, 0, 0, RecordKind.END), *events_of(2)], events_of(3)], counts)
    ]
    assert shown == [(RecordKind.LABEL, 1), 1, 1, (RecordKind.LABEL, 2), 1, 1, 1, 1, (RecordKind.END, 0)]
    assert (counts.gaps, counts.jumps_back, counts.late, counts.after_end) == (0, 0, 0, 5)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ((0, 30, 1, RecordKind.EVENT), "has address 30; the network has inputs 0..29"),
        ((0, 3, 0, RecordKind.LABEL), "has class 3; the network has classes 0..2"),
        ((0, 0, 2, RecordKind.LEARN), "has value 2; LEARN is 1 for on, 0 for off; a graded EVENT is 1..255"),
        ((0, 0, 0, 6), "has kind 6; kinds are 0..5"),
    ],
)
def test_malformed_record_is_skipped_and_counted(run: Any, row: tuple[int, int, int, int], text: str) -> None:
    figures, said = run([*events_of(5), row, row, *events_of(5, 5000)])
    assert (figures["malformed"], figures["steps"], figures["events"]) == (2, 10, 10)
    assert f"record 5 of stdin {text}; it is skipped" in said
    assert said.count("\n") == 1


def test_too_many_malformed_records_end_the_stream_and_what_was_learned_is_saved(
    run: Any, trained: Path, tmp_path: Path
) -> None:
    bad: Rows = [(0, 30, 1, RecordKind.EVENT)] * 5
    learn = ("--learn", "--label", "palm", "--save", str(tmp_path / "after.npz"))
    figures, said = run([*events_of(20), *bad, *events_of(20)], *learn, "--max-bad", "4", code=2)
    assert "(5 bad records, more than --max-bad 4)" in said
    assert (figures["steps"], figures["malformed"]) == (19, 5)
    before, after = Checkpoint.load(trained), Checkpoint.load(tmp_path / "after.npz")
    assert after.class_names == NAMES
    assert any((a != b).any() for a, b in zip(before.state.weights, after.state.weights, strict=True))
    figures, _ = run([*events_of(20), *bad, *events_of(20, 20_000)], "--max-bad", "5")
    assert figures["steps"] == 40


def test_late_events_count_where_the_stream_ends_with_end(run: Any) -> None:
    figures, _ = run([*events_of(5), (0, 9, 1, RecordKind.EVENT), (5000, 0, 0, RecordKind.END), *events_of(3, 6000)])
    assert (figures["late"], figures["after_end"], figures["steps"]) == (1, 3, 5)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_long_gap_and_saves(trained: Path, tmp_path: Path, sent: signal.Signals) -> None:
    out = tmp_path / "after.npz"
    options = ["--bin-us", "1000", "--json", "--learn", "--save", str(out), "--max-gap", "1000000000"]
    command = [sys.executable, "-m", "opzo", "stream", str(trained), "-", *options]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write(np.array([*events_of(5), (2_000_000_000, 1, 1, 0)], RECORD).tobytes())
        process.stdin.flush()
        time.sleep(5)
        process.send_signal(sent)
        begun = time.monotonic()
        try:
            out_text, said = process.communicate(timeout=20)
        finally:
            process.kill()
        assert time.monotonic() - begun < 10
    assert process.returncode == 130, said
    assert b"opzo: stopping; saving; press Ctrl-C again to quit without" in said
    assert 5 < json.loads(out_text)["steps"] < 2_000_000
    Checkpoint.load(out)


def test_lost_datagrams_and_those_of_a_wrong_size_are_counted() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    counts, sent = LiveCounts(10), 30_000
    block = np.array(events_of(100), RECORD).tobytes()

    def flood() -> bool:
        """Called once the socket is open, before it is read."""
        nonlocal sent
        if sent:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for payload in (b"12345", *[block] * sent, np.array([(0, 0, 0, RecordKind.END)], RECORD).tobytes()):
                    sender.sendto(payload, address)
            sent = 0
        return time.monotonic() > end

    end = time.monotonic() + 10
    seen = sum(len(records) for records in read_udp(address, "udp:x", lambda: flood(), counts))
    assert counts.malformed == 1
    if counts.datagrams_lost is None and sys.platform != "linux":
        pytest.skip("this system does not say how many datagrams it dropped")
    assert counts.datagrams_lost == 30_001 - (seen // 100) - (seen % 100)
    with pytest.raises(OpzoError, match=r"cannot listen on udp:x: .*; choose another port"):
        next(read_udp(("192.0.2.1", 9), "udp:x", lambda: True))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--rate", "256"], "must be in 0..255, not 256; see opzo stream --help"),
        (["--rate", "-1"], "argument --rate: "),
        (["--rate", "nan"], "argument --rate: "),
        (["--bin-us", "0"], "argument --bin-us: "),
        (["--bin-us", "9" * 30], "argument --bin-us: "),
        (["--bin-us", "1e3"], "argument --bin-us: "),
        (["--window", "4096"], "must be in 0..4095, not 4096"),
        (["--window", "-1"], "argument --window: "),
        (["--max-gap", "-1"], "argument --max-gap: "),
        (["--max-bad", "inf"], "argument --max-bad: "),
        (["--clock", "0"], "argument --clock: "),
        (["--label", "3"], "'3' is not a class; give a number in 0..2, or one of fist, palm, \\x1b[1m[wave]"),
        (["--label", "-1"], "is not a class"),
        (["--label", "plam"], "'plam' is not a class (did you mean 'palm'?)"),
        (["--save", "missing/after.npz"], "cannot write missing/after.npz: there is no folder missing"),
        (["--save", "."], "cannot write .: it is a folder"),
        (["-"], "stdin (-) can be read only once"),
        (["nowhere.aedat4"], "there is no nowhere.aedat4"),
        (["udp:70000"], "'udp:70000' is not a network address"),
        (["udp:²"], "is not a network address"),
        (["dv:" + "9" * 5000], "is not a network address"),
    ],
)
def test_options_are_checked_before_the_device_is_opened(
    run: Any, options: list[str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*arguments: object) -> Device:
        raise AssertionError("opened")

    if options[0] != "--label":
        monkeypatch.setattr("opzo.host.cli.commands.stream.open_device", opened)
    figures, said = run([], *options, code=2)
    assert said.startswith("opzo: error: ")
    assert text in said
    assert said.count("\n") == 1
    assert not figures


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize("method", ["start_run", "finish_run"])
def test_lost_link_saves_where_the_state_can_be_read(
    run: Any, tmp_path: Path, readable: bool, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, runs = getattr(Device, method), 0

    def fails(device: Device, *arguments: Any, **named: Any) -> Any:
        nonlocal runs
        runs += 1
        if runs >= 3:
            raise LinkError("the line has gone")
        return start(device, *arguments, **named)

    def unreadable(*arguments: object) -> State:
        raise LinkError("no answer")

    monkeypatch.setattr(Device, method, fails)
    if not readable:
        monkeypatch.setattr(State, "read", unreadable)
    out = tmp_path / "after.npz"
    _, said = run(events_of(60), "--learn", "--label", "1", "--save", str(out), code=1)
    assert "opzo: error: the line has gone" in said
    assert out.exists() == readable
    assert (f"the network learned so far is in {out}" in said) == readable
    assert ("the learned network cannot be read from the device and is lost" in said) != readable


def test_label_by_name_and_loss_of_a_decision(run: Any) -> None:
    figures, _ = run(events_of(12), "--label", "palm")
    assert (figures["recordings"][0]["label"], figures["decisions"]) == (1, 1)
    assert figures["loss"] > 0
    figures, _ = run(events_of(12))
    assert (figures["loss"], figures["accuracy"]) == (None, None)
    figures, _ = run([])
    assert (figures["decision"], figures["decision_name"], figures["recordings"]) == (None, None, [])
    assert Change(RecordKind.END, 0).kind is RecordKind.END


def test_learning_without_a_label_is_told(run: Any) -> None:
    figures, said = run(events_of(12), "--learn")
    assert figures["steps_learned"] == 0
    assert "warning: nothing was learned, because no label was given" in said
    _, said = run([(0, 1, 0, RecordKind.LABEL), *events_of(12)], "--learn")
    assert said == ""


def test_ctrl_c_ends_the_wait_for_a_camera_that_does_not_answer(trained: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        command = [sys.executable, "-m", "opzo", "stream", str(trained), f"dv:{silent.getsockname()[1]}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            accepted, _ = silent.accept()
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            try:
                _, said = process.communicate(timeout=20)
            finally:
                process.kill()
                accepted.close()
    assert process.returncode == 130, said
    assert b"opzo: error" not in said


def test_events_in_the_wrong_order_are_late(run: Any) -> None:
    rows = [(number * 5000, number % 30, 1, RecordKind.EVENT) for number in range(100, 0, -1)]
    figures, said = run(rows)
    assert (figures["late"], figures["clock_jumps_back"], figures["steps"]) == (99, 0, 1)
    assert "warning: 99 events were late" in said


@pytest.mark.parametrize("graded", [False, True])
def test_graded_events_of_nothing_are_malformed(graded: bool) -> None:
    counts = LiveCounts(5)
    items = steps_of([[(0, 1, 0, RecordKind.EVENT), (1, 2, 7, RecordKind.EVENT)]], counts, graded=graded)
    assert [(step.addresses.tolist(), step.values.tolist()) for step in items] == (
        [([2], [7])] if graded else [([1, 2], [1, 7])]
    )
    assert counts.malformed == graded
