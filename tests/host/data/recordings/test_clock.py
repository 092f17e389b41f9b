"""Clocks of recordings: those that jump, run backwards or come back, with every time by hand."""

import re
from pathlib import Path

import numpy as np
import pytest
from recorded import dat, written

from opzo.host.data.recordings.clock import steady
from opzo.host.data.recordings.readers import read_recording
from opzo.spec.errors import OpzoError

HOUR = 3_600_000_000
STEADY = np.arange(200) * 1000


def times(t: list[int]) -> list[int]:
    return steady("x", np.array(t, np.int64), lambda index: f"event {index}")[0].tolist()


@pytest.mark.parametrize(
    ("t", "expected", "message"),
    [
        # Ahead for good, for one event, and from the first event on.
        ([0, 10, HOUR, HOUR + 5], [0, 10, 10, 15], "the clock jumps ahead, from 10 to 3600000000 us at event 2;"),
        ([0, 10, HOUR, 20, 30], [0, 10, 10, 20, 30], "the clock jumps ahead, from 10 to 3600000000 us at event 2;"),
        ([5, HOUR, HOUR + 5], [5, 5, 10], "ahead, from 5 to 3600000000 us at event 1;"),
        # Back for good (a camera that was started again), for one event, and twice.
        (
            [HOUR, HOUR + 9, 0, 7],
            [HOUR, HOUR + 9, HOUR + 9, HOUR + 16],
            "backwards, from 3600000009 to 0 us at event 2;",
        ),
        (
            [9 * 10**6, 0, 9 * 10**6 + 4],
            [9 * 10**6, 9 * 10**6, 9 * 10**6 + 4],
            "backwards, from 9000000 to 0 us at event 1",
        ),
        ([10**6, 0, 10**6, 0, 5], [10**6, 10**6, 10**6, 10**6, 10**6 + 5], "at event 1; .* \\(and 1 more jumps\\)"),
        # A counter of 32 bits that wraps, in a file that cannot say so.
        ([2**32 - 1, 3], [2**32 - 1, 2**32 - 1], "backwards, from 4294967295 to 3 us at event 1;"),
        # Late by a little: in order.
        ([0, 10, 5, 20, 15], [0, 5, 10, 15, 20], "from 10 to 5 us at event 2; events out of order .* \\(2 places\\)"),
    ],
)
def test_jumps_are_taken_out_and_told(
    t: list[int], expected: list[int], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert times(t) == expected
    assert len(caplog.records) == 1
    assert re.search(message, caplog.text)


def test_pauses_stay(caplog: pytest.LogCaptureFixture) -> None:
    for t in ([0, 59_000_000], [-5, 0, 0, 5], [1_600_000_000_000_000, 1_600_000_000_000_007], [7]):
        assert times(t) == t
    # Flashes of 1 ms, 1.1 s apart.
    flashes = (np.arange(50)[:, None] * 1_100_000 + np.arange(0, 1000, 100)).reshape(-1).tolist()
    assert times(flashes) == flashes
    assert not caplog.text


def test_pause_in_which_all_steps_but_two_would_be_is_a_jump(caplog: pytest.LogCaptureFixture) -> None:
    t = np.concatenate([STEADY, STEADY + 5_000_000]).tolist()
    assert times(t) == np.concatenate([STEADY, STEADY + STEADY[-1]]).tolist()
    assert "the clock jumps ahead, from 199000 to 5000000 us at event 200" in caplog.text


def test_no_clock_is_refused() -> None:
    rng = np.random.default_rng(3)
    print("seed 3")
    with pytest.raises(
        OpzoError, match=r"x: .* at event \d+, the first of \d+ jumps of its clock; the file is damaged"
    ):
        times(rng.integers(0, 2**40, 1000).tolist())
    with pytest.raises(OpzoError, match="time -1152921504606846977 us at event 1"):
        times([0, -(2**60) - 1])


def test_events_move_with_their_times(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, "a.dat", dat((100, 1, 2, 1), (50, 3, 4, 0), (HOUR >> 1, 5, 6, 1)))
    recording = read_recording(path)
    assert (recording.t.tolist(), recording.x.tolist(), recording.y.tolist()) == ([50, 100, 100], [3, 1, 5], [4, 2, 6])
    assert recording.polarity.tolist() == [False, True, True]
    assert f"{path}: the clock jumps ahead, from 50 to 1800000000 us at event 2 (byte " in caplog.text
    with pytest.raises(OpzoError, match=r"from 50 to 1800000000 us at event 2 \(byte \d+\); the file is damaged"):
        read_recording(path, mend_clock=False)
