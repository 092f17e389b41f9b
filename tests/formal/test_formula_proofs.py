"""Check sum, division, powers and local readouts: units equal their formulas for all inputs, in several cycles."""

import pytest
from amaranth import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC, CRC32_JAMCRC
from amaranth.lib.wiring import Component, In, Out
from proof import CounterexampleError, Proof, mutant

from opzo.hw.error.local_readout import LocalReadout
from opzo.hw.lib.exponential import EXPONENT_CYCLES, POWER_CYCLES, Exponential
from opzo.hw.lib.reciprocal import BITS, CYCLES, Reciprocal
from opzo.spec.formats import (
    EXP2,
    EXP2_FRAC_BITS,
    EXP2_ONE_BITS,
    LOG2E_FRAC_BITS,
    LOG2E_NUMERATOR,
    MEMBRANE,
)
from opzo.spec.limits import Limits

pytestmark = pytest.mark.formal

DENSE = Limits(lanes=4, rows=64, inputs=8, words=4, classes=2)
CONVOLUTIONS = Limits(
    lanes=4, rows=64, inputs=8, words=16, classes=2, lanes_per_group=2, gradients=4, blocks=4, block=4
)
POLYNOMIAL, RESIDUE = 0xEDB88320, 0xDEBB20E3
"""Of CRC-32: bits in the order in which they are sent, lowest first; register after any message and its check sum."""
DIVISOR_BITS = EXP2_ONE_BITS + 7


class CheckSum(Component):
    """The check sum unit of the link, as a component.

    Parameters
    ----------
    parameters : amaranth.lib.crc.Parameters
    """

    start: In(1)
    valid: In(1)
    data: In(8)
    crc: Out(32)
    match: Out(1)

    def __init__(self, parameters: object = None) -> None:
        self._parameters = parameters or CRC32_ISO_HDLC()
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = self._parameters.create()
        m.d.comb += [
            *(getattr(crc, name).eq(getattr(self, name)) for name in ("start", "valid", "data")),
            self.crc.eq(crc.crc),
            self.match.eq(crc.match_detected),
        ]
        return m


def after_byte() -> list[set[int]]:
    """Bits whose sum modulo 2 is each bit of the register after a byte: 0 to 31 of the register, 32 to 39 of the byte.

    The definition, on sets: the register takes the bits of the byte one by one, the lowest first.
    """
    register = [{bit} for bit in range(32)]
    for bit in range(8):
        out = register[0] ^ {32 + bit}
        shifted = [*register[1:], set()]
        register = [each ^ out if POLYNOMIAL >> n & 1 else each for n, each in enumerate(shifted)]
    return register


def check_sum(unit: CheckSum, first: int) -> Proof:
    """Eight bits of the check sum, which is the inverted register: all at once are too hard for the solver."""
    proof = Proof(unit)
    begun = proof.before(1)
    start, valid, data, register = (proof.before(value) for value in (unit.start, unit.valid, unit.data, ~unit.crc))
    bits = Cat(Mux(start, 0xFFFFFFFF, register)[:32], data)
    for number, terms in list(enumerate(after_byte()))[first : first + 8]:
        total = Const(0, 1)
        # In the order of the unit: the solver finds equal sums of many bits only where they have equal parts.
        for term in sorted(terms, key=lambda term: (term >= 32, -term)):
            total = total ^ bits[term]
        expected = Mux(valid, total, Mux(start, 1, register[number]))
        proof.claim(f"crc_{number}", Mux(begun, unit.crc[number] != expected, ~unit.crc[number]))
    proof.claim("match", unit.match == (unit.crc == RESIDUE ^ 0xFFFFFFFF))
    proof.cover("two_bytes", valid & proof.before(valid) & ~start & proof.before(start))
    return proof


@pytest.mark.parametrize("first", [0, 8, 16, 24])
def test_check_sum_is_the_bitwise_one_of_the_standard(first: int) -> None:
    """Unbounded, by induction over 1 cycle: a byte, from any state."""
    proof = check_sum(CheckSum(), first)
    proof.induction(1)
    proof.reached(6)


