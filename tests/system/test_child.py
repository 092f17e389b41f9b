"""Programs that opzo runs end with it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from opzo.system.child import end_children, run_child


def test_code_output_input_and_folder_of_temporary_files(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("given")
    command = ["sh", "-c", 'cat; pwd; echo "$TMPDIR $MINE" >&2; exit 3']
    code, told = run_child(command, tmp_path, stdin=tmp_path / "in", env={"MINE": "1"})
    assert (code, told.decode()) == (3, f"given{tmp_path}\n{tmp_path} 1\n")
    with (tmp_path / "log").open("wb") as log:
        assert run_child(["echo", "a b"], tmp_path, log=log) == (0, b"")
    assert (tmp_path / "log").read_text() == "a b\n"
    assert run_child(["sh", "-c", "kill -TERM $$"], tmp_path)[0] == -signal.SIGTERM
    with pytest.raises(FileNotFoundError):
        run_child(["absent-program"], tmp_path)


def gone(process: int) -> bool:
    """Whether a process ends soon."""
    for _ in range(100):
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(process, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_child_and_grandchild_end_with_their_parent(number: int, tmp_path: Path) -> None:
    program = (
        "import pathlib\nfrom opzo.system.child import run_child\n"
        f"run_child(['sh', '-c', 'sleep 60 & echo $$ $! > pids.new; mv pids.new pids; sleep 60'], "
        f"pathlib.Path({str(tmp_path)!r}))\n"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        pids = tmp_path / "pids"
        while not pids.exists():
            time.sleep(0.02)
        process.send_signal(number)
    assert all(gone(int(pid)) for pid in pids.read_text().split())


def test_children_of_threads_can_be_ended(tmp_path: Path) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(run_child(["sleep", "60"], tmp_path)[0]))
    begin = time.monotonic()
    thread.start()
    while not codes and time.monotonic() - begin < 30:
        end_children()
        time.sleep(0.02)
    thread.join()
    assert codes == [-signal.SIGTERM]
