"""One-to-one map of numbers of some bits, for orders and shifts."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.spec.shuffle import FACTOR_SHIFT, HALF_BITS, KEY_SHIFTS, ROUNDS, SEED_BITS

HALVES = range(HALF_BITS + 1)
"""Shape of half the bits of a number, rounded up."""


class Shuffle(wiring.Component):
    """Map a number to its image under the map of ``seed``.

    Golden twin: ``opzo.spec.shuffle.mixed``. A round takes 2 cycles; ``done`` is 2 * ROUNDS + 1 cycles after ``start``.

    Members
    -------
    seed : In(32)
        Chooses the map; stable from ``start`` until ``done``.
    mask, half : In(32), In
        The w bits of a number, all set, and (w + 1) // 2; stable likewise.
    start : In(1), number : In(32)
        Strobe: map ``number``, which has no bits outside ``mask``. Also in the cycle of ``done``.
    done : Out(1)
        Strobe: ``image`` is complete. It is stable until the next ``start``.
    image : Out(32)
    """

    seed: In(SEED_BITS)
    mask: In(SEED_BITS)
    half: In(HALVES)
    start: In(1)
    number: In(SEED_BITS)
    done: Out(1)
    image: Out(SEED_BITS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left, right, again = KEY_SHIFTS
        key = Signal(SEED_BITS, reset_less=True)
        once, twice, new_key = (Signal(SEED_BITS, name=name) for name in ("once", "twice", "new_key"))
        x = self.image
        folded = Signal(SEED_BITS)
        rounds = Signal(range(ROUNDS + 1))
        folds = Signal()
        m.d.comb += [
            once.eq(key ^ (key << left)),
            twice.eq(once ^ (once >> right)),
            new_key.eq(twice ^ (twice << again)),
            folded.eq(x ^ Array(x >> half for half in HALVES)[self.half]),
        ]
        m.d.sync += self.done.eq(0)
        with m.If(self.start):
            m.d.sync += [key.eq(self.seed), x.eq(self.number), rounds.eq(ROUNDS), folds.eq(0)]
        with m.Elif(rounds != 0):
            # Two additions in one cycle would be the longest path of the chip.
            m.d.sync += [
                folds.eq(~folds),
                x.eq(Mux(folds, folded + (folded << FACTOR_SHIFT), x + new_key) & self.mask),
            ]
            with m.If(folds):
                m.d.sync += [rounds.eq(rounds - 1), self.done.eq(rounds == 1)]
            with m.Else():
                m.d.sync += key.eq(new_key)
        return m