def reciprocal(unit: Reciprocal) -> Proof:
    """The product of quotient and divisor grows by a shift and an addition for each bit: long multiplication."""
    proof = Proof(unit)
    m, fits, divisor, remainder = proof.m, proof.inside["fits"], unit.divisor, proof.inside["remainder"]
    bits = Signal(range(BITS + 1), name="bits", init=BITS)
    begun = Signal(name="begun")
    quotient, product = Signal(BITS, name="model_quotient"), Signal(2 * EXP2_ONE_BITS + 4, name="product")
    power = Signal(len(product), name="power")
    m.d.comb += power.eq(1 << (bits + EXP2_ONE_BITS))
    with m.If(unit.start):
        m.d.sync += [begun.eq(1), bits.eq(0), quotient.eq(0), product.eq(0)]
    with m.Elif(bits != BITS):
        m.d.sync += [bits.eq(bits + 1), quotient.eq((quotient << 1) | fits)]
        m.d.sync += product.eq((product << 1) + Mux(fits, divisor, 0))
    one = 1 << EXP2_ONE_BITS
    proof.assume("divisor", divisor >= one)
    proof.assume("constant", ~begun | proof.before(unit.start) | (divisor == proof.before(divisor)))
    smallest = divisor == one
    proof.lemma("running", proof.inside["running"] == Mux(begun, ((1 << BITS) - 1) >> bits, 0))
    proof.lemma("sum", ~begun | (product + remainder == power))
    proof.lemma("bits", (bits <= BITS) & (begun | (bits == BITS)))
    rest = Mux(smallest, remainder == one, remainder < divisor)
    proof.lemma("rest", ~begun | rest)
    known = Signal(BITS, name="known")
    m.d.comb += known.eq((1 << bits) - 1)
    proof.lemma("quotient", ~begun | ((unit.quotient & known) == quotient) & (quotient <= known))
    proof.lemma("ones", ~begun | ~smallest | (quotient == known))
    ready = begun & (bits == BITS)
    # 2**32 less the product is the rest: less than the divisor. The smallest divisor alone would need another bit.
    difference = (1 << 32) - product
    exact = (product <= 1 << 32) & (difference < divisor)
    proof.claim("quotient", ~ready | (unit.quotient == quotient))
    proof.claim("divided", ~ready | Mux(smallest, unit.quotient.all(), exact))
    proof.cover("divides", ready & (unit.quotient == 12345))
    return proof


def test_quotients_are_those_of_the_division() -> None:
    """Unbounded, by induction over 2 cycles: the division goes on from any state, a bit a cycle."""
    proof = reciprocal(Reciprocal(DIVISOR_BITS))
    proof.induction(2)
    proof.reached(CYCLES + 3)


