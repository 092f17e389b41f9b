"""A copy of the repository in which mutants are tested."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mutation.belongs import Step
from mutation.mutant import Mutant
from mutation.plugin import FAILURE, SECONDS
from opzo.spec.errors import OpzoError

SHARED = ("header-", "verilated")
"""Begins of the names of builds that all simulations share."""


@dataclass(frozen=True)
class Outcome:
    """Result of one run of pytest.

    Attributes
    ----------
    failed : bool
    timeout : bool
        It used up its time, or waited too long; then ``failed`` as well.
    called : bool
        ``test`` was called; otherwise it could not be collected.
    test, error, text : str
        First test that failed, its error in a line, what pytest shows of it; empty if the run ended otherwise.
    """

    failed: bool
    timeout: bool = False
    called: bool = False
    test: str = ""
    error: str = ""
    text: str = ""


class Tree:
    """Copy of the files of ``repository`` that git does not ignore, in ``work``, with a cache of its own.

    Its tests run on one core, one after the other, with the interpreter of this process. A context manager, at whose
    end all processes end.
    """

    def __init__(self, repository: Path, work: Path) -> None:
        self.root, self._cache, self._scratch = work / "tree", work / "cache", work / "scratch"
        shutil.rmtree(self.root, ignore_errors=True)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=repository,
            check=True,
            capture_output=True,
        ).stdout
        for name in filter(None, listed.decode().split("\0")):
            if os.path.lexists(repository / name):
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(repository / name, self.root / name, follow_symlinks=False)
        # The tests take the folder for a repository.
        subprocess.run(["git", "init", "-q"], cwd=self.root, check=True)
        self._cache.mkdir(parents=True, exist_ok=True)
        self._environment = os.environ | {
            "PYTHONPATH": f"{self.root / 'src'}{os.pathsep}{self.root / 'bench'}",
            "OPZO_CACHE": str(self._cache),
            "OMP_NUM_THREADS": "1",
        }
        self._server: subprocess.Popen[str] | None = None
        self._running = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._end_session()
        if self._server is not None:
            assert self._server.stdin is not None
            self._server.stdin.close()
            self._server.wait()

    @contextmanager
    def changed(self, mutant: Mutant) -> Iterator[None]:
        """The tree with a mutant."""
        path = self.root / mutant.file
        source = path.read_bytes()
        _write(path, mutant.applied(source))
        try:
            yield
        finally:
            _write(path, source)

    @contextmanager
    def new_builds_removed(self) -> Iterator[None]:
        """Remove what is compiled meanwhile, but for what all simulations share."""
        before = self._builds()
        try:
            yield
        finally:
            for build in self._builds() - before:
                shutil.rmtree(build, ignore_errors=True)

    def _builds(self) -> set[Path]:
        paths = [path for folder in (self._cache, self._cache / "sim_build") for path in folder.glob("*-*")]
        return {path for path in paths if path.is_dir() and not path.name.startswith(SHARED)}

    def test(self, step: Step, seconds: int) -> Outcome:
        """Run pytest until its first failure, each test for at most ``seconds`` of CPU time.

        A test that waits is ended after ten times that. OpzoError if there is no test.
        """
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir()
        failure, output = self._scratch / "failure.json", self._scratch / "output"
        timeout = f"timeout={10 * seconds}"
        request = {
            "arguments": ["-x", "-q", "-p", "mutation.plugin", "-p", "no:cacheprovider", "-o", timeout, *step],
            "output": str(output),
            "environment": {"TMPDIR": str(self._scratch), FAILURE: str(failure), SECONDS: str(seconds)},
        }
        code = self._run(request)
        found = json.loads(failure.read_text()) if failure.exists() else {}
        if code == 0:
            return Outcome(False)
        if code == -signal.SIGXCPU or found.get("error", "").startswith("Failed: Timeout"):
            return Outcome(True, timeout=True, **found)
        # Pytest could not begin: an error of conftest.py may be one of the mutant.
        if found or code < 0 or code in (1, 2, 3, 4):
            return Outcome(True, **({"error": _last_line(output.read_text(errors="replace"))} | found))
        raise OpzoError(f"pytest {' '.join(step)} ended with code {code}: there is no such test")

    def _run(self, request: dict[str, Any]) -> int:
        """Exit code of pytest, negative for a signal."""
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "mutation.server"],
                cwd=self.root,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        server = self._server
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        self._running = int(server.stdout.readline())
        status = int(server.stdout.readline())
        # Simulators and servers that tests have started end with them.
        self._end_session()
        return os.waitstatus_to_exitcode(status)

    def _end_session(self) -> None:
        """Kill the running tests, and all that they have started."""
        if self._running:
            with suppress(ProcessLookupError):
                os.killpg(self._running, signal.SIGKILL)
            self._running = 0

    def hash_netlists(self) -> str:
        """Hash of the netlists of some chips; empty if they cannot be made."""
        command = [sys.executable, "-m", "mutation.netlists"]
        found = subprocess.run(command, cwd=self.root, env=self._environment, capture_output=True, text=True)
        return "" if found.returncode else found.stdout.strip()


def _write(path: Path, source: bytes) -> None:
    """Write a source file, and remove its compiled form.

    Python takes that for current by its source's size and time in seconds, which a mutant may share.
    """
    path.write_bytes(source)
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
        compiled.unlink()


def _last_line(text: str) -> str:
    return ([line.strip() for line in text.splitlines() if line.strip()] or ["no output"])[-1]
