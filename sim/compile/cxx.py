"""The C++ compiler of this machine."""

import ctypes
import errno
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from opzo.spec.errors import OpzoError
from opzo.system.cache import cache_root, content_hash
from opzo.system.child import run_child

TUNINGS = (("-march=native", "-fvect-cost-model=unlimited"), ("-march=native",), ())
"""Options for code that must be fast on this machine, the best first: all of the processor's instructions, and vector
instructions wherever possible."""
PATIENCE = 60.0
"""Seconds within which a compiler must answer when it is asked for its version."""
FULL = os.strerror(errno.ENOSPC)
_WITHOUT = "--device golden works without it"


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler.

    Parameters
    ----------
    command : tuple of str
    tuning : tuple of str
        The first of TUNINGS that the compiler accepts.
    key : str
        Identifies compiler version and target processor, because machines may share a cache.
    """

    command: tuple[str, ...]
    tuning: tuple[str, ...]
    key: str

    def __str__(self) -> str:
        return shlex.join(self.command)


@cache
def find_cxx() -> Compiler:
    """Compiler of this machine: ``$CXX``, else g++ or clang++, else the ``ziglang`` wheel.

    Raises OpzoError, with a fix, if there is none.
    """
    try:
        command = tuple(shlex.split(os.environ.get("CXX", "")))
    except ValueError as error:
        raise OpzoError(f"CXX={os.environ['CXX']} cannot be read ({error}); set it to a C++ compiler") from None
    if command:
        pass
    elif found := next((path for name in ("g++", "clang++") if (path := shutil.which(name))), None):
        command = (found,)
    elif importlib.util.find_spec("ziglang") is not None:
        command = (sys.executable, "-m", "ziglang", "c++")
    else:
        raise OpzoError(
            f"no C++ compiler found; install one, such as Debian's g++ or: pip install ziglang ({_WITHOUT})"
        )
    told = _ask(command, "--version")
    for tuning in TUNINGS:
        try:
            # Its predefined macros show the target processor, and that it compiles C++.
            macros = _ask(command, *tuning, "-Werror", "-dM", "-E", "-x", "c++", os.devnull)
        except OpzoError:
            if tuning == TUNINGS[-1]:
                raise
        else:
            break
    if b"__cplusplus" not in macros:
        raise OpzoError(f"'{shlex.join(command)}' is not a C++ compiler; set CXX to one ({_WITHOUT})")
    return Compiler(command, tuning, content_hash(command, told, tuning, macros))


def _ask(command: Sequence[str], *options: str) -> bytes:
    """Output of a compiler for some options; OpzoError if it fails."""
    try:
        return subprocess.run(
            [*command, *options], check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE
        ).stdout
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        reason: object = error.strerror if isinstance(error, OSError) else error
        if isinstance(error, subprocess.CalledProcessError):
            reason = f"exit status {error.returncode}"
        raise OpzoError(
            f"the C++ compiler '{shlex.join(command)}' does not run ({reason}); set CXX to one that does ({_WITHOUT})"
        ) from error


class BuildError(OpzoError):
    """A tool failed on a design; ``output`` is its complete output."""

    def __init__(self, command: Sequence[str], reason: str, output: str = "") -> None:
        remedy = "set CXX to another C++ compiler (C++20), or " if tuple(command[:1]) == find_cxx().command[:1] else ""
        super().__init__(
            f"'{command[0]}' failed to build the simulation: {reason}; {remedy}use --device golden, which works without"
        )
        self.output = f"{shlex.join(command)}\n{output}"


def run_tool(command: Sequence[str], cwd: Path, **env: str) -> None:
    """Run a build step; BuildError if it fails, OSError if the disk is full."""
    try:
        # Messages in English, because the reason is extracted from them.
        code, told = run_child(command, cwd, env={"LC_ALL": "C", **env})
    except OSError as error:
        raise BuildError(command, error.strerror or str(error)) from error
    if code:
        output = told.decode(errors="replace")
        if FULL in output:
            raise OSError(errno.ENOSPC, FULL, str(cwd))
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        default = lines[-1] if lines else f"exit code {code} without a message"
        raise BuildError(command, next((line for line in lines if "error" in line.lower()), default), output)


def check_executable(folder: Path) -> None:
    """Raise OpzoError if programs in ``folder`` may not run, before building one."""
    if os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0):
        raise OpzoError(
            f"programs in {cache_root()} cannot be run, because its file system is mounted noexec; "
            f"set OPZO_CACHE to a folder on another file system ({_WITHOUT})"
        )


def load_library(path: Path) -> ctypes.CDLL:
    """Load a library built by the compiler of `find_cxx`; OpzoError if it cannot be loaded."""
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        check_executable(path.parent)
        # A C compiler does not link the C++ library.
        raise OpzoError(
            f"the library built by '{shlex.join(find_cxx().command)}' cannot be loaded ({error}); "
            f"set CXX to a C++ compiler, such as g++ ({_WITHOUT})"
        ) from error
