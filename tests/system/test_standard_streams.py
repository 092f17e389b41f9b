"""Commands whose standard streams are closed, full, without a reader or not UTF-8; paths that are not text."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from opzo.host.cli.main import main
from opzo.host.training.config import Config, read_toml
from opzo.system.standard_streams import Output

OPZO = [sys.executable, "-c", "import sys; from opzo.host.cli.main import main; sys.exit(main())"]
INFO = ["info", "--device", "golden", "--json"]
LATIN = os.fsdecode(b"lat\xe9")


def shell(command: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run opzo with ``arguments`` where ``command`` says "$@"."""
    return subprocess.run(
        ["sh", "-c", command, "sh", *OPZO, *arguments], capture_output=True, env=os.environ | env, timeout=120
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    arrays = {f"x_{part}": generator.integers(0, 256, (20, 16), dtype=np.uint8) for part in ("train", "test")}
    labels = {f"y_{part}": np.arange(20) % 2 for part in ("train", "test")}
    np.savez(tmp_path / "d.npz", **arrays, **labels)
    return tmp_path / "d.npz"


def training(data: Path, folder: str = "run", epochs: int = 1) -> list[str]:
    settings = ["--net", "16-4-2", "--lanes", "4", "--device", "golden", "--epochs", str(epochs)]
    return ["train", "--data", str(data), *settings, "--out", str(data.parent / folder)]


def test_closed_stderr_keeps_messages_out_of_results() -> None:
    done = shell('exec "$@" 2>&-', *INFO)
    assert done.returncode == 0
    assert json.loads(done.stdout)["device"] == "golden"
    done = shell('exec "$@" 2>&-', "info", "absent.npz")
    assert (done.returncode, done.stdout) == (2, b"")


def test_closed_streams_are_opened_so_that_no_file_takes_their_place(data: Path) -> None:
    done = shell('exec "$@" <&- >&-', *training(data, epochs=2), "-q")
    assert done.returncode == 0
    assert done.stderr.startswith(b"opzo: warning: standard output is closed; results are not shown\n")
    assert json.loads((data.parent / "run" / "figures.json").read_text())["epochs"] == 2
    done = shell('exec "$@" <&- >&- 2>&-', *training(data, "other"), "-q")
    assert done.returncode == 0
    assert (data.parent / "other" / "figures.json").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_full_disk_behind_stdout_is_one_line() -> None:
    for command in ('exec "$@" >/dev/full', 'exec "$@" >/dev/full -q'):
        done = shell(command.removesuffix(" -q"), *INFO)
        assert done.returncode == 1
        assert done.stderr.decode().splitlines() == [
            "opzo: error: cannot write to standard output: No space left on device; results are incomplete"
        ]
    assert shell('exec "$@" 2>/dev/full', *INFO).returncode == 0
    assert shell('exec "$@" >/dev/full', "--help").returncode == 1


def test_reader_that_goes_ends_a_training_as_ctrl_c_does(data: Path) -> None:
    command = [*OPZO, *training(data, epochs=10_000)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read().decode()
    assert process.returncode == 130
    assert f"opzo: saved; resume with: opzo train --resume {data.parent / 'run'}" in told
    assert told.splitlines()[-1] == (
        "opzo: error: cannot write to standard output: its reader is gone; results are incomplete"
    )
    assert (data.parent / "run" / "checkpoint.npz").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_end_a_command_as_ctrl_c_does(number: int, tmp_path: Path) -> None:
    command = [*OPZO, "simulate", "--device", "golden"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_signal_outside_of_a_training_is_an_interruption(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from opzo.host.cli.commands import info

    def wait(arguments: object) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
        raise AssertionError("SIGTERM had no effect")

    monkeypatch.setattr(info, "run", wait)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["info", "x"]) == 130
    assert capsys.readouterr().err == "opzo: interrupted\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_an_encoding_lacks_is_escaped_and_bytes_of_names_stay() -> None:
    for encoding, expected in (("utf-8", b"lat\xe9 \xc3\xa9 \xe2\x82\xac"), ("ascii", b"lat\xe9 \\xe9 \\u20ac")):
        buffer = io.BytesIO()
        output = Output(io.TextIOWrapper(buffer, encoding), interrupt=False)
        output.write(f"{LATIN} é €")
        output.flush()
        assert buffer.getvalue() == expected


def test_names_that_are_not_text(data: Path) -> None:
    folder = data.parent / LATIN
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes text only")
    moved = data.rename(folder / "d.npz")
    done = shell('exec "$@"', *training(moved), "-q", PYTHONIOENCODING="utf-8")
    assert done.returncode == 0
    assert b"lat" in done.stdout
    assert read_toml(folder / "run" / "config.toml")["data"] == str(moved)
    done = shell('exec "$@"', "eval", str(folder / "run"), "--device", "golden", "--json", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    done = shell('exec "$@"', "eval", str(folder / "absent"), PYTHONIOENCODING="utf-8")
    assert done.returncode == 2
    assert done.stderr.startswith(b"opzo: error: ")
    assert done.stderr.count(b"\n") == 1


def test_configuration_with_a_path_that_is_not_text_is_read_again(tmp_path: Path) -> None:
    try:
        (tmp_path / LATIN).touch()
    except OSError:
        pytest.skip("this file system takes text only")
    config = Config(data=str(tmp_path / LATIN), net="16-4-2")
    (tmp_path / "c.toml").write_bytes(b"\xef\xbb\xbf" + config.toml().encode(errors="surrogateescape"))
    assert Config.of(read_toml(tmp_path / "c.toml"), "the file") == config


def test_escape_codes_in_a_message_do_not_reach_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from opzo.host.cli.commands import info
    from opzo.spec.errors import OpzoError

    def fail(arguments: object) -> int:
        raise OpzoError("a \x1b[1mbold\x1b[0m\nword and \x07a bell")

    monkeypatch.setattr(info, "run", fail)
    assert main(["info", "x"]) == 2
    assert capsys.readouterr().err == "opzo: error: a bold word and \\x07a bell\n"
