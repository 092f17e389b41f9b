"""Help for a bare opzo, and completion by the shell."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from opzo.boards.registry import BOARDS
from opzo.host.cli.main import COMMANDS, main
from opzo.host.data.data_sets import DATA_SETS

ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_opzo; printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "opzo.bash"
    command = [sys.executable, "-m", "opzo", "completion", "bash"]
    path.write_text(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return path


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tr"], {"train"}),
        ([""], set(COMMANDS)),
        (["reference", "ta"], {"table"}),
        (["train", "--ep"], {"--epochs"}),
        (["predict", "--fo"], {"--format"}),
        (["train", "--data", "di"], {"digits"}),
        (["train", "--data", ""], {*DATA_SETS, "folder", "mine.npz"}),
        (["predict", "folder", "mi"], {"mine.npz"}),
        (["predict", "folder", "sac"], {"saccade-digits", "saccade-mnist"}),
        (["eval", "fo"], {"folder"}),
        (["train", "--from", "fo"], {"folder"}),
        (["train", "--rule", "d"], {"dfa"}),
        (["eval", "folder", "--set", ""], {"test", "train"}),
        (["build", "--board", "ulx"], {board.name for board in BOARDS if board.name.startswith("ulx")}),
        (["train", "--data-root", ""], {"folder"}),
    ],
)
def test_bash_completes(words: list[str], expected: set[str], script: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.npz").touch()
    (tmp_path / "folder").mkdir()
    command = ["bash", "-c", ASK, "bash", str(script), "opzo", *words]
    process = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert set(process.stdout.split()) == expected
    assert process.stderr == ""


def test_zsh_gets_a_script_with_the_names_of_data_sets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "zsh"]) == 0
    script = capsys.readouterr().out
    assert script.startswith("#compdef opzo")
    assert f"compadd -- {' '.join(DATA_SETS)}; _files;" in script


@pytest.mark.parametrize("command", ["predict", "boards", "doctor", "completion"])
def test_help_fits_80_columns(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize("command", [[], ["data"], ["reference"]])
def test_without_a_command_the_overview_is_printed(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"usage: {' '.join(['opzo', *command])} [-h]")
    assert captured.err == ""
    if not command:
        assert {line.split()[0] for line in captured.out.splitlines() if line.startswith("    ")} >= set(COMMANDS)
    assert max(map(len, captured.out.splitlines())) <= 80
