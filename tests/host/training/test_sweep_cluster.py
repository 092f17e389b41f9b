"""opzo sweep --cluster: runs on a Dask cluster come back; a lost worker's run is repeated."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster

from opzo.host.cli import cluster
from opzo.host.cli.main import main

EPOCHS = 20


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the workers."""
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def workers(place: Path) -> Iterator[LocalCluster]:
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(**options, local_directory=str(place)) as local:
        yield local


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    x = np.kron(np.eye(3), np.ones(3))[labels] * 200 + rng.integers(0, 55, (90, 9))
    np.savez(tmp_path / "patterns.npz", x_train=x[:60], y_train=labels[:60], x_test=x[60:], y_test=labels[60:])
    path = tmp_path / "small.toml"
    path.write_text(
        f'[settings]\ndata = "{tmp_path / "patterns.npz"}"\ndevice = "fast"\nnet = "9-6-3"\nlanes = 4\n'
        f"epochs = {EPOCHS}\n[sweep]\nseed = [0, 1, 2]\n"
    )
    return path


class Killer(threading.Thread):
    """Kills the first worker that has been training for some time."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address, self.killed = address, 0

    def run(self) -> None:
        with Client(self.address, set_as_default=False) as client:
            numbers: dict[str, int] = client.run(os.getpid)
            for _ in range(2400):
                busy = [worker for worker, tasks in client.processing().items() if tasks]
                if busy:
                    time.sleep(0.5)
                    self.killed = numbers[busy[0]]
                    os.kill(self.killed, signal.SIGKILL)
                    return
                time.sleep(0.05)


def sweep(file: Path, out: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert main(["sweep", str(file), "--out", str(out), "--json", "--quiet", *options]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def without_times(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [{key: row[key] for key in row if key not in ("seconds", "samples_per_second")} for row in result["runs"]]


def test_runs_of_a_killed_worker_are_repeated(
    workers: LocalCluster, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killer = Killer(workers.scheduler_address)
    killer.start()
    there = sweep(file, tmp_path / "there", capsys, "--cluster", workers.scheduler_address)
    killer.join()
    assert killer.killed
    here = sweep(file, tmp_path / "here", capsys, "--jobs", "2")
    assert [row["seed"] for row in there["runs"]] == [0, 1, 2]
    assert without_times(there) == without_times(here)
    for seed in range(3):
        mine, theirs = (
            {path.name for path in (tmp_path / folder / f"seed={seed}").iterdir()} for folder in ("here", "there")
        )
        assert theirs == mine
    # Complete runs are not trained again, so no cluster is needed.
    assert sweep(file, tmp_path / "there", capsys, "--cluster", "tcp://127.0.0.1:1") == there


def test_ctrl_c_saves_and_a_second_sweep_resumes(
    workers: LocalCluster, place: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(file.read_text().replace(f"epochs = {EPOCHS}", "epochs = 100000").replace("0, 1, 2", "0"))
    out = tmp_path / "out"

    def interrupt() -> None:
        for _ in range(2400):
            if list(place.rglob("seed=0/checkpoint.npz")):
                break
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert main(["sweep", str(file), "--out", str(out), "--cluster", workers.scheduler_address]) == 130
    thread.join()
    assert "0 of 1 runs are complete; the same command resumes the others" in capsys.readouterr().err
    assert (out / "seed=0" / "checkpoint.npz").exists()
    assert not (out / "seed=0" / "figures.json").exists()


def test_unreachable_scheduler_is_said(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        assert main(["sweep", str(file), "--out", str(tmp_path / "out"), "--cluster", address]) == 2
        assert f"opzo: error: no Dask scheduler at {address} (" in capsys.readouterr().err


def test_missing_library_is_said(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["sweep", str(file), "--out", str(tmp_path / "out"), "--cluster", "tcp://127.0.0.1:1"]) == 2
    assert "install it with: pip install 'opzo[cluster]'" in capsys.readouterr().err


def test_workers_of_another_version_are_refused(
    workers: LocalCluster,
    file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("opzo.__version__", "0.0.1")
    arguments = ["sweep", str(file), "--out", str(tmp_path / "out"), "--cluster", workers.scheduler_address]
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert "the worker tcp://" in err
    assert ", this is opzo 0.0.1, " in err
    assert "; install the same there" in err


def test_boards_are_refused(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(file.read_text().replace('"fast"', '"serial:/dev/ttyUSB0"'))
    assert main(["sweep", str(file), "--out", str(tmp_path / "out"), "--cluster", "tcp://127.0.0.1:1"]) == 2
    assert "serial:/dev/ttyUSB0 is a board of this machine" in capsys.readouterr().err
