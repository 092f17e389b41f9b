"""The means of the proofs: what fails is named, and what proves nothing is found."""

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from proof import CounterexampleError, Proof, UnreachedError, mutant

pytestmark = pytest.mark.formal


class Steps(wiring.Component):
    """Counts to 5 and stays there."""

    go: In(1)
    value: Out(4)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.If(self.go & (self.value != 5)):
            m.d.sync += self.value.eq(self.value + 1)
        return m


def test_a_counterexample_names_claim_step_and_signals() -> None:
    unit = Steps()
    proof = Proof(unit)
    proof.claim("small", unit.value < 3)
    with pytest.raises(CounterexampleError, match="broken in step 3 of cycles from the start: small") as found:
        proof.bounded(6)
    assert (found.value.claims, found.value.step) == ({"small"}, 3)
    assert "value 0 1 2 3" in " ".join(str(found.value).split())


def test_a_bounded_proof_ends_before_the_counterexample() -> None:
    unit = Steps()
    proof = Proof(unit)
    proof.claim("small", unit.value < 3)
    proof.bounded(3)
    with pytest.raises(AssertionError, match="small is not broken in 3 cycles"):
        proof.refute("small", 3)


def test_an_induction_needs_its_lemma() -> None:
    unit = Steps()
    proof = Proof(unit)
    proof.claim("not_9", unit.value != 9)
    with pytest.raises(CounterexampleError, match="of an induction over 1 cycles: not_9"):
        proof.induction(1)
    unit = Steps()
    proof = Proof(unit)
    proof.claim("not_9", unit.value != 9)
    proof.lemma("range", unit.value <= 5)
    proof.induction(1)


def test_assumptions_that_leave_nothing_are_found() -> None:
    unit = Steps()
    proof = Proof(unit)
    proof.assume("stands", ~unit.go)
    proof.cover("moves", unit.value != 0)
    with pytest.raises(UnreachedError, match="in 4 cycles"):
        proof.reached(4)


def test_a_mutant_needs_the_text_that_it_changes() -> None:
    with pytest.raises(ValueError, match=r"opzo\.hw\.lib\.lfsr has 0 times 'nothing'"):
        mutant("opzo.hw.lib.lfsr", "nothing", "something")
