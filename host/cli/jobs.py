"""Parallel ``opzo`` commands, each in a process of its own that ends with this one."""

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
"""Exit code of a command that was not started because the user stopped."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables of libraries that would each use all cores."""


class Jobs:
    """Runs ``opzo`` commands in processes.

    The first Ctrl-C, SIGTERM or SIGHUP asks them to save and stop; a second one kills them. A process stops by itself
    when its parent has ended, even if that was killed.

    Parameters
    ----------
    count : int
        Number of processes at a time.
    log : callable
        Called with the index of a command and each line of its stderr, from several threads.
    stopping : callable
        Called at the first signal, to inform the user.

    Attributes
    ----------
    stopped : bool
        Whether there was a signal.
    """

    def __init__(self, count: int, log: Callable[[int, str], None], stopping: Callable[[], None]) -> None:
        self._count, self._log, self._stopping = count, log, stopping
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self.stopped = False

    def run(self, commands: Sequence[Sequence[str]]) -> Generator[tuple[int, int]]:
        """Run ``opzo`` with each list of arguments; index and exit code (negative: a signal) of each as it ends.

        Closing the generator kills the processes that still run.
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
        arguments, environment = child_command(command, threads=max(1, (os.cpu_count() or 1) // self._count))
        with subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
            # Ctrl-C in a terminal reaches only this process, which forwards it.
            start_new_session=True,
        ) as process:
            self._processes[index] = process
            try:
                if self.stopped:
                    process.terminate()
                assert process.stderr is not None
                for line in process.stderr:
                    with contextlib.suppress(OSError):
                        self._log(index, line.rstrip("\n"))
                return process.wait()
            finally:
                del self._processes[index]

    def _stop(self) -> None:
        self.stopped = True
        with contextlib.suppress(OSError):
            self._stopping()
        for process in list(self._processes.values()):
            process.terminate()


def child_command(command: Sequence[str], threads: int) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of a process that runs ``opzo`` with a list of arguments and ends with this one.

    Its stdin must be a pipe from this process; ``threads`` is the number of threads of numeric libraries.
    """
    # The child gets the module path of this process, so that files in the working folder cannot shadow a library.
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import child; sys.exit(child(sys.argv[1:]))"
    return [sys.executable, "-P", "-c", code, *command], dict.fromkeys(THREADS, str(threads)) | os.environ


def child(arguments: list[str]) -> int:
    """Run ``opzo`` as a process of `Jobs`; exit code. Its stdin ends when the parent ends."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        # The pipe of stderr has no reader any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    return main(arguments)