def exponential(unit: Exponential) -> Proof:
    """In three parts: nine times the distance, forty-one times that, the power."""
    proof = Proof(unit)
    assert LOG2E_NUMERATOR == 9 * 41
    proof.assume("top", unit.top >= unit.o)
    shift = LOG2E_FRAC_BITS + MEMBRANE.frac_bits - EXP2_FRAC_BITS
    distance, nine = unit.top - unit.o, proof.inside["nine"]
    proof.claim("nine", nine == proof.before(distance * 9)[: len(nine)])
    exponent = proof.before((nine * (LOG2E_NUMERATOR // 9)) >> shift)
    proof.claim("exponent", unit.exponent == exponent)
    late = proof.before(exponent, POWER_CYCLES - EXPONENT_CYCLES)
    whole = late >> EXP2_FRAC_BITS
    power = Array(EXP2)[late[:EXP2_FRAC_BITS]] >> Mux(whole > 31, 31, whole)[:5]
    proof.claim("power", ~proof.before(1, POWER_CYCLES) | (unit.power == power))
    proof.cover("small", proof.before(1, POWER_CYCLES) & (unit.power == 1))
    return proof


def test_powers_are_those_of_the_table() -> None:
    """Unbounded, by induction over POWER_CYCLES + 1 cycles: a pipeline."""
    proof = exponential(Exponential())
    proof.induction(POWER_CYCLES + 1)
    proof.reached(POWER_CYCLES + 1)


def local_readout(unit: LocalReadout, limits: Limits) -> Proof:
    """Words come in any cycles, at most as many of a class as the device has block words (in bits)."""
    proof = Proof(unit)
    m, words = proof.m, 1 << limits.block_bits
    count = Signal(range(words + 1), name="count")
    total = Signal(signed(len(unit.sum) + limits.block_bits + 1), name="model_total")
    proof.assume("count", ~unit.valid | unit.first | ((count != 0) & (count < words)))
    now = Mux(unit.first, 0, total) + unit.sum
    with m.If(unit.valid):
        m.d.sync += [total.eq(now), count.eq(Mux(unit.first, 0, count) + 1)]
    mean = total
    if limits.block > 1:
        proof.assume("shift", unit.block_shift <= 2)
        mean = Mux(unit.block_shift == 2, total >> 4, Mux(unit.block_shift == 1, total >> 2, total))
    low, high = MEMBRANE.min, MEMBRANE.max
    readout = Mux(mean > high, high, Mux(mean < low, low, mean))
    ended = proof.before(unit.valid & unit.last)
    limit = 1 << (len(unit.sum) - 1)
    proof.lemma("range", (total >= -limit * count) & (total <= limit * count))
    proof.lemma("total", (count == 0) | (proof.inside["total"] == total))
    proof.lemma("counted", ~ended | (count != 0))
    proof.claim("valid", unit.o_valid == ended)
    proof.claim("readout", ~unit.o_valid | (unit.o == readout))
    proof.cover("second_word", unit.o_valid & (count == 2) & (unit.o < 0))
    return proof


@pytest.mark.parametrize("limits", [DENSE, CONVOLUTIONS], ids=["dense", "convolutions"])
def test_local_readouts_are_saturated_sums(limits: Limits) -> None:
    """Unbounded, by induction over 2 cycles: the next sum depends on the present one and the inputs."""
    proof = local_readout(LocalReadout(limits), limits)
    proof.induction(2)
    proof.reached(6)


def test_another_check_sum_is_found() -> None:
    check_sum(CheckSum(CRC32_JAMCRC()), 0).refute("crc_0", 2)


@pytest.mark.parametrize(
    ("name", "old", "new", "claim"),
    [
        ("reciprocal", "fits.eq(~difference[-1])", "fits.eq(~difference[-1] & difference.any())", "rest"),
        ("reciprocal", "running.eq(~0)", "running.eq(~0 << 1)", "running"),
        ("exponential", "(nine << 5)", "(nine << 4)", "exponent"),
        ("exponential", "integer >= POWER_BITS", "integer > POWER_BITS", "power"),
        ("local_readout", "Mux(self.first, 0, total)", "total", "readout"),
        ("local_readout", "total >> 2 * shift", "total >> shift", "readout"),
    ],
)
def test_a_wrong_unit_is_found(name: str, old: str, new: str, claim: str) -> None:
    if name == "reciprocal":
        # By the induction: the search through all 17 steps of a division is too hard.
        with pytest.raises(CounterexampleError, match=claim):
            reciprocal(mutant("opzo.hw.lib.reciprocal", old, new).Reciprocal(DIVISOR_BITS)).induction(2)
    elif name == "exponential":
        exponential(mutant("opzo.hw.lib.exponential", old, new).Exponential()).refute(claim, POWER_CYCLES + 1)
    else:
        unit = mutant("opzo.hw.error.local_readout", old, new).LocalReadout(CONVOLUTIONS)
        local_readout(unit, CONVOLUTIONS).refute(claim, 5)
