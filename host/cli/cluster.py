"""Training runs on the workers of a Dask cluster, in place of the processes of `opzo.host.cli.jobs`."""

import contextlib
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from opzo.host.cli.jobs import NOT_RUN, child_command
from opzo.host.training.checkpoint import made_by
from opzo.host.training.run_folder import CHECKPOINT, FIGURES, RunFolder
from opzo.host.training.sweep import PlannedRun
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable
from opzo.system.atomic import write_atomically
from opzo.system.interrupt import Interrupt

PATIENCE = 10.0
"""Seconds within which the scheduler must answer."""
POLL = 0.5
"""Seconds between two looks of a worker at its run, and at whether to stop it."""


@dataclass(frozen=True)
class _Done:
    """A run that a worker has ended: exit code, lines that it logged, contents of its folder by name."""

    code: int
    lines: list[str]
    files: dict[str, bytes]


class Cluster:
    """A Dask cluster that trains runs; each comes back into its folder on this machine.

    Runs of a worker that is lost begin again on another one, from the checkpoint that they were sent with. The first
    Ctrl-C, SIGTERM or SIGHUP asks the workers to save and stop, and their checkpoints come back too.

    OpzoError where the library is missing, the cluster cannot be reached, or a worker has another opzo.

    Parameters
    ----------
    address : str
        Address of the scheduler, such as ``tcp://10.0.0.5:8786``.
    log : callable
        Called with the index of a run and each line that it logged, once it has ended.
    stopping : callable
        Called at the first signal, to inform the user.

    Attributes
    ----------
    stopped : bool
        Whether there was a signal.
    """

    def __init__(self, address: str, log: Callable[[int, str], None], stopping: Callable[[], None]) -> None:
        try:
            distributed: Any = import_module("distributed")
        except ModuleNotFoundError as error:
            raise OpzoError(
                f"--cluster needs the package {error.name}; install it with: pip install 'opzo[cluster]'"
            ) from None
        self._log, self._stopping = log, stopping
        self.stopped = False
        try:
            self._client: Any = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise OpzoError(
                f"no Dask scheduler at {printable(address)} ({printable(str(error))}); start one with: dask scheduler"
            ) from None
        self._stop: Any = distributed.Event(f"opzo-stop-{uuid.uuid4()}", client=self._client)
        self._completed: Any = distributed.as_completed
        self._check_versions()

    def _check_versions(self) -> None:
        try:
            found: dict[str, str] = self._client.run(made_by)
        except ModuleNotFoundError as error:
            self.close()
            raise OpzoError(f"a worker of the cluster has no package {error.name}; install opzo there too") from None
        for worker, version in found.items():
            if version != made_by():
                self.close()
                raise OpzoError(f"the worker {worker} has {version}, this is {made_by()}; install the same there")

    def close(self) -> None:
        """Leave the cluster."""
        self._client.close()

    def run(self, runs: Sequence[PlannedRun]) -> Generator[tuple[int, int]]:
        """Train the runs; index and exit code of each as it ends, when its folder is complete on this machine."""
        with contextlib.closing(self), Interrupt(self._request_stop):
            # Runs are not functions of their arguments: those of an earlier sweep must not be taken for these.
            tasks = {
                self._client.submit(_train, run, _files(run.folder), self._stop.name, pure=False): index
                for index, run in enumerate(runs)
            }
            try:
                for task in self._completed(list(tasks), loop=self._client.loop, raise_errors=False):
                    yield tasks[task], self._ended(task, tasks[task], runs[tasks[task]].folder)
            except BaseException:
                # A second signal, or an error of the caller.
                self.stopped = True
                self._stop.set()
                raise

    def _ended(self, task: Any, index: int, folder: Path) -> int:
        """Bring a run back that has ended; exit code."""
        if task.status != "finished":
            self._log(index, f"error: {_reason(task)}")
            return 1
        done: _Done = task.result()
        if done.files:
            _store(folder, done.files)
        for line in done.lines:
            self._log(index, line)
        return done.code

    def _request_stop(self) -> None:
        self.stopped = True
        with contextlib.suppress(OSError):
            self._stopping()
        self._stop.set()


def _reason(task: Any) -> str:
    """Why a task has no result, in words."""
    if task.status == "lost":
        return "the cluster was lost"
    error = task.exception()
    if type(error).__name__ == "KilledWorker":
        return f"every worker that trained it was lost, the last was {error.last_worker.address}"
    return printable(f"{type(error).__name__}: {error}")


def _files(folder: Path) -> dict[str, bytes]:
    """Contents of a run folder by name, empty without a checkpoint to resume from."""
    if not (folder / CHECKPOINT).exists():
        return {}
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _store(folder: Path, files: dict[str, bytes]) -> None:
    """Write the contents of a run folder; the figures last, because they mark it as complete."""
    with RunFolder(folder).lock():
        for name in sorted(files, key=lambda name: name == FIGURES):
            write_atomically(folder / name, files[name])


def _train(run: PlannedRun, files: dict[str, bytes], stop: str) -> _Done:
    """Train a run in a process of its own, on a worker, until the event of name ``stop`` is set."""
    distributed: Any = import_module("distributed")
    stopping = distributed.Event(stop, client=distributed.get_client())
    if stopping.is_set():
        return _Done(NOT_RUN, [], {})
    # Dask removes the folder of a worker that was lost.
    place = Path(tempfile.mkdtemp(prefix="opzo-", dir=distributed.get_worker().local_directory))
    try:
        folder = place / run.folder.name
        for name, content in files.items():
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        with (place / "log").open("w+") as log:
            command, environment = child_command(replace(run, folder=folder).command(), threads=1)
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log, env=environment, cwd=place
            ) as process:
                while process.poll() is None:
                    time.sleep(POLL)
                    if stopping.is_set():
                        process.terminate()
                        process.wait()
            log.seek(0)
            lines = [line.rstrip("\n") for line in log]
        kept = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
        return _Done(process.returncode, lines, {path.name: path.read_bytes() for path in kept})
    finally:
        shutil.rmtree(place, ignore_errors=True)
