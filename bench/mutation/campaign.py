"""Run the tests of mutants, one after the other, and record what became of each."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mutation.belongs import Step, folder_of, steps
from mutation.mutant import Mutant
from mutation.tree import Outcome, Tree

logger = logging.getLogger(__name__)

Row = dict[str, Any]
KILLED, TIMEOUT, SURVIVED, INVALID, UNCLEAR = "killed", "timeout", "survived", "invalid", "unclear"
"""What became of a mutant: INVALID is refused by the compiler or Amaranth; UNCLEAR: its test also fails without."""
LIMIT, GATEWARE_LIMIT, QUICK_GATEWARE_LIMIT = 30, 600, 120
"""Seconds of CPU time for one test, for one of gateware, some of which simulate for minutes, and for one of gateware
in a quick step: a chip that never answers simulates until then."""
BUILT = ("hw", "sim/fast")
"""Folders whose code is compiled, so that a mutant makes builds that no other uses."""
NO_BUILD = ("BuildError", "does not compile")
FOUND = ("AssertionError", "assert ", "Failed", "ValueError")
"""Begins of the errors by which a test finds a fault of gateware; others are of Python and of Amaranth."""


class Campaign:
    """Tests of mutants in a tree, each step stopped by its first failure.

    A test kills only if it passes without the mutant.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._passes: dict[Step, bool] = {}
        self._netlists: str | None = None

    def row(self, mutant: Mutant, *, all_steps: bool) -> Row:
        """Test a mutant with all of its steps, or with the quick ones; what became of it, for the file of results."""
        begin = time.monotonic()
        folder = folder_of(mutant.file)
        with self._tree.new_builds_removed() if folder in BUILT else nullcontext():
            found = self._tested(mutant, all_steps=all_steps)
            if all_steps and found["status"] == SURVIVED and folder == "hw":
                found["same_netlist"] = self._same_netlist(mutant)
        seconds = round(time.monotonic() - begin, 1)
        return {
            "key": mutant.key,
            "folder": folder,
            **asdict(mutant),
            **found,
            "all_steps": all_steps,
            "seconds": seconds,
        }

    def _tested(self, mutant: Mutant, *, all_steps: bool) -> Row:
        """Run steps until one fails."""
        quick, slow = steps(self._tree.root, mutant.file)
        for step in [*quick, *slow] if all_steps else quick:
            limit = LIMIT
            if mutant.file.startswith("hw/"):
                limit = QUICK_GATEWARE_LIMIT if step in quick else GATEWARE_LIMIT
            with self._tree.changed(mutant):
                outcome = self._tree.test(step, limit)
            if outcome.failed:
                status = self._status(mutant, step, outcome, limit)
                return {"status": status, "by": outcome.test or " ".join(step), "error": outcome.error}
        return {"status": SURVIVED, "by": "", "error": ""}

    def _status(self, mutant: Mutant, step: Step, outcome: Outcome, limit: int) -> str:
        """What a failure means: a test must pass without the mutant."""
        if any(text in outcome.error for text in NO_BUILD):
            return INVALID
        gateware = mutant.file.startswith("hw/") and not mutant.file.startswith("hw/export/")
        if gateware and not outcome.timeout and not outcome.error.startswith(FOUND):
            return INVALID
        again: Step = (outcome.test,) if outcome.test else step
        if not outcome.called:
            again = (*again, "--collect-only")
        if again not in self._passes:
            self._passes[again] = not self._tree.test(again, limit).failed
        if not self._passes[again]:
            logger.warning("%s also fails without %s", " ".join(again), mutant)
            return UNCLEAR
        return TIMEOUT if outcome.timeout else KILLED

    def _same_netlist(self, mutant: Mutant) -> bool:
        """Whether some chips do not change; then the change is in a check, or in what other chips use."""
        if self._netlists is None:
            self._netlists = self._tree.hash_netlists()
        with self._tree.changed(mutant):
            return bool(self._netlists) and self._tree.hash_netlists() == self._netlists


def read(path: Path) -> dict[str, Row]:
    """Results by key, the last of each mutant; empty if there is no file, without a last line that was cut."""
    rows: dict[str, Row] = {}
    for line in path.read_text().splitlines(keepends=True) if path.exists() else ():
        if line.endswith("\n"):
            row = json.loads(line)
            rows[row["key"]] = row
    return rows


def append(path: Path, row: Row) -> None:
    """Add a row; a last line that was cut, because a campaign was killed, is replaced."""
    with path.open("a+b") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(json.dumps(row).encode() + b"\n")


def of_row(row: Row) -> Mutant:
    """Mutant of a row."""
    return Mutant(*(row[name] for name in ("file", "line", "text", "start", "kind", "before", "after")))


def survivors(rows: dict[str, Row]) -> Iterator[Row]:
    """Rows of mutants that no test killed."""
    return (row for row in rows.values() if row["status"] == SURVIVED)
