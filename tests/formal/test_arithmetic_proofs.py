"""Arithmetic: units equal their formulas for all inputs.

The formulas are those of the golden model, in numbers as wide as needed. A pipeline without feedback depends on the
inputs of its last cycles only, so an induction over one cycle more than its latency is a proof for all times.
"""

import pytest
from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from proof import Proof, mutant

from opzo.hw.gradients.step import GradientStep
from opzo.hw.lanes.accumulator import SUM_SHIFT
from opzo.hw.lanes.update import DECAY_BITS, RowUpdate
from opzo.hw.lib.check import Synthesis
from opzo.hw.lib.lfsr import LaneLFSR
from opzo.hw.lib.multiplier import Multiplier
from opzo.hw.lib.primitives import Primitives
from opzo.hw.lib.saturate import Saturate
from opzo.hw.neurons.credit import Credit
from opzo.hw.neurons.credit_filter import CreditFilter
from opzo.hw.neurons.fire import Fire
from opzo.hw.timing import STEP_CYCLES, UPDATE_CYCLES
from opzo.spec.formats import (
    CREDIT,
    DELTA_SHIFT,
    DRAW_BITS,
    FILTERED,
    FRAME_CREDIT,
    GRADIENT_STEP,
    HISTORY_STEPS,
    INPUT_BITS,
    LFSR_BITS,
    LFSR_TAPS,
    MEMBRANE,
    SURROGATE_OFF,
    SURROGATE_SHIFT,
    THRESHOLD,
    UPDATE_FRAC_BITS,
)
from opzo.spec.limits import Limits
from opzo.spec.neurons import Leak

pytestmark = pytest.mark.formal

LIMITS = Limits(lanes=4, rows=64, inputs=8, words=4, classes=2)
LIMITS_12 = Limits(lanes=4, rows=64, inputs=8, words=4, classes=2, weight_bits=12)


def clipped(value: Value, width: int) -> Value:
    top = (1 << (width - 1)) - 1
    return Mux(value > top, top, Mux(value < -top - 1, -top - 1, value))


def saturate(unit: Saturate) -> Proof:
    proof = Proof(unit)
    proof.claim("value", unit.o == clipped(unit.i, len(unit.o)))
    proof.claim("flag", unit.saturated == (unit.o != unit.i))
    proof.cover("low", unit.saturated & (unit.o < 0))
    proof.cover("high", unit.saturated & (unit.o > 0))
    return proof


@pytest.mark.parametrize(("width_in", "width_out"), [(9, 2), (21, 20), (44, 17)])
def test_saturation_is_clipping(width_in: int, width_out: int) -> None:
    """Unbounded, by induction over 1 cycle: the unit is combinational."""
    proof = saturate(Saturate(width_in, width_out))
    proof.induction(1)
    proof.reached(1)


def gradient_step(unit: GradientStep) -> Proof:
    proof = Proof(unit)
    filled, shift = proof.before(Const(1), STEP_CYCLES), unit.shift
    gradient = proof.before(unit.gradient, STEP_CYCLES)
    for ago in range(1, STEP_CYCLES + 1):
        proof.assume(f"constant_{ago}", ~proof.before(Const(1), ago) | (proof.before(shift, ago) == shift))
    rounded = Mux(shift == 0, gradient, ((gradient >> (shift - 1)[:5]) + 1) >> 1)
    proof.claim("step", ~filled | (unit.step == clipped(rounded, GRADIENT_STEP.width)))
    proof.cover("rounds_up", filled & (shift == 9) & (unit.step == 0) & (gradient < 0))
    proof.cover("clips", filled & (shift == 3) & (unit.step == GRADIENT_STEP.min))
    return proof


def test_gradient_steps_round_half_up_and_saturate() -> None:
    """Unbounded, by induction over STEP_CYCLES + 1 cycles; the shift is constant, as the unit demands."""
    proof = gradient_step(GradientStep())
    proof.induction(STEP_CYCLES + 1)
    proof.reached(STEP_CYCLES + 1)


