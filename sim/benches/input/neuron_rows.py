"""Testbench of the rows of neurons."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from amaranth.lib import data
from cocotb.triggers import FallingEdge

from opzo.hw.input.scanner import placed_layout
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.streams import pack
from opzo.spec.limits import Limits


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def keeps_the_row_of_each_word(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    limits, words = Limits(**p["limits"]), p["layers"]
    bases = [sum(words[:layer]) for layer in range(len(words))]
    dut.word_base.value = pack(data.ArrayLayout(limits.word_bits, limits.layers), bases)
    layout = placed_layout(limits)
    rows = np.zeros(limits.words, np.int64)
    dut.placed.value = dut.neuron.value = 0
    await bench.start(dut)
    for _ in range(5):
        order = [(layer, word) for layer in range(len(words)) for word in range(words[layer])]
        for layer, word in rng.sample(order, len(order)):
            rows[bases[layer] + word] = entry = rng.getrandbits(len(dut.row))
            dut.placed.value = pack(layout, {"valid": 1, "layer": layer, "word": word, "entry": entry})
            await FallingEdge(dut.clk)
            if rng.random() < 0.3:
                dut.placed.value = pack(layout, {"valid": 0, "layer": layer, "word": word, "entry": 0})
                await FallingEdge(dut.clk)
        dut.placed.value = 0
        await FallingEdge(dut.clk)
        neurons = np.arange(limits.words * limits.lanes)
        got = []
        for neuron in neurons.tolist():
            dut.neuron.value = neuron
            await FallingEdge(dut.clk)
            got.append(int(dut.row.value))
        assert_equal(got, rows[neurons // limits.lanes], what="rows", seed=bench.seed())
