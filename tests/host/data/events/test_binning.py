"""Recordings in time steps: every number by hand."""

from dataclasses import replace

import numpy as np
import pytest

from opzo.host.data.events.binning import Binning, bin_recordings
from opzo.host.data.recordings.recording import Recording
from opzo.spec.errors import OpzoError


def recording(*events: tuple[int, int, int, int], size: tuple[int, int] = (4, 3)) -> Recording:
    """Of (time, x, y, polarity)."""
    t, x, y, polarity = np.array(events or np.zeros((0, 4)), np.int64).T
    return Recording(t, x.astype(np.uint16), y.astype(np.uint16), polarity.astype(bool), *size)


HAND = recording((100, 0, 0, 0), (119, 3, 2, 1), (120, 3, 2, 1), (125, 3, 2, 1), (159, 1, 1, 0), (160, 2, 0, 1))


def steps(binning: Binning, of: Recording = HAND) -> list[list[int]]:
    sample = binning.sample(of)
    return [part.tolist() for part in np.split(sample.addresses, sample.offsets[1:-1])]


def test_steps_of_fixed_length_leave_out_what_comes_later() -> None:
    # Channel OFF has addresses 0..11, ON 12..23; row 2, column 3 is 11.
    assert steps(Binning(3, bin_us=20)) == [[0, 23], [23], [5]]
    assert steps(Binning(2, bin_us=20)) == [[0, 23], [23]]
    assert steps(Binning(5, bin_us=20)) == [[0, 23], [23], [5], [14], []]


def test_steps_may_begin_at_a_time_of_the_clock() -> None:
    assert steps(Binning(3, bin_us=20, start_us=120)) == [[23], [5], [14]]
    assert steps(Binning(2, bin_us=100, start_us=0)) == [[], [0, 5, 14, 23]]


def test_steps_share_the_recording_by_time_or_by_number() -> None:
    # 61 us: the last event is in the last step.
    assert steps(Binning(2)) == [[0, 23], [5, 14]]
    assert steps(Binning(3, split="number")) == [[0, 23], [23], [5, 14]]
    assert steps(Binning(2, duration_us=40)) == [[0, 23], [23]]


def test_events_of_one_address_and_step_are_one_spike_or_counted() -> None:
    sample = Binning(1, counts=True).sample(HAND, 7)
    assert sample.addresses.tolist() == [0, 5, 14, 23]
    assert sample.values is not None
    assert sample.values.tolist() == [1, 1, 1, 3]
    assert sample.label == 7
    many = recording(*[(n, 1, 0, 0) for n in range(300)])
    counted = Binning(1, counts=True).sample(many).values
    assert counted is not None
    assert counted.tolist() == [255]


def test_middle_of_the_sensor_is_used() -> None:
    # Of 4 x 3 pixels, columns 1 and 2 and rows 0 and 1 remain: (159, 1, 1, OFF) and (160, 2, 0, ON).
    cropped = Binning(2, bin_us=20, start_us=140, crop=2)
    assert cropped.shape(4, 3) == (2, 2, 2)
    assert steps(cropped) == [[2], [5]]
    # The time starts with the first event that is left, and steps of equal numbers count only those.
    assert steps(Binning(2, bin_us=1, crop=2)) == [[2], [5]]
    assert steps(Binning(2, split="number", crop=2)) == [[2], [5]]
    # First the crop, then the reduction.
    assert steps(Binning(1, size=(1, 1), crop=2)) == [[0, 1]]
    with pytest.raises(OpzoError, match="a sensor of 4 x 3 pixels cannot be cropped to 4 x 4"):
        steps(Binning(1, crop=4))
    with pytest.raises(OpzoError, match="a crop to -1 pixels"):
        Binning(1, crop=-1)


def test_share_of_events_outside_the_crop_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="opzo"):
        events = bin_recordings([(HAND, 0), (HAND, 1)], Binning(2, crop=2), "hand")
    assert events.shape == (2, 2, 2)
    assert "hand: 66.67 % of the events are outside the middle 2 x 2 pixels and dropped" in caplog.text


def test_sensor_is_reduced_to_a_size_or_by_a_factor() -> None:
    assert Binning(1, size=(2, 3)).shape(4, 3) == (2, 3, 2)
    # Column 3 of 4 is 1 of 2.
    assert steps(Binning(1, size=(2, 3))) == [[0, 2, 7, 11]]
    assert Binning(1, reduce=2).shape(4, 3) == (2, 2, 2)
    assert steps(Binning(1, reduce=2)) == [[0, 5, 7]]


