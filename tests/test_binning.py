"""Recordings in time steps: every number by hand."""

import numpy as np
import pytest

from opzo.host.binning import Binning, bin_recordings
from opzo.host.recording import Recording
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


def test_sensor_is_reduced_to_a_size_or_by_a_factor() -> None:
    assert Binning(1, size=(2, 3)).shape(4, 3) == (2, 3, 2)
    # Column 3 of 4 is 1 of 2.
    assert steps(Binning(1, size=(2, 3))) == [[0, 2, 7, 11]]
    assert Binning(1, reduce=2).shape(4, 3) == (2, 2, 2)
    assert steps(Binning(1, reduce=2)) == [[0, 5, 7]]


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
        ({"steps": 0}, "time steps, not 0"),
        ({"bin_us": -1}, "give 1 or more"),
        ({"split": "space"}, "there is no split by 'space'"),
        ({"bin_us": 5, "split": "number"}, "give only one of them"),
        ({"size": (2, 2), "reduce": 2}, "give one of them"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(OpzoError, match=message):
        Binning(**({"steps": 3} | change))  # type: ignore[arg-type]


def test_sensor_is_not_enlarged() -> None:
    with pytest.raises(OpzoError, match="4 x 3 pixels cannot be reduced to 5 x 3"):
        Binning(1, size=(5, 3)).sample(HAND)
    with pytest.raises(OpzoError, match="more than the 65536 addresses"):
        Binning(1).shape(640, 480)
