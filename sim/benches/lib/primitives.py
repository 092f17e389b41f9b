"""Testbench of a vendor's unit and the generic one: with equal inputs their outputs are equal in every cycle.

Inputs have the prefix ``i``; outputs are ``generic`` and ``vendor``. Parameter ``widths`` is the width of each input,
``exclusive`` the inputs of which at most one is 1.
"""

from itertools import product
from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from opzo.sim.benches import bench

COUNT = 3000


def corners(width: int) -> list[int]:
    """Corner values of a signed number, as bits: 0, 1, -1, largest, smallest, and their neighbours."""
    top = 1 << (width - 1)
    return sorted({value % (1 << width) for value in (0, 1, 2, -1, -2, top - 1, top - 2, top, top + 1)})


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def vendor_equals_generic(dut: Any) -> None:
    widths, rng = bench.parameters()["widths"], Random(bench.seed())
    inputs = {name: getattr(dut, f"i__{name}") for name in widths}
    for signal in inputs.values():
        signal.value = 0
    await bench.start(dut)
    # Fill the registers.
    for _ in range(4):
        await FallingEdge(dut.clk)
    stimuli = [*product(*(corners(width) for width in widths.values()))]
    stimuli += [tuple(rng.getrandbits(width) for width in widths.values()) for _ in range(COUNT)]
    names, exclusive = list(widths), bench.parameters()["exclusive"]
    stimuli = [values for values in stimuli if sum(values[names.index(name)] for name in exclusive) <= 1]
    changes = 0
    before = None
    for n, values in enumerate(stimuli):
        for signal, value in zip(inputs.values(), values, strict=True):
            signal.value = value
        # Reset does not reach the datapath.
        dut.rst.value = int(rng.random() < 0.05)
        await FallingEdge(dut.clk)
        assert dut.vendor.value == dut.generic.value, f"seed {bench.seed()}, stimulus {n}: {values}"
        changes += dut.generic.value != before
        before = dut.generic.value
    assert changes > COUNT / 4