def brute(binning: Binning, t: list[int]) -> list[list[int]]:
    """Indices of the events of each step, one event at a time in whole numbers of any size."""
    start = t[0] if binning.start_us is None else binning.start_us
    inside = [n for n in range(len(t)) if 0 <= t[n] - start < (binning.duration_us or 2**70)]
    found: list[list[int]] = [[] for _ in range(binning.steps)]
    for place, n in enumerate(inside):
        if binning.bin_us:
            step = (t[n] - start) // binning.bin_us
        elif binning.split == "number":
            step = place * binning.steps // len(inside)
        else:
            step = (t[n] - start) * binning.steps // (binning.duration_us or max(1, t[-1] - start + 1))
        if step < binning.steps:
            found[step].append(n)
    return found


def test_steps_are_exact_at_any_time_of_the_clock() -> None:
    rng = np.random.default_rng(7)
    print("seed 7")
    for _ in range(300):
        width = 10 ** int(rng.integers(1, 16))
        t = np.sort(rng.integers(0, width, int(rng.integers(1, 12)))) + int(rng.integers(-1, 2)) * 2**59
        start = None if rng.random() < 0.4 else int(rng.choice([0, t[0], int(t[0]) + width // 3, t[-1] + 1]))
        change = [{}, {"bin_us": int(rng.integers(1, width + 1))}, {"split": "number"}, {"duration_us": width // 2 + 1}]
        binning = Binning(int(rng.choice([1, 2, 7, 99])), start_us=start, **change[int(rng.integers(4))])
        x = np.arange(len(t), dtype=np.uint16)
        of = Recording(t, x, 0 * x, x > len(t), 16, 1)
        found = [
            list(map(int, part)) for part in np.split(binning.sample(of).addresses, binning.sample(of).offsets[1:-1])
        ]
        assert found == brute(binning, t.tolist())


def test_recording_of_an_unknown_sensor_has_no_addresses() -> None:
    with pytest.raises(OpzoError, match=r"a\.dat does not give the size of its sensor, .* --sensor WxH"):
        Binning(2).sample(replace(HAND, named=False, name="a.dat"))


def test_samples_without_events_are_told(caplog: pytest.LogCaptureFixture) -> None:
    late = replace(HAND, t=HAND.t + 1000, name="late.bin")
    binning = Binning(2, bin_us=50, start_us=100)
    bin_recordings([(HAND, 0), (late, 1)], binning, "x")
    assert "x: 1 of 2 samples have no events, " in caplog.text
    assert "late.bin starts at 1100 us on its clock" in caplog.text
    with pytest.raises(OpzoError, match=r"x: no event is in a time step \(late.bin .*\); change or leave out"):
        bin_recordings([(late, 1)], binning, "x")


def test_recordings_of_one_sensor_become_events() -> None:
    events = bin_recordings([(HAND, 1), (HAND, 0)], Binning(2, bin_us=20), "x")
    assert (events.shape, events.steps, events.y.tolist()) == ((2, 3, 4), 2, [1, 0])
    with pytest.raises(OpzoError, match="recording 1 has a sensor of 5 x 3 pixels"):
        bin_recordings([(HAND, 1), (recording((0, 0, 0, 0), size=(5, 3)), 0)], Binning(2), "x")
    with pytest.raises(OpzoError, match="there are no recordings"):
        bin_recordings([], Binning(2), "x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "time steps of a sample .* not 0"),
        ({"bin_us": -1}, "must be 1 or more"),
        ({"bin_us": 2**60 + 1}, "larger than 1152921504606846976 us"),
        ({"start_us": -(2**61)}, "start or duration is larger"),
        ({"split": "space"}, "there is no split by 'space'"),
        ({"bin_us": 5, "split": "number"}, "give only one of them"),
        ({"size": (2, 2), "reduce": 2}, "give only one of them"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(OpzoError, match=message):
        Binning(**({"steps": 3} | change))  # type: ignore[arg-type]


def test_sensor_is_not_enlarged() -> None:
    with pytest.raises(OpzoError, match="4 x 3 pixels cannot be reduced to 5 x 3"):
        Binning(1, size=(5, 3)).sample(HAND)
    with pytest.raises(OpzoError, match="exceed the 65536 addresses"):
        Binning(1).shape(640, 480)
