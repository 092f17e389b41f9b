"""Several ``opzo`` commands at a time, each in a process of its own that ends with this one."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from opzo.host.cli.main import main
from opzo.system.interrupt import Interrupt

NOT_RUN = -1000
"""In place of an exit code, for what was not started because the user stopped."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Settings of the libraries that would each take all cores."""


class Jobs:
    """Runs ``opzo`` commands in processes.

    The first Ctrl-C, SIGTERM or SIGHUP asks them to save and stop; a second one ends them at once. A process whose
    parent is gone, killed for example, stops by itself.

    Parameters
    ----------
    count : int
        Processes at a time.
    tell : callable
        Gets the index of a command, and each line that it says on stderr; called from several threads.
    stopping : callable
        Called at the first signal, to answer the user.

    Attributes
    ----------
    stopped : bool
        Whether there was a signal.
    """

    def __init__(self, count: int, tell: Callable[[int, str], None], stopping: Callable[[], None]) -> None:
        self._count, self._tell, self._stopping = count, tell, stopping
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self.stopped = False

    def run(self, commands: Sequence[Sequence[str]]) -> Generator[tuple[int, int]]:
        """Run ``opzo`` with each list of arguments; index and exit code (below 0: minus a signal) as they end.

        Closing it kills what still runs.
        """
        pool = ThreadPoolExecutor(max(1, min(self._count, len(commands))))
        try:
            with Interrupt(self._stop):
                tasks = {pool.submit(self._one, index, command): index for index, command in enumerate(commands)}
                for task in as_completed(tasks):
                    yield tasks[task], task.result()
        except BaseException:
            # A second signal, or an error of the caller.
            self.stopped = True
            for process in list(self._processes.values()):
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _one(self, index: int, command: Sequence[str]) -> int:
        if self.stopped:
            return NOT_RUN
        # The child takes the path of this process, not files in the working folder that are named like a library's.
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import child; sys.exit(child(sys.argv[1:]))"
        with subprocess.Popen(
            [sys.executable, "-P", "-c", code, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=dict.fromkeys(THREADS, str(max(1, (os.cpu_count() or 1) // self._count))) | os.environ,
            # Ctrl-C in a terminal reaches this process alone, which passes it on.
            start_new_session=True,
        ) as process:
            self._processes[index] = process
            try:
                if self.stopped:
                    process.terminate()
                assert process.stderr is not None
                for line in process.stderr:
                    with contextlib.suppress(OSError):
                        self._tell(index, line.rstrip("\n"))
                return process.wait()
            finally:
                del self._processes[index]

    def _stop(self) -> None:
        self.stopped = True
        with contextlib.suppress(OSError):
            self._stopping()
        for process in list(self._processes.values()):
            process.terminate()


def child(arguments: list[str]) -> int:
    """Run ``opzo`` as a process of ``Jobs``: its stdin ends when the parent does, however that ends; exit code."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        # Nobody reads what this process says any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    return main(arguments)