class OneHotMultiplier(Multiplier):
    """Equals the multiplier where ``b`` is 0 or a power of two, as a decay is; a product in general is too hard."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a, b, shifted = Signal.like(self.a), Signal.like(self.b), Signal.like(self.product)
        with m.Switch(b):
            for bit in range(len(b) - 1):
                with m.Case(1 << bit):
                    m.d.comb += shifted.eq(a << bit)
        m.d.sync += [a.eq(self.a), b.eq(self.b), self.product.eq(shifted)]
        return m


class OneHot(Synthesis, Primitives):
    """Platform with such multipliers."""

    def __init__(self) -> None:
        self.primitives = self

    def multiplier(self) -> Multiplier:
        return OneHotMultiplier()


def row_update(unit: RowUpdate, limits: Limits) -> Proof:
    """Without convolutions; the sum is made stage by stage, as in the unit."""
    proof = Proof(unit, OneHot())
    frac_bits = UPDATE_FRAC_BITS + limits.low_bits
    proof.assume("decay", (unit.decay & (unit.decay - 1)[:DECAY_BITS]) == 0)
    proof.assume("multiple", (unit.row & ((1 << limits.low_bits) - 1)) == 0)
    proof.assume("range", unit.row == clipped(unit.row, limits.weight_bits + limits.low_bits))
    # A credit factor times a value or trace.
    proof.assume("product", unit.credits.product == clipped(unit.credits.product, FRAME_CREDIT.width + INPUT_BITS))
    proof.assume("step", ~(unit.step.add & unit.step.subtract))

    def stage(name: str, value: Value) -> Signal:
        register = Signal(signed(40), name=f"expected_{name}")
        proof.m.d.sync += register.eq(value)
        return register

    row, step, credits = unit.row, unit.step, unit.credits
    rounded_up = Signal(signed(len(row)))
    with proof.m.Switch(unit.decay):
        for shift in range(1, DECAY_BITS + 1):
            with proof.m.Case(1 << (DECAY_BITS - shift)):
                proof.m.d.comb += rounded_up.eq((row + (1 << (shift - 1))) >> shift)
    decay = stage("decay", rounded_up)
    held = stage("row", row)
    difference = Mux(step.add, step.difference, Mux(step.subtract, -step.difference, 0))
    stepped = stage("stepped", (held << UPDATE_FRAC_BITS) + unit.random + difference)
    decayed = stage("decayed", stepped - stage("late_decay", decay))
    waiting = stage("waiting", decayed)
    product = Mux(credits.product_en, (credits.product + (1 << (INPUT_BITS - 1))) >> INPUT_BITS, 0)
    exact = stage("exact", waiting - stage("update", credits.selected + product))
    new = exact >> frac_bits
    for name, expected in (("stepped", stepped), ("decayed", decayed), ("waiting", waiting), ("exact", exact)):
        proof.lemma(name, proof.inside[name] == expected)
    result = stage("result", clipped(new, limits.weight_bits))
    proof.lemma("decay", (proof.inside["twice"] + 1) >> 1 == proof.before(decay))
    proof.claim("result", unit.result == result)
    proof.claim("saturated", unit.saturated == stage("saturated", clipped(new, limits.weight_bits) != new)[0])
    proof.cover("saturates", unit.saturated & (unit.result > 0) & (proof.before(decay, 4) != 0))
    return proof


@pytest.mark.parametrize("limits", [LIMITS, LIMITS_12], ids=["16_bits", "12_bits"])
def test_rows_are_updated_as_the_formula_says(limits: Limits) -> None:
    """Unbounded, by induction over 4 cycles: claims about each stage make the latency of UPDATE_CYCLES harmless."""
    proof = row_update(RowUpdate(limits), limits)
    proof.induction(4)
    proof.reached(UPDATE_CYCLES + 1)


def fire(unit: Fire) -> Proof:
    """In two parts, with the unit's register between them."""
    proof = Proof(unit)
    once = proof.before(Const(1))
    v, current, leak = (proof.before(value) for value in (unit.v, unit.current, unit.leak))
    proof.assume("leak", unit.leak <= max(Leak))
    leaked = Signal(signed(MEMBRANE.width + 1))
    with proof.m.Switch(leak):
        for each in Leak:
            with proof.m.Case(each):
                rest = v >> 1 if each is Leak.HALF else v - (v >> each.shift) if each.shift else v
                proof.m.d.comb += leaked.eq(rest)
    exact = Signal(signed(MEMBRANE.width + 2))
    proof.m.d.comb += exact.eq(leaked + current)
    proof.claim("u", ~once | (proof.inside["u"] == clipped(exact, MEMBRANE.width)))
    u, clips = proof.before(proof.inside["u"]), proof.before(once & (clipped(exact, MEMBRANE.width) != exact))
    noise, negative, valid, to_zero = (
        proof.before(value) for value in (unit.noise, unit.negative, unit.valid, unit.to_zero)
    )
    alpha, distance = proof.before(unit.alpha), u - THRESHOLD
    spike = valid & (distance + Mux(noise, Mux(negative, -alpha, alpha), 0) >= 0)
    quarters = Mux(distance < 0, -distance, distance) >> SURROGATE_SHIFT
    proof.claim("spike", ~once | (unit.spike == spike))
    proof.claim("v", ~once | (unit.v_next == Mux(unit.spike, Mux(to_zero, 0, distance), u)))
    proof.claim("surrogate", ~once | (unit.surrogate == Mux(quarters > SURROGATE_OFF, SURROGATE_OFF, quarters)))
    proof.claim("saturated", ~proof.before(once) | (unit.saturated == (valid & clips)))
    proof.cover("saturates", unit.saturated & unit.spike & (proof.before(leak) == max(Leak)))
    return proof


