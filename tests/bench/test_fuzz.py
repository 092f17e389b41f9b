"""bench/fuzz.py finds planted faults, saves the inputs, and goes on."""

import json
from argparse import Namespace
from pathlib import Path

import fuzz
import planted_readers
import pytest
from fuzzing.reader import Reader

COUNT = 12
KINDS = {
    "raises": "ValueError at ",
    "overflows": "RuntimeWarning at ",
    "exits": "SystemExit at ",
    "colours": "OpzoError at ",
    "allocates": "MemoryError at ",
    "swallows": "MemoryError at ",
    "hangs": "no end at ",
    "crashes": "ends in SIGSEGV at ",
}
READERS = {reader.name: reader for reader in planted_readers.READERS}


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(planted_readers.__file__).parent)
    monkeypatch.setenv("PYTHONPATH", str(Path(planted_readers.__file__).parent), prepend=":")


def run(reader: Reader, save: Path, *, plain: bool = True, count: int = COUNT) -> fuzz.Result:
    arguments = Namespace(plain=plain, count=count, seed=1, seconds=0.5, memory=1)
    return fuzz.fuzz("planted_readers", reader, arguments, save)


@pytest.mark.parametrize("name", KINDS)
def test_planted_faults_are_found(name: str, tmp_path: Path) -> None:
    result = run(READERS[name], tmp_path)
    figures = result.figures()
    assert figures["inputs"] == COUNT
    (found,) = figures["findings"]
    assert found["place"].startswith(KINDS[name])
    content = (tmp_path / found["input"]).read_bytes()
    assert sum(content) % planted_readers.FAULTY == 0
    # What came after a death was read too, and each input is in one class.
    assert 0 < figures["accepted"] < COUNT - found["count"] == figures["accepted"] + figures["refused"]


def test_a_reader_without_a_fault_has_no_findings(tmp_path: Path) -> None:
    figures = run(READERS["none"], tmp_path).figures()
    assert figures["findings"] == []
    assert 0 < figures["refused"] < figures["accepted"]
    assert figures["accepted"] + figures["refused"] == COUNT


def test_guidance_reaches_what_changes_at_random_do_not(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="there is no wheel for this machine")
    assert not run(READERS["maze"], tmp_path, count=1500).findings
    assert run(READERS["maze"], tmp_path, plain=False, count=15_000).findings


def test_the_same_seed_makes_the_same_inputs(tmp_path: Path) -> None:
    first, second = (run(READERS["raises"], tmp_path).figures() for _ in range(2))
    for figures in (first, second):
        del figures["seconds"], figures["cpu_seconds"], figures["peak_mib"]
    assert first == second


def test_a_reader_that_refuses_good_inputs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(fuzz.OpzoError, match="refuses a good input"):
        run(READERS["refuses"], tmp_path)


def test_json_is_one_object_and_findings_are_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["fuzz.py", "--plain", "--count", "5", "--json", "--reader", "frames"])
    assert fuzz.main() == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["inputs"] == figures["accepted"] + figures["refused"] == 5
    assert [reader["reader"] for reader in figures["readers"]] == ["frames"]
    monkeypatch.setattr("sys.argv", ["fuzz.py", "--plain", "--reader", "none-such"])
    assert fuzz.main() == 2
    assert "there is no reader none-such; the readers are " in capsys.readouterr().err
