"""Runs pytest again and again, each time in a fork of one process that has imported what is large and never mutated.

``python -m mutation.server`` reads requests from its input, a JSON object a line: ``arguments`` of pytest, ``output``,
the path of a file for what it prints, and ``environment``. It answers two lines: the process, which leads a session of
its own, and its wait status.
"""

import importlib
import json
import os
import resource
import sys
from typing import Any

import pytest

LARGE = (
    "numpy",
    "hypothesis",
    "hypothesis.extra.numpy",
    "anyio.pytest_plugin",
    "torch",
    "amaranth",
    "amaranth.back.rtlil",
)
"""Modules of other projects that the tests import; those that are not installed are left to the tests."""
MEMORY = 16 << 30
"""Bytes of addresses that a process of a test may have: a mutant may allocate without end."""


def child(request: dict[str, Any]) -> int:
    """Run pytest in this process; its exit code."""
    os.setsid()
    # A test whose program reserves more, as the checks of addresses do, can raise it.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open(os.devnull, "rb") as nothing, open(request["output"], "wb") as output:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.environ.update(request["environment"])
    sys.argv = ["pytest", *request["arguments"]]
    return int(pytest.main(request["arguments"]))


def main() -> None:
    """Answer requests until the input ends."""
    for name in LARGE:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    for line in sys.stdin:
        process = os.fork()
        if not process:
            code = 3
            try:
                code = child(json.loads(line))
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 1
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(status, flush=True)


if __name__ == "__main__":
    main()
