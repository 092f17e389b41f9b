"""Fixtures shared by test modules; order of files; time limits; signals."""

import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from command_line import SMALL
from long_files import LONG

from opzo.host.cli.main import main


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files, so that parallel workers end together; remove the time limit of slow tests."""
    places = {Path(__file__).parents[1] / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path, len(LONG)))
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(0))


@pytest.fixture(scope="session", autouse=True)
def usual_signals() -> None:
    """Restore the default signal handlers: programs started by tests would inherit signals ignored by nohup."""
    for number, usual in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    rng = np.random.default_rng(0)
    labels = np.arange(260) % 3
    pixels = np.clip(np.kron(np.eye(3), np.ones(3))[labels] * 200 + rng.integers(0, 55, (260, 9)), 0, 255)
    path = tmp_path_factory.mktemp("data") / "mine.npz"
    np.savez(path, x_train=pixels[:200], y_train=labels[:200], x_test=pixels[200:], y_test=labels[200:])
    return str(path)


@pytest.fixture(scope="module")
def finished(data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    assert main(["train", "--data", data, "--out", str(folder), "--json", *SMALL]) == 0
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """Copy of a finished run."""
    return Path(shutil.copytree(finished, tmp_path / "run"))
