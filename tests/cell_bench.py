"""Cells of a netlist, compiled from their models, with each pin in the hands of a test."""

import ctypes
from dataclasses import dataclass, field
from random import Random

from opzo.sim.compile.cxx import load_library
from opzo.sim.compile.verilated import build_verilated, runtime_objects
from opzo.sim.gates import models
from opzo.sim.gates.folder import FAMILIES
from opzo.sim.gates.netlist import Netlist
from opzo.system.cache import cache_root, cached, content_hash

DRIVER = """
#include "Vtop.h"
#include "verilated.h"
struct Bench { VerilatedContext context; Vtop top{&context}; };
extern "C" Bench* bench_new() { return new Bench; }
extern "C" void bench_eval(Bench* b, const unsigned* in, int n, unsigned* out, int m) {
    for (int i = 0; i < n; ++i) b->top.in[i] = in[i];
    b->top.eval();
    for (int i = 0; i < m; ++i) out[i] = b->top.out[i];
}
"""


@dataclass
class Placed:
    """A cell of the bench: bits of the bench's inputs and outputs at each of its pins."""

    inputs: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)


class CellBench:
    """Cells under test; `add` them, `build`, then `set` inputs, `eval`, `get` outputs.

    Inputs stay until they are set again; all are 0 at first.
    """

    def __init__(self, mutate=lambda text: text, family="ecp5"):
        self._mutate, self._family = mutate, FAMILIES[family]
        self._cells = {}
        self._nets = 1
        self._in, self._out = [], []
        self.values = 0
        self.seen = 0

    def add(self, kind, parameters, inputs, outputs):
        """Cell of a type with pins by name; a name with a width, as (name, width), has a bit for each number."""
        placed, connections = Placed(), {}
        for pins, places, bits in ((inputs, placed.inputs, self._in), (outputs, placed.outputs, self._out)):
            for pin in pins:
                name, width = pin if isinstance(pin, tuple) else (pin, 1)
                places[name] = len(bits)
                numbers = [self._nets + n for n in range(width)]
                self._nets += width
                bits += numbers
                if isinstance(pin, tuple):
                    connections |= {f"{name}{n}": [number] for n, number in enumerate(numbers)}
                else:
                    connections[name] = numbers
        cell = {"type": kind, "parameters": parameters, "attributes": {}, "connections": connections}
        self._cells[f"{kind} {len(self._cells)}"] = cell
        return placed

    def build(self):
        words = [max(3, -(-len(bits) // 32)) for bits in (self._in, self._out)]
        statements = Netlist({"cells": self._cells, "ports": {}}, "bench", self._family).statements()
        text = "\n".join(
            (
                self._mutate(models.models_verilog(self._family.name)),
                f"module top(input [{32 * words[0] - 1}:0] in, output [{32 * words[1] - 1}:0] out);",
                *statements,
                *(f"assign n{net} = in[{n}];" for n, net in enumerate(self._in)),
                *(f"assign out[{n}] = n{net};" for n, net in enumerate(self._out)),
                "endmodule\n",
            )
        )

        def compile_bench(work):
            source = work / "bench.cpp"
            source.write_text(DRIVER)
            build_verilated(
                text,
                work,
                "bench.so",
                top="top",
                sources=[source],
                objects=runtime_objects(cache_root(), ("verilated", "verilated_threads")),
                options=("--no-timing",),
                link=("-shared",),
            )

        library = cached(cache_root() / f"cells-{content_hash(text, DRIVER)}", compile_bench) / "bench.so"
        self._library = load_library(library)
        self._library.bench_new.restype = ctypes.c_void_p
        self._bench = ctypes.c_void_p(self._library.bench_new())
        self._words = words
        self.eval()
        return self

    def set(self, cell, **pins):
        """Set pins of a cell: a bit, or the number on a pin with a width, as (value, width)."""
        for name, value in pins.items():
            number, width = value if isinstance(value, tuple) else (value, 1)
            mask = ((1 << width) - 1) << cell.inputs[name]
            self.values = self.values & ~mask | (number << cell.inputs[name]) & mask

    def get(self, cell, name, width=1):
        return self.seen >> cell.outputs[name] & ((1 << width) - 1)

    def eval(self):
        sent, received = (ctypes.c_uint * count for count in self._words)
        out = received()
        into = sent(*(self.values >> 32 * n & 0xFFFFFFFF for n in range(self._words[0])))
        self._library.bench_eval(self._bench, into, self._words[0], out, self._words[1])
        self.seen = sum(word << 32 * n for n, word in enumerate(out))


def settled(bench, cell, **pins):
    """Set pins and wait."""
    bench.set(cell, **pins)
    bench.eval()


def tick(bench, cell, *clocks, **pins):
    """Set pins, then a rising edge of the clocks."""
    settled(bench, cell, **dict.fromkeys(clocks, 0), **pins)
    settled(bench, cell, **dict.fromkeys(clocks, 1))


def entry(table, *inputs):
    """Entry of a table; the first input is the lowest bit of its number."""
    return table >> sum(bit << n for n, bit in enumerate(inputs)) & 1


def run_checks(checks, bench):
    """Run checks: each adds its cells to the bench, yields, and goes on once the bench is compiled."""
    started = [check(bench, Random(1)) for check in checks]
    for part in started:
        next(part)
    bench.build()
    for part in started:
        next(part, None)
