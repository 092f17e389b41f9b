"""Gradient accumulators: no change of a row is lost, however close together they come."""

import pytest
from amaranth import Cat, Mux, Signal, Value, signed
from proof import Proof, mutant

from opzo.hw.gradients.accumulators import HALF, Change, GradientAccumulators
from opzo.hw.timing import GRADIENT_CYCLES
from opzo.spec.formats import GRADIENT
from opzo.spec.geometry import CELL_BITS
from opzo.spec.limits import Limits

pytestmark = pytest.mark.formal

LIMITS = Limits(lanes=4, rows=64, inputs=4, words=2, classes=2, layers=2, lanes_per_group=2, gradients=4, blocks=2)
"""Four rows of two lanes."""


def limited(exact: Value) -> Value:
    """A sum, saturated."""
    return Mux(exact > GRADIENT.max, GRADIENT.max, Mux(exact < GRADIENT.min, GRADIENT.min, exact))


def accumulators(unit: GradientAccumulators) -> Proof:
    """Changes and updates are free in every cycle. The row is any."""
    proof = Proof(unit, arrays=True)
    m, change = proof.m, unit.change
    row = proof.constant(range(LIMITS.gradients), "row")

    def then(value: Value) -> Value:
        return proof.before(value, GRADIENT_CYCLES)

    changes = then(change.valid & (change.address == row))
    kind = then(Value.cast(change.change))
    cell = then(change.cell)
    saturates = []
    for lane in range(LIMITS.lanes_per_group):
        update = unit.update[lane]
        gradient = Signal(signed(GRADIENT.width), name=f"model_gradient_{lane}")
        added = Signal(signed(GRADIENT.width + 1), name=f"model_sum_{lane}")
        m.d.comb += added.eq(gradient + Mux(cell, update << CELL_BITS, update))
        with m.If(changes):
            with m.Switch(kind):
                with m.Case(Change.ADD):
                    m.d.sync += gradient.eq(limited(added))
                with m.Case(Change.CLEAR):
                    m.d.sync += gradient.eq(0)
                with m.Case(Change.LOW):
                    m.d.sync += gradient.eq(Cat(update[:HALF], gradient[HALF:]))
                with m.Case(Change.HIGH):
                    m.d.sync += gradient.eq(Cat(gradient[:HALF], update[:HALF]))
        saturates.append(changes & (kind == Change.ADD.value) & (limited(added) != added))
        proof.claim(f"found_{lane}", ~changes | (unit.gradient[lane] == gradient))
        stored = proof.memory("memory", row).word_select(lane, GRADIENT.width)
        proof.lemma(f"stored_{lane}", stored == gradient.as_unsigned())
    flag = proof.before(Cat(saturates).any())
    proof.claim("saturated", ~proof.before(changes) | (unit.saturated == flag))
    proof.cover("close", changes & proof.before(changes) & proof.before(changes, 2) & flag)
    return proof


def test_no_change_of_a_row_is_lost() -> None:
    """Unbounded, by induction over 4 cycles: two more than a change takes."""
    proof = accumulators(GradientAccumulators(LIMITS))
    proof.induction(4)
    proof.reached(8)


@pytest.mark.parametrize(
    ("old", "new", "claim"),
    [
        ("Mux(same_1, new_1, Mux(same_2, new_2, old))", "Mux(same_1, new_1, old)", "found_0"),
        ("Mux(same_1, new_1, Mux(same_2, new_2, old))", "Mux(same_2, new_2, Mux(same_1, new_1, old))", "found_0"),
        ("written.valid & (reading.address == written.address)", "(reading.address == written.address)", "found_0"),
        ("(writing.change == Change.ADD) & Cat", "Cat", "saturated"),
    ],
)
def test_a_wrong_unit_is_found(old: str, new: str, claim: str) -> None:
    unit = mutant("opzo.hw.gradients.accumulators", old, new)
    accumulators(unit.GradientAccumulators(LIMITS)).refute(claim, 8)
