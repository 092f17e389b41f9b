"""Plugin of pytest in a campaign: writes the first failure to ``$OPZO_MUTANT_FAILURE``, refuses another tree.

Hypothesis draws the same examples for each mutant, and does not shrink those that fail.
"""

import json
import os
from pathlib import Path

import pytest
from hypothesis import Phase, settings

import opzo

FAILURE = "OPZO_MUTANT_FAILURE"
"""Environment variable with the path of the file."""

settings.register_profile(
    "mutants", phases=(Phase.explicit, Phase.generate), derandomize=True, database=None, deadline=None
)
settings.load_profile("mutants")


def pytest_configure(config: pytest.Config) -> None:
    """End the run if it would test other sources than those of the copy."""
    if not Path(opzo.__file__).is_relative_to(config.rootpath):
        raise pytest.UsageError(f"opzo is that of {opzo.__file__}, not that of {config.rootpath}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write the first failure."""
    _write(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Write a file that cannot be imported."""
    _write(report)


def _write(report: pytest.TestReport | pytest.CollectReport) -> None:
    path = Path(os.environ[FAILURE])
    if report.failed and not path.exists():
        text = report.longreprtext
        # Lines that begin with "E" are the error's own.
        told = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")] or text.splitlines()[-1:]
        path.write_text(json.dumps({"test": report.nodeid, "error": told[0][:300], "text": text[-20_000:]}))
