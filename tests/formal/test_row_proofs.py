"""Sequencer: no row is read between read and write of its update, whatever the passes contain."""

import pytest
from open_sequencer import OpenSequencer
from proof import CounterexampleError, Proof, mutant
from rows import rows

from opzo.spec.limits import Limits

pytestmark = pytest.mark.formal

# More lanes than QUIET_CYCLES, so that a readout holds the chain for longer than rows are under way.
DENSE = Limits(lanes=32, rows=16, inputs=4, words=4, classes=3, layers=2, lanes_per_group=4)
CONVOLUTIONS = Limits(
    lanes=32, rows=16, inputs=4, words=4, classes=3, layers=2, lanes_per_group=8, gradients=8, blocks=4, block=2
)
REACHED = 24


@pytest.mark.parametrize(
    "limits", [DENSE, pytest.param(CONVOLUTIONS, marks=pytest.mark.slow)], ids=["dense", "convolutions"]
)
def test_no_row_is_read_before_its_update_is_written(limits: Limits) -> None:
    """Unbounded, by induction over 1 cycle: passes, runs and stalls of any number and length.

    The row is any row of weights or feedback entries. The layers have up to 4 words of up to 4 rows.
    """
    proof = rows(OpenSequencer(limits))
    proof.induction(1)
    proof.reached(REACHED)


SCHEDULE = "opzo.hw.schedule."
MUTANTS = {
    "overlapping_words": (
        DENSE,
        "runner",
        "plan.stride.eq(waiting.settings.rows)",
        "plan.stride.eq(waiting.settings.rows - 1)",
        14,
    ),
    "parts_do_not_wait": (
        CONVOLUTIONS,
        "runner",
        "waits.eq(plan.parts & begins_part & ~self.quiet)",
        "waits.eq(0)",
        16,
    ),
    "part_begins_late": (CONVOLUTIONS, "runner", "last.eq(end - 1)", "last.eq(end)", 16),
    "run_ends_early": (
        DENSE,
        "sequencer",
        "~runner.running & progress.progress.quiet &",
        "~runner.running &",
        20,
    ),
}
UNBOUNDED = {
    "entries_of_feedback_not_awaited": (
        DENSE,
        "pass_gate",
        "may_start.eq(has_errors & entries_written)",
        "may_start.eq(has_errors)",
    ),
    "entries_not_awaited": (
        DENSE,
        "pass_gate",
        "~progress.reading_out & entries_written)",
        "~progress.reading_out)",
    ),
    "forgotten_layer": (
        DENSE,
        "progress",
        "feedback & (self.op.layer == layer), written)",
        "feedback & (self.op.layer == 0), written)",
    ),
}
CLASSES = {"runner": "PassRunner", "pass_gate": "PassGate", "progress": "RunProgress"}


def wrong(limits: Limits, module: str, old: str, new: str) -> Proof:
    """The proof about a sequencer with a mutant."""
    changed = mutant(SCHEDULE + module, old, new)
    if module == "sequencer":
        return rows(OpenSequencer(limits, changed))
    name = CLASSES[module]
    return rows(OpenSequencer(limits, **{name: getattr(changed, name)}))


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_unit_is_found(name: str) -> None:
    *what, cycles = MUTANTS[name]
    wrong(*what).refute("rows_are_written", cycles)


@pytest.mark.parametrize("name", UNBOUNDED)
def test_a_wrong_gate_is_rejected(name: str) -> None:
    """By the induction: a run that breaks the claim takes too many cycles to be found."""
    proof = wrong(*UNBOUNDED[name])
    with pytest.raises(CounterexampleError):
        proof.induction(1)
