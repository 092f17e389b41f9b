"""RUN_STORED: each block that was accepted is handed over once, unchanged."""

import pytest
from amaranth import Cat, Signal
from proof import Proof, mutant
from streams import assume_held, claim_held, item, moved

from opzo.hw.store.block_intake import BlockIntake
from opzo.spec.commands import Status
from opzo.spec.limits import Limits

pytestmark = pytest.mark.formal

LIMITS = Limits(lanes=4, rows=64, inputs=2, words=4, classes=1, store=1 << 10)


def intake(unit: BlockIntake) -> Proof:
    """The command processor starts the unit as it claims; payload, registers, and when the engine is idle, are free."""
    proof = Proof(unit, arrays=True)
    m, command, block = proof.m, unit.command, unit.block
    answered, owed = Signal(init=1), Signal()
    with m.If(command.start):
        m.d.sync += answered.eq(0)
    with m.Elif(command.done):
        m.d.sync += answered.eq(1)
    with m.If(unit.accepted):
        m.d.sync += owed.eq(1)
    with m.Elif(moved(block)):
        m.d.sync += owed.eq(0)
    assume_held(proof, "payload", command.payload)
    proof.assume("start", ~command.start | ~(command.busy | unit.queued))
    proof.assume("size", ~command.busy | (proof.before(command.size) == command.size))
    proof.claim("answers_once", ~command.done | ~answered)
    proof.claim("answered", ~(proof.before(command.busy) & ~command.busy) | answered)
    proof.claim("accepts_what_is_good", unit.accepted == (command.done & (command.status == Status.OK)))
    proof.claim("accepts_one", ~(unit.accepted & owed))
    proof.claim("queued", unit.queued == owed)
    proof.claim("hands_over_what_is_owed", ~block.valid | owed)
    claim_held(proof, "block", block)
    proof.claim("unchanged", ~(proof.before(owed) & owed) | (proof.before(item(block)) == item(block)))
    proof.claim("writes_for_a_block", ~unit.register_w_en | owed)
    begin = proof.state("begin_state", "WAIT")
    proof.lemma("begins", begin | owed)
    proof.lemma("takes", ~(command.busy & owed))
    proof.lemma("answers", command.busy == ~answered)
    proof.lemma("states", Cat(proof.state("intake_state", n) for n in ("WAIT", "LOAD", "SUM", "CHECK", "DECIDE")).any())
    return proof


def test_each_block_is_handed_over_once() -> None:
    """Unbounded, by induction over 2 cycles, for all payloads and times."""
    intake(BlockIntake(LIMITS)).induction(2)


@pytest.mark.parametrize(
    ("old", "new", "claim"),
    [
        ("m.d.sync += left.eq(command.size)\n", "m.d.sync += [left.eq(command.size), tag.eq(self.tag)]\n", "unchanged"),
        ("~bad_length & (status == Status.OK)", "status == Status.OK", "accepts_what_is_good"),
    ],
)
def test_a_wrong_intake_is_found(old: str, new: str, claim: str) -> None:
    intake(mutant("opzo.hw.store.block_intake", old, new).BlockIntake(LIMITS)).refute(claim, 48)
