import pytest

from opzo.host.driver.line_quality import WARN_COUNT, WARN_SHARE, LineQuality

FEW, MANY = WARN_COUNT, 10_000
"""Frames of a line whose count is what matters, and of one whose share is."""


@pytest.mark.parametrize(("frames", "least"), [(FEW, WARN_COUNT), (MANY, int(WARN_SHARE * MANY))])
def test_warning_comes_once_at_the_count_and_the_share(
    frames: int, least: int, caplog: pytest.LogCaptureFixture
) -> None:
    quality = LineQuality()
    quality.frames = frames
    for count in range(1, least + 3):
        quality.count_damaged()
        assert quality.damaged == count
        assert len(caplog.messages) == (count >= least)
    assert caplog.messages == [
        f"noisy line: {least:,} of {frames:,} frames damaged; they are sent again and nothing is lost; "
        "check cable and baud rate"
    ]


def test_damage_on_purpose_is_counted_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    quality = LineQuality()
    quality.silence()
    for _ in range(2 * WARN_COUNT):
        quality.count_damaged()
    assert quality.damaged == 2 * WARN_COUNT
    assert caplog.messages == []
