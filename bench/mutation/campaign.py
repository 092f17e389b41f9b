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
from opzo.spec.errors import OpzoError

logger = logging.getLogger(__name__)

Row = dict[str, Any]
KILLED, TIMEOUT, SURVIVED, INVALID, UNCLEAR = "killed", "timeout", "survived", "invalid", "unclear"
"""What became of a mutant: INVALID is refused by the compiler or Amaranth; UNCLEAR: its test also fails without."""
SLOWER, MARGIN = 5.0, 60.0
"""Limit of a step with a mutant: ``SLOWER`` times its time without, and ``MARGIN`` seconds."""
GATEWARE_LIMIT = 900.0
"""Limit in seconds of a step for gateware, which is not run without the mutant; its benches limit the cycles."""
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
        self._limits: dict[Step, float] = {}
        self._passes: dict[Step, bool] = {}
        self._netlists: str | None = None

    def row(self, mutant: Mutant, *, all_steps: bool) -> Row:
        """Test a mutant with all of its steps, or with the first; what became of it, for the file of results."""
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
        for step in steps(self._tree.root, mutant.file)[: None if all_steps else 1]:
            limit = GATEWARE_LIMIT if mutant.file.startswith("hw/") else self._limit(step)
            with self._tree.changed(mutant):
                outcome = self._tree.test(step, limit)
            if outcome.failed:
                status = self._status(mutant, step, outcome)
                return {"status": status, "by": outcome.test or " ".join(step), "error": outcome.error}
        return {"status": SURVIVED, "by": "", "error": ""}

    def _limit(self, step: Step) -> float:
        """Time limit of a step; OpzoError if it fails without a mutant."""
        if step not in self._limits:
            outcome = self._tree.test(step, GATEWARE_LIMIT)
            if outcome.failed:
                raise OpzoError(f"pytest {' '.join(step)} fails without a mutant: {outcome.test} {outcome.error}")
            self._limits[step] = SLOWER * outcome.seconds + MARGIN
        return self._limits[step]

    def _status(self, mutant: Mutant, step: Step, outcome: Outcome) -> str:
        if any(text in outcome.error for text in NO_BUILD):
            return INVALID
        gateware = mutant.file.startswith("hw/") and not mutant.file.startswith("hw/export/")
        if gateware and not outcome.timeout and not outcome.error.startswith(FOUND):
            return INVALID
        again: Step = (outcome.test,) if outcome.test else step
        if again not in self._passes:
            # A step with a limit has passed.
            self._passes[again] = again in self._limits or not self._tree.test(again, GATEWARE_LIMIT).failed
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
