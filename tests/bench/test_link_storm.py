"""bench/storm.py link in small: it gets through, repeats from its seed, and finds planted faults."""

import json
import subprocess
import sys
from typing import Any

import pytest
import storm
from storms import links
from storms.line import KINDS
from storms.links import Storm, all_storms, run_storm

from opzo.host.driver.link import Link
from opzo.sim.golden.link import GoldenLink
from opzo.spec.commands import REPLY
from opzo.spec.frames import Frame

NOISE, DEATHS, RESETS = (
    Storm(KINDS, 1e-1, "frames"),
    Storm((), 1e-1, "operations"),
    Storm((), 3e-3, "operations", "resets"),
)


@pytest.mark.parametrize(
    "storm",
    [NOISE, Storm(KINDS, 1e-3, "bytes"), Storm(("delayed",), 1e-2, "bytes"), DEATHS, RESETS],
    ids=lambda storm: f"{storm.name} {storm.rate}",
)
def test_state_is_that_of_an_undisturbed_run(storm: Storm) -> None:
    row = run_storm(storm, 2000, 1)
    assert row["ok"], row["outcome"]
    assert row["frames"] >= 2000
    assert row["resent"] > 0
    assert row["faults"] + row["deaths"] > 0


def test_a_driver_that_gives_up_has_trained_exactly_what_was_answered_or_underway() -> None:
    row = run_storm(Storm(("lost",), 1e-1, "bytes", "beyond"), 0, 1)
    assert row["ok"], row["outcome"]
    assert "10 of 10 sessions" in row["outcome"]


def test_a_storm_repeats_from_its_seed() -> None:
    rows = [run_storm(NOISE, 1000, seed) for seed in (5, 5, 6)]
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]


def test_all_kinds_have_all_rates() -> None:
    storms = list(all_storms())
    assert {(kind, rate) for s in storms for kind in s.kinds for rate in (s.rate,)} == {
        (kind, rate) for kind in KINDS for rate in (1e-4, 1e-3, 1e-2, 1e-1)
    }


def any_reply(self: Link, frame: Frame) -> bool:
    """Take a reply whatever its sequence number."""
    for request in self._unanswered:
        if frame.code == request.command | REPLY and request.reply is None:
            return take(self, Frame(request.seq, frame.code, frame.data))
    return take(self, frame)


def run_again(self: GoldenLink, frame: Frame) -> list[Frame]:
    """Execute a repeated frame once more."""
    return [self._execute(frame)] if frame.seq in self._executed else repeat(self, frame)


def any_crc(body: bytes) -> Frame | None:
    """Accept a frame of the right size whatever its check sum."""
    size, seq, code = body[0] | body[1] << 8, body[2], body[3]
    return Frame(seq, code, body[4:-4]) if len(body) == size + 8 else None


take, repeat = Link._take, GoldenLink._repeat


@pytest.mark.parametrize(
    ("place", "name", "fault"),
    [(Link, "_take", any_reply), (GoldenLink, "_repeat", run_again), (Frame, "decode", staticmethod(any_crc))],
)
def test_planted_faults_are_found(place: Any, name: str, fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, name, fault)
    row = run_storm(NOISE, 3000, 1)
    assert not row["ok"]
    assert "12-8-4: results" in row["outcome"]


def test_the_script_prints_one_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(links, "all_storms", lambda: iter([NOISE, DEATHS]))
    monkeypatch.setattr(sys, "argv", ["storm.py", "link", "--count", "1000", "--json"])
    assert storm.main() == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["part"], figures["seed"], figures["ok"]) == ("link", 0, True)
    assert [row["kind"] for row in figures["rows"]] == ["all kinds", "line dies"]
    assert sum(row["frames"] for row in figures["rows"]) >= 1000


def test_a_difference_is_an_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(links, "all_storms", lambda: iter([NOISE]))
    monkeypatch.setattr(GoldenLink, "_repeat", run_again)
    monkeypatch.setattr(sys, "argv", ["storm.py", "link", "--count", "1000"])
    assert storm.main() == 1
    assert "12-8-4: results" in capsys.readouterr().out


@pytest.mark.slow
def test_a_hundred_thousand_frames() -> None:
    script = [sys.executable, storm.__file__, "link", "--count", "100000", "--seed", "7", "--json"]
    done = subprocess.run(script, stdout=subprocess.PIPE, check=False)
    figures = json.loads(done.stdout)
    assert done.returncode == 0, [row for row in figures["rows"] if not row["ok"]]
    assert sum(row["frames"] for row in figures["rows"]) >= 100_000