def test_neurons_fire_as_the_formula_says() -> None:
    """Unbounded, by induction over 3 cycles: the latency is 2."""
    proof = fire(Fire())
    proof.induction(3)
    proof.reached(3)


def credit(unit: Credit) -> Proof:
    proof = Proof(unit)
    filled = proof.before(Const(1), 3)
    total, surrogate = proof.before(unit.sum, 3), proof.before(unit.surrogate, 3)
    spike, valid, activity = (proof.before(value) for value in (unit.spike, unit.valid, unit.activity))
    proof.assume("surrogate", unit.surrogate <= SURROGATE_OFF)
    rounded = Mux(
        surrogate == SURROGATE_OFF, 0, ((((total << SUM_SHIFT) >> (DELTA_SHIFT - 1)) >> surrogate[:3]) + 1) >> 1
    )
    scaled = clipped(rounded, CREDIT.width)
    paid = scaled + Mux(spike, activity, 0)
    result = clipped(paid, CREDIT.width)
    proof.claim("credit", ~filled | (unit.credit == Mux(valid, result, 0)))
    proof.claim("saturated", ~filled | (unit.saturated == (valid & ((rounded != scaled) | (paid != result)))))
    proof.cover("saturates", filled & unit.saturated & (unit.credit < 0))
    return proof


def test_credits_round_half_up_and_saturate() -> None:
    """Unbounded, by induction over 4 cycles: the latency is 3."""
    proof = credit(Credit())
    proof.induction(4)
    proof.reached(4)


def credit_filter(unit: CreditFilter) -> Proof:
    """Credits come in any cycles, at most as many of a neuron as a run has time steps."""
    proof = Proof(unit)
    m, top = proof.m, 1 << (CREDIT.width - 1)
    steps = Signal(range(HISTORY_STEPS + 1), name="model_steps")
    filtered = Signal(signed(FILTERED.width + 2), name="model_filtered")
    total = Signal(signed(FILTERED.width + 8), name="model_total")
    frame = Signal(name="model_frame")
    proof.assume("steps", ~unit.en | unit.first | ((steps != 0) & (steps < HISTORY_STEPS)))
    # The half rounds toward 0.
    now = unit.credit + Mux(unit.first, 0, (filtered + (filtered < 0)) >> 1)
    with m.If(unit.en):
        m.d.sync += [
            steps.eq(Mux(unit.first, 0, steps) + 1),
            filtered.eq(now),
            total.eq(Mux(unit.first, 0, total) + now),
            frame.eq(unit.frame),
        ]
    proof.claim("filtered", (steps == 0) | (unit.filtered == filtered))
    factor = Mux(frame, clipped(total, FRAME_CREDIT.width), filtered)
    proof.claim("factor", (steps == 0) | (unit.factor == factor))
    proof.lemma("bounds", (filtered > -2 * top) & (filtered < 2 * top))
    proof.lemma("sum", (total >= -2 * top * steps) & (total <= 2 * top * steps))
    proof.lemma("registers", (steps == 0) | ((proof.inside["total"] == total) & (proof.inside["frame"] == frame)))
    proof.cover("saturates", (steps == HISTORY_STEPS) & frame & (unit.factor < 0) & (unit.factor != total))
    return proof


