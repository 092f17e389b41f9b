"""The scripts in examples/ run, and what they print is what they promise."""

import re
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def printed(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", [name])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("train_digits.py", r"accuracy: 9\d.\d%\nthe first test images: \[\d(, \d){4}\], right: \[\d(, \d){4}\]\n"),
        (
            "teach_by_hand.py",
            r"nines right before any was shown: 0%\nafter 40 of them: ([5-9]\d|100)%; all digits: [789]\d\.\d%\n",
        ),
        ("stream_of_events.py", r"correct: \d\d% of the first 50, (9\d|100)% of the last 50\n"),
        ("equal_bits.py", r"layer 0: 0 of 1040 weights differ\nlayer 1: 0 of 170 weights differ\n"),
    ],
)
def test_example(
    name: str,
    pattern: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    text = printed(name, monkeypatch, capsys)
    assert re.fullmatch(pattern, text), text


def test_each_example_is_tested() -> None:
    named = re.findall(r'"(\w+\.py)"', Path(__file__).read_text())
    assert sorted(named) == sorted(path.name for path in EXAMPLES.glob("*.py"))
