"""opzo doctor: what works, and what to do about the rest."""

import json
import os
import subprocess
import sys
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from opzo.host.cli import checks
from opzo.host.cli.main import main
from opzo.host.cli.serial_ports import Port


def test_in_a_pipe_a_line_for_each_part_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process = subprocess.run(
        [sys.executable, "-m", "opzo", "doctor"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"CXX": "/no/compiler", "OPZO_CACHE": str(tmp_path / "file")},
    )
    lines = process.stdout.splitlines()
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 80
    parts = " ".join(process.stdout.split())
    assert "ok device golden: ran a sample of 4-4-2" in parts
    assert "missing device fast: the C++ compiler '/no/compiler' does not run" in parts
    assert "missing device rtl: the C++ compiler '/no/compiler' does not run" in parts
    assert "missing cache folder: cannot keep built files in" in parts
    assert "set OPZO_CACHE to a folder" in parts
    assert all(line.startswith(("ok       ", "missing  ", "           ")) for line in lines)


def test_cache_says_who_can_write_in_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPZO_CACHE", str(tmp_path))
    assert checks._cache() == f"{tmp_path} can be written, by you only"
    tmp_path.chmod(0o1777)
    assert checks._cache().startswith(f"{tmp_path} can be written by others too")
    tmp_path.chmod(0o777)
    check = next(check for check in checks.checks() if check.name == "cache folder")
    assert not check.ok
    assert f"chmod go-w {tmp_path}, or set OPZO_CACHE" in check.text


class Package(Distribution):
    """Metadata of a package with requirements that are not met."""

    def read_text(self, filename: str) -> str | None:
        requirements = (
            *("numpy>=2", "scipy>=1000", "nowhere", "numpy>=1; extra == 'more'", "absent>=3; extra == 'more'"),
            *("opzo[more]; extra == 'all'", "other; sys_platform == 'none' and extra == 'more'", "x; extra == 'dev'"),
        )
        fields = ["Metadata-Version: 2.1", "Name: opzo", "Version: 0", "Provides-Extra: more", "Provides-Extra: all"]
        fields += ["Provides-Extra: dev", *(f"Requires-Dist: {text}" for text in requirements)]
        return "\n".join(fields) if filename == "METADATA" else None

    def locate_file(self, path: object) -> Path:
        return Path(str(path))


def test_missing_packages_are_named_with_their_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks, "distribution", lambda name: Package())
    assert main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["works"] is False
    by_name = {check["name"]: check for check in found["checks"]}
    assert not by_name["packages"]["ok"]
    assert "scipy>=1000 (installed: " in by_name["packages"]["text"]
    assert by_name["packages"]["text"].endswith("), nowhere; pip install opzo")
    assert by_name["extra more"]["text"] == "absent; pip install 'opzo[more]'"
    assert by_name["extra all"]["ok"]
    assert "extra dev" not in by_name
    golden = {"name": "device golden", "ok": True, "text": "ran a sample of 4-4-2", "base": True}
    assert by_name["device golden"] == golden


def test_ports_without_permission_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    port = Port(str(tmp_path / "ttyUSB7"), "", "", "", "", None, None, False, [])
    monkeypatch.setattr(checks, "find_ports", lambda: [port])
    (check,) = checks._ports()
    assert not check.ok
    assert "dialout" in check.text
    Path(port.path).touch()
    (check,) = checks._ports()
    assert check.ok
    monkeypatch.setattr(checks, "find_ports", list)
    (check,) = checks._ports()
    assert "plug in a board" in check.text
