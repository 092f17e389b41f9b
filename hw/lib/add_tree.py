"""Adder tree."""

from collections.abc import Sequence

from amaranth import Module, Signal, Value, signed


def add_tree(m: Module, terms: Sequence[Value], name: str) -> Value:
    """Sum of ``terms``, signed values of equal width whose number is a power of two.

    Latency one cycle for each doubling of the terms; the sum has one more bit for each. Registers are named after
    ``name``.
    """
    while len(terms) > 1:
        width = len(terms[0]) + 1
        sums = [Signal(signed(width), name=f"{name}_{width}_{n}", reset_less=True) for n in range(len(terms) // 2)]
        m.d.sync += [total.eq(a + b) for total, a, b in zip(sums, terms[::2], terms[1::2], strict=True)]
        terms = list(sums)
    return terms[0]
