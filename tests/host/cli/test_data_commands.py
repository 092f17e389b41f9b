"""``opzo data``: options at their edges, outputs before the work, files by what they are and not by their names."""

from pathlib import Path

import numpy as np
import pytest
from recorded import EVENTS_DAT, dat, written

from opzo.host.cli.main import main
from opzo.host.data.data_sets import load_data
from opzo.host.data.events.event_files import save_events
from opzo.host.data.events.event_sample import EventSample
from opzo.host.data.events.event_samples import Events


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that ``opzo data`` says where it does not do what it is told."""
    assert main(["data", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("opzo: error: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    "options",
    [
        *(("--steps", value) for value in ("0", "-1", "32769", "1.5", "nan", "1e3", "9" * 5000)),
        *((option, value) for option in ("--bin-us", "--duration") for value in ("0", "-1", "9" * 30, "inf", "")),
        ("--start-us", "9" * 30),
        *(("--reduce", value) for value in ("0", "-2", "65537", "nan")),
        *((o, value) for o in ("--size", "--sensor") for value in ("0x3", "3x", "x", "3x3x3", "-3", "3.5x3", "9" * 99)),
        *(("--label", value) for value in ("-1", "64", "nan")),
        *(("--test-every", value) for value in ("1", "0", "-5", "nan")),
    ],
)
def test_convert_refuses_numbers_at_their_edges(options: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert f"argument {options[0]}: " in refused(capsys, "convert", "a", "--out", "a.npz", *options)


@pytest.mark.parametrize(
    "options",
    [
        ("--steps", "0"),
        ("--steps", "3001"),
        ("--saccade-ms", "nan"),
        ("--amplitude", "-1"),
        ("--noise", "inf"),
        ("--smooth", "2"),
        ("--seed", "-1"),
        ("--sample", "-1"),
    ],
)
def test_saccade_refuses_numbers_at_their_edges(options: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert f"argument {options[0]}: " in refused(capsys, "saccade", *options)


def test_outputs_are_checked_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "a.dat"  # Would be refused too, if it were read.
    bad.write_bytes(b"no recording")
    for out, message in (
        (tmp_path / "none" / "a.npz", "there is no folder"),
        (tmp_path / f"{'a' * 300}.npz", "too long"),
        (tmp_path / "a.dat" / "a.npz", "there is no folder"),
        (tmp_path / "a", "give a name that ends in .npz"),
    ):
        assert message in refused(capsys, "convert", bad, "--label", 0, "--out", out)
        assert message in refused(capsys, "saccade", "--images", bad, "--out", out)
    assert "there is no folder" in refused(capsys, "saccade", "--images", bad, "--picture", tmp_path / "none" / "a.png")


def test_sensor_decides_the_addresses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = dat().replace(b"% Width 640\n% Height 480\n", b"")
    given = written(tmp_path, "a.dat", header + dat((0, 3, 2, 1), (9, 5, 4, 0))[len(dat()) :])
    out = tmp_path / "a.npz"
    convert = ("convert", given, "--label", 0, "--out", out, "--size", "4x4")
    assert "give it with --sensor WxH (the events need at least 6x5)" in refused(capsys, *convert)
    assert main(["data", *map(str, convert), "--sensor", "8x8"]) == 0
    assert load_data(str(out)).train.dense(np.array([0])).reshape(-1, 2, 4, 4).max(0)[1, 1, 1] == 1
    capsys.readouterr()
    assert main(["data", "show", str(given)]) == 0
    shown = capsys.readouterr()
    assert "width: unknown\nheight: unknown\n" in shown.out
    assert "--sensor WxH" in shown.err
    assert main(["data", "show", str(given), "--sensor", "8x8"]) == 0
    assert "width: 8\n" in capsys.readouterr().out
    assert "single camera; leave out --camera" in refused(capsys, "show", given, "--camera", 1)
    assert "not the given 8 x 8" in refused(capsys, "show", written(tmp_path, "b.dat", dat(*EVENTS_DAT)), "--sensor", 8)


@pytest.mark.parametrize("name", ["saccade-x.npz", "saccade-digits.npz", "nmnist.npz", "SACCADE-X.NPZ"])
def test_file_is_a_file_whatever_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sample = EventSample(np.array([3], np.uint16), np.array([0, 1]), None, 0)
    events = Events.of([sample], (2, 2, 2))
    save_events(Path(name), events, events, "by hand")
    assert load_data(name).train.digest == events.digest
    assert main(["data", "show", name]) == 0
    assert "by hand" in capsys.readouterr().out
