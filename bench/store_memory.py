"""Measure the SDRAM controller of the sample store: python bench/store_memory.py

Words a cycle of records of 350 bytes, simulated with the model of the chip, at several clocks; with --route also the
clock that the controller alone reaches on an ECP5-85F, with a register at each port, and its cells. A minute; more with
--route.
"""

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import amaranth.back.rtlil
from amaranth import Module, Signal, Value
from amaranth.lib.wiring import In

from opzo.boards.families.flow import Step
from opzo.boards.families.tools import run_step
from opzo.hw.lib.check import Synthesis
from opzo.hw.store.sdram.controller import SdramController
from opzo.hw.store.sdram.parts import PARTS, ULX3S, SdramPart
from opzo.hw.store.sdram.timing import PinDelays, SdramTiming, best_phase, read_edges
from opzo.sim.benches.bench import run_bench

CLOCKS = (60.0, 80.0, 100.0)
PHASES = 16
REGISTERS = 2
"""At the pins of the FPGA, one on the way out and one on the way back."""
DEVICE = ("--85k", "--speed", "6", "--package", "CABGA381")
"""As on ULX3S 85F."""


def registered(unit: SdramController) -> tuple[Module, dict[str, Any]]:
    """The controller with a register at each of its ports, so that all its paths end in registers; and its ports."""
    m = Module()
    m.submodules.unit = unit
    ports = {}
    for path, member, value in unit.signature.flatten(unit):
        inside, name = Value.cast(value), "__".join(map(str, path))
        outside = Signal(len(inside), name=name)
        m.d.sync += inside.eq(outside) if member.flow == In else outside.eq(inside)
        ports[name] = (outside, None)
    return m, ports


def pin_delays(part: SdramPart, clock: float) -> PinDelays:
    """Delays of pins, with the best of PHASES phases of the chip's clock."""
    return best_phase(part, clock, PinDelays(clock=(2, 3), output=(2, 3), input=(1, 2)), PHASES)


def simulate(part: SdramPart, mhz: float, records: int, seed: int) -> dict[str, Any]:
    """Words a cycle, by kind and order of records."""
    clock = mhz * 1e6
    delays = pin_delays(part, clock)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        run_bench(
            SdramController(part, SdramTiming.of(part, clock), read_edges(part, clock, delays)),
            name=f"store-memory-{part.name}",
            test_module="opzo.sim.benches.store.memory",
            testcase="records_are_moved_at_nearly_a_word_a_cycle",
            seed=seed,
            parameters={
                "part": part.name,
                "power_up_us": part.power_up_us,
                # A simulator's step is a picosecond, and an edge comes each half period.
                "period": math.ceil(500e9 / clock) / 500,
                "clock": delays.clock,
                "output": delays.output,
                "input": delays.input,
                "records": records,
                "report": str(report),
            },
        )
        words: dict[str, float] = json.loads(report.read_text())
    return {
        "clock_mhz": mhz,
        "words_per_cycle": words,
        "megabytes_per_second": {name: round(2 * mhz * share, 1) for name, share in words.items()},
    }


def route(part: SdramPart, mhz: float, seed: int) -> dict[str, Any]:
    """Clock on an ECP5-85F, speed grade 6, and cells without the registers at the ports."""
    clock = mhz * 1e6
    edges = read_edges(part, clock, pin_delays(part, clock)) + REGISTERS
    unit = SdramController(part, SdramTiming.of(part, clock), edges)
    top, ports = registered(unit)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, design, given in (("top.il", top, {"ports": ports}), ("alone.il", unit, {})):
            text = amaranth.back.rtlil.convert(design, name="top", platform=Synthesis(), emit_src=False, **given)
            (folder / file).write_text(text)
        synth = "read_rtlil {0}.il; synth_ecp5 -nowidelut -top top -json {0}.json"
        synth += "; tee -q -o {0}.cells stat -json; design -reset"
        script = "; ".join(synth.format(each) for each in ("alone", "top"))
        run_step(Step("synthesis", "yosys", ("-q", "-p", script)), folder)
        arguments = (*DEVICE, "--json", "top.json", "--freq", str(mhz), "--seed", str(seed), "--report", "report.json")
        options = ("--timing-allow-fail", "--lpf-allow-unconstrained", "--router", "router2")
        run_step(Step("place and route", "nextpnr-ecp5", (*arguments, *options)), folder)
        report = json.loads((folder / "report.json").read_text())
        cells = json.loads((folder / "alone.cells").read_text())["design"]["num_cells_by_type"]
    return {
        "clock_required_mhz": mhz,
        "clock_mhz": round(min(entry["achieved"] for entry in report["fmax"].values()), 1),
        "cells": {name: number for name, number in sorted(cells.items()) if not name.startswith("$")},
        "seed": seed,
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [part.name for part in PARTS]
    parser.add_argument("--part", choices=names, default=ULX3S.name, help="SDRAM chip (default: %(default)s)")
    parser.add_argument("--clocks", type=float, nargs="+", default=CLOCKS, help="in MHz (default: 60 80 100)")
    parser.add_argument("--records", type=int, default=100, help="of each order (default: %(default)s)")
    parser.add_argument("--route", action="store_true", help="also place and route, at the highest of the clocks")
    parser.add_argument("--seed", type=int, default=1, help="of orders, words and placement (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()

    (part,) = (part for part in PARTS if part.name == args.part)
    figures: dict[str, Any] = {"part": part.name, "records": args.records, "seed": args.seed}
    figures["simulated"] = [simulate(part, mhz, args.records, args.seed) for mhz in args.clocks]
    if args.route:
        figures["routed"] = route(part, max(args.clocks), args.seed)
    if args.json:
        print(json.dumps(figures))
        return 0
    print(f"{part.name}, {args.records} records of 350 bytes, seed {args.seed}")
    for row in figures["simulated"]:
        for name, share in row["words_per_cycle"].items():
            rate = row["megabytes_per_second"][name]
            print(f"{row['clock_mhz']:g} MHz, {name}: {share:.3f} words a cycle, {rate} MB/s")
    if args.route:
        routed = figures["routed"]
        cells = ", ".join(f"{number} {name}" for name, number in routed["cells"].items())
        print(f"ECP5-85F, speed grade 6: {routed['clock_mhz']} MHz; {cells}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
