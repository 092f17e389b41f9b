"""Properties of streams for proofs."""

from typing import Any

from amaranth import Cat, Const, Signal, Value
from amaranth.hdl import ValueLike
from proof import Proof

NEVER = Const(0, 1)


def moved(stream: Any) -> Value:
    """Whether an item moves in this cycle."""
    return stream.valid & stream.ready


def item(stream: Any) -> Value:
    """Payload as a number."""
    return Value.cast(stream.payload)


def _holds(proof: Proof, stream: Any, dropped: ValueLike) -> Value:
    waits, held = proof.before(stream.valid & ~stream.ready & ~dropped), proof.before(item(stream))
    return ~waits | (stream.valid & (item(stream) == held))


def claim_held(proof: Proof, name: str, stream: Any, dropped: ValueLike = NEVER) -> None:
    """Claim that a stream holds valid and payload until ready, or until ``dropped``."""
    proof.claim(f"{name}_is_held", _holds(proof, stream, dropped))


def assume_held(proof: Proof, name: str, stream: Any, dropped: ValueLike = NEVER) -> None:
    """Assume the same about a stream into the unit."""
    proof.assume(f"{name}_is_held", _holds(proof, stream, dropped))


class Watch:
    """One item, whichever the solver chooses, on its way through a unit that changes neither items nor their order.

    Claims that only what came in goes out, at most ``capacity`` items are on their way, and the chosen one goes out
    unchanged after those before it. That is so for every item because the choice is free.

    Attributes
    ----------
    count : Signal
        Items on their way.
    watching, ahead, item : Signal
        An item has been chosen and is on its way; how many go out before it; the item.
    """

    def __init__(self, proof: Proof, i: Any, o: Any, capacity: int) -> None:
        m = proof.m
        self.count, self.ahead = (Signal(range(capacity + 2), name=name) for name in ("count", "ahead"))
        self.watching, self.item = Signal(name="watching"), Signal(len(item(i)), name="item")
        choose = proof.any(1, "choose")
        enters, leaves = moved(i), moved(o)
        m.d.sync += self.count.eq(self.count + enters - leaves)
        with m.If(~self.watching):
            with m.If(enters & choose):
                m.d.sync += [self.watching.eq(1), self.item.eq(item(i)), self.ahead.eq(self.count - leaves)]
        with m.Elif(leaves):
            m.d.sync += [self.ahead.eq(self.ahead - 1), self.watching.eq(self.ahead != 0)]
        proof.claim("only_what_came_in", ~o.valid | (self.count != 0))
        proof.claim("capacity", self.count <= capacity)
        proof.lemma("watched_is_there", ~self.watching | (self.ahead < self.count))
        proof.claim("watched_in_its_place", ~self.watching | (self.ahead != 0) | ~o.valid | (item(o) == self.item))
        proof.cover("watched_comes_out", self.watching & (self.ahead == 0) & moved(o) & proof.before(self.ahead != 0))
        claim_held(proof, "o", o)
        assume_held(proof, "i", i)

    def goes_on(self, proof: Proof, o: Any, cycles: int) -> None:
        """Claim that an item on its way is offered within so many cycles: none is lost."""
        idle = Cat(proof.before((self.count != 0) & ~o.valid, ago) for ago in range(cycles)) if cycles else Const(0)
        proof.claim("goes_on", ~(idle.all() if cycles else (self.count != 0) & ~o.valid))