def test_credits_are_filtered_as_the_formula_says() -> None:
    """Unbounded, by induction over 2 cycles: the next result depends on the registers and the inputs."""
    proof = credit_filter(CreditFilter())
    proof.induction(2)
    proof.reached(12)


def lfsr(unit: LaneLFSR) -> Proof:
    proof = Proof(unit)
    stepped = proof.before(unit.state)
    draw, low, high = (proof.before(each) for each in (unit.draw, unit.load_low, unit.load_high))
    proof.assume("one", unit.draw + unit.load_low + unit.load_high <= 1)
    before = stepped
    for step in range(DRAW_BITS):
        last, stepped = stepped, Signal(LFSR_BITS, name=f"after_{step + 1}_steps")
        proof.m.d.comb += stepped.eq(Cat(last[1:], Cat(last[tap] for tap in LFSR_TAPS).xor()))
    proof.claim("jump", ~draw | (unit.state == stepped))
    proof.claim("bits", unit.bits == unit.state[DRAW_BITS:])
    proof.claim("kept", draw | low | high | (unit.state == before))
    proof.cover("draws", draw & (unit.state == 0xDEADBEEF))
    return proof


def test_draw_of_lfsr_is_16_steps() -> None:
    """Unbounded, by induction over 2 cycles: the next state depends on the present one and the inputs."""
    proof = lfsr(LaneLFSR())
    proof.induction(2)
    proof.reached(6)


ORIGINALS = {
    "saturate": ("opzo.hw.lib.saturate", lambda unit: saturate(unit.Saturate(9, 2)), 1),
    "gradient_step": ("opzo.hw.gradients.step", lambda unit: gradient_step(unit.GradientStep()), STEP_CYCLES + 1),
    "row_update": ("opzo.hw.lanes.update", lambda unit: row_update(unit.RowUpdate(LIMITS), LIMITS), UPDATE_CYCLES + 1),
    "fire": ("opzo.hw.neurons.fire", lambda unit: fire(unit.Fire()), 3),
    "credit": ("opzo.hw.neurons.credit", lambda unit: credit(unit.Credit()), 4),
    "credit_filter": ("opzo.hw.neurons.credit_filter", lambda unit: credit_filter(unit.CreditFilter()), 4),
    "lfsr": ("opzo.hw.lib.lfsr", lambda unit: lfsr(unit.LaneLFSR()), 4),
}


@pytest.mark.parametrize(
    ("name", "old", "new", "claim"),
    [
        ("saturate", "top.any() & ~top.all()", "top.any() & ~sign", "value"),
        ("gradient_step", "(fine + 1) >> 1", "fine >> 1", "step"),
        ("row_update", "twice) >> 1)", "twice + 1) >> 1)", "result"),
        ("row_update", "(INPUT_BITS - 1)", "INPUT_BITS << 1", "result"),
        ("fire", "(noisy >= 0)", "(noisy > 0)", "spike"),
        ("fire", "Mux(self.to_zero, 0, distance)", "Mux(self.to_zero, 0, u)", "v"),
        ("credit", "(shifted + 1) >> 1", "shifted >> 1", "credit"),
        ("credit_filter", "~self.first & last[0] & last[-1]", "~self.first & last[0]", "filtered"),
        ("credit_filter", "Mux(self.first, 0, total)", "total", "factor"),
        ("lfsr", "Cat(high, fresh)", "Cat(high, fresh.rotate_left(1))", "jump"),
    ],
)
def test_a_wrong_unit_is_found(name: str, old: str, new: str, claim: str) -> None:
    module, proof, cycles = ORIGINALS[name]
    proof(mutant(module, old, new)).refute(claim, cycles)
