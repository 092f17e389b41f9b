"""The C++ compiler of this machine."""

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

from opzo.spec.cache import content_hash
from opzo.spec.errors import OpzoError

TUNINGS = (("-march=native", "-fvect-cost-model=unlimited"), ("-march=native",), ())
"""Options for what must be fast on this machine, the best first: all of the processor's instructions, and vector
instructions wherever they are possible."""


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler.

    Parameters
    ----------
    command : tuple of str
    tuning : tuple of str
        The first of TUNINGS that the compiler knows.
    key : str
        Tells apart what other versions would build, or the same one for other processors: machines may share a cache.
    """

    command: tuple[str, ...]
    tuning: tuple[str, ...]
    key: str


@cache
def find_cxx() -> Compiler:
    """Compiler of this machine: ``$CXX``, else g++ or clang++, else the ``ziglang`` wheel.

    Raises OpzoError, with the remedy, where there is none.
    """
    if chosen := os.environ.get("CXX"):
        command = tuple(shlex.split(chosen))
    elif found := next((path for name in ("g++", "clang++") if (path := shutil.which(name))), None):
        command = (found,)
    elif importlib.util.find_spec("ziglang") is not None:
        command = (sys.executable, "-m", "ziglang", "c++")
    else:
        raise OpzoError(
            "no C++ compiler found; install one, such as Debian's g++ or: pip install ziglang "
            "(--device golden works without it)"
        )
    try:
        told = subprocess.run([*command, "--version"], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise OpzoError(
            f"the C++ compiler '{shlex.join(command)}' does not run ({error}); set CXX to one that does "
            "(--device golden works without it)"
        ) from error
    for tuning in TUNINGS:
        # What it predefines tells for which processor it compiles.
        probe = [*command, *tuning, "-Werror", "-dM", "-E", "-x", "c++", os.devnull]
        macros = subprocess.run(probe, capture_output=True, text=True)
        if macros.returncode == 0:
            break
    return Compiler(command, tuning, content_hash(command, told, tuning, macros.stdout))


class BuildError(OpzoError):
    """A tool failed on a design; ``output`` is all that it said."""

    def __init__(self, command: Sequence[str], output: str) -> None:
        lines = output.splitlines() or ["no message"]
        reason = next((line for line in lines if "error" in line.lower()), lines[-1]).strip()
        super().__init__(
            f"'{command[0]}' failed to build the simulation: {reason}; "
            "set CXX to another C++ compiler (C++20), or use --device golden, which works without"
        )
        self.output = f"{shlex.join(command)}\n{output}"


def run_tool(command: Sequence[str], cwd: Path, **env: str) -> None:
    """Run a build step; BuildError where it fails."""
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise BuildError(command, done.stdout)
