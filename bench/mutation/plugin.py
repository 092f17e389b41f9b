"""Plugin of pytest in a campaign: limits CPU time, writes the first failure to a file, refuses another tree.

Hypothesis draws the same examples for each mutant, and does not shrink those that fail.
"""

import json
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, settings

import opzo

FAILURE, SECONDS = "OPZO_MUTANT_FAILURE", "OPZO_MUTANT_SECONDS"
"""Environment variables: path of the file, and CPU time of a test. SIGXCPU ends a test that uses more."""

settings.register_profile(
    "mutants", phases=(Phase.explicit, Phase.generate), derandomize=True, database=None, deadline=None
)
settings.load_profile("mutants")


def pytest_configure(config: pytest.Config) -> None:
    """End the run if it would test other sources than those of the copy."""
    if not Path(opzo.__file__).is_relative_to(config.rootpath):
        raise pytest.UsageError(f"opzo is that of {opzo.__file__}, not that of {config.rootpath}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Note the test, so that it is known if the process dies in it, and limit its CPU time."""
    _write(item.nodeid, "it ended the process", called=True)
    used = int(time.process_time()) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (used + int(os.environ[SECONDS]), resource.RLIM_INFINITY))
    return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write the first failure."""
    _report(report, called=True)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Write a file that cannot be imported."""
    _report(report, called=False)


def _report(report: pytest.TestReport | pytest.CollectReport, *, called: bool) -> None:
    if report.failed:
        text = report.longreprtext
        # Lines that begin with "E" are the error's own.
        told = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")] or text.splitlines()[-1:]
        _write(report.nodeid, told[0], called=called, text=text)


def _write(test: str, error: str, *, called: bool, text: str = "") -> None:
    """Write a failure; pytest ends at the first, but for teardowns."""
    path = Path(os.environ[FAILURE])
    if not path.exists() or not json.loads(path.read_text())["text"]:
        path.write_text(json.dumps({"test": test, "error": error[:300], "called": called, "text": text[-20_000:]}))
