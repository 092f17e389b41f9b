"""Types of numeric options: ranges, and what is no number."""

import argparse

import pytest

from opzo.host.cli.option_types import integer, number, positive


@pytest.mark.parametrize("text", ["-1", "8", "1.5", "nan", "inf", "", "x", "9" * 400])
def test_whole_refuses(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"the value must be (a whole number )?in 0\.\.7, not"):
        integer(0, 7)(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "-inf", "", "x", "1e999"])
def test_positive_refuses(text: str) -> None:
    with pytest.raises(
        argparse.ArgumentTypeError, match=r"the value must be (a number of 0 or more|above 0|0 or more), not"
    ):
        positive(text)


def test_ends_belong_to_the_range() -> None:
    assert [integer(0, 7)(text) for text in ("0", "7")] == [0, 7]
    assert integer(3)("1000000") == 1_000_000
    assert [number(0, 1)(text) for text in ("0", "1", "0.5")] == [0, 1, 0.5]
    with pytest.raises(argparse.ArgumentTypeError, match=r"must be in 0\.\.1, not 1\.1"):
        number(0, 1)("1.1")
