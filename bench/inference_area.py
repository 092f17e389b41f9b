"""Cells of a core that only infers and of one that learns: python bench/inference_area.py

Synthesises both with their links for ECP5, with the settings of a board's build, for a dense network and one with
convolutions. Counts are those of yosys, before place and route. The weights are initial ones of seed 0; the number of
cells does not depend on them. Took 25 minutes on a busy 2-core machine with the yosys that pip installs.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import amaranth.back.rtlil

from opzo.boards.families.ecp5 import ECP5
from opzo.boards.families.flow import COPIES, NO_BYPASS, NO_BYPASS_OF_CONVOLUTIONS, Step
from opzo.boards.families.tools import find_tool, run_step
from opzo.boards.fit import tight_limits
from opzo.host.driver.fixed import fixed_network
from opzo.host.driver.initial_weights import initial_weights
from opzo.hw.lib.check import Synthesis
from opzo.hw.top import Top
from opzo.spec.limits import Limits
from opzo.spec.network import Network
from opzo.spec.rules import Rule

NETWORKS = ("784-128-10", "1x8x8-8c3-p2-16c3-10")
SEED = 0
CELLS = "cells.json"
COUNTED = ("LUT4", "CCU2C", "TRELLIS_DPR16X4", "TRELLIS_FF", "DP16KD", "MULT18X18D")
"""Cells of yosys: look-up tables, carry cells, memories of 16 words, flip-flops, block RAMs, multipliers."""
SCRIPT = "\n".join(
    (
        "read_rtlil top.il",
        *(
            f"setparam -set COLLISION_X_MASK 1'1 {memory}/t:$memrd_v2"
            for memory in (*NO_BYPASS, *NO_BYPASS_OF_CONVOLUTIONS)
        ),
        "proc",
        "opt_clean",
        *(f"setattr -set keep 1 {copies} t:$dff %i" for copies in COPIES),
        f"synth_ecp5 -top top {ECP5.synthesis_options}",
        f"tee -q -o {CELLS} stat -json",
    )
)


class Target(Synthesis):
    """Gateware for ECP5, where no board's platform is at hand."""

    primitives = ECP5.primitives


def cells(top: Top) -> dict[str, int]:
    """Cells of a chip by their names in yosys, and ``luts``, the estimate of a board's build."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = amaranth.back.rtlil.convert(top, name="top", platform=Target(), emit_src=False)
        (folder / "top.il").write_text(text)
        (folder / "top.ys").write_text(SCRIPT)
        run_step(Step("synthesis", "yosys", ("-q", "top.ys")), folder)
        counts = json.loads((folder / CELLS).read_text())["design"]["num_cells_by_type"]
    found = {cell: counts.get(cell, 0) for cell in COUNTED}
    return {"luts": ECP5().counted(found).luts, **found}


def measure(network: Network, lanes: int, group: int) -> dict[str, Any]:
    """Cells of both cores."""
    fixed = fixed_network(network, Rule.OPZO, initial_weights(network, SEED), lanes, lanes_per_group=group)
    learns: Limits = replace(tight_limits(network, lanes), lanes_per_group=group)
    found: dict[str, Any] = {"network": str(network), "lanes": lanes, "lanes_per_group": group}
    for name, top in (("learns", Top(learns)), ("infers", Top(fixed.limits, 0, fixed))):
        found[name] = cells(top)
        print(found["network"], name, found[name], file=sys.stderr, flush=True)
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", action="append", help=f"network, may be repeated (default: {', '.join(NETWORKS)})")
    parser.add_argument("--lanes", type=int, default=8, help="lanes (default: %(default)s)")
    parser.add_argument("--group", type=int, default=8, help="lanes of a group (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    args = parser.parse_args()

    rows = [measure(Network(text), args.lanes, args.group) for text in args.net or NETWORKS]
    if args.json:
        print(json.dumps({"tool": find_tool("yosys")[1], "seed": SEED, "rows": rows}))
        return 0
    for row in rows:
        print(f"{row['network']}, {row['lanes']} lanes in groups of {row['lanes_per_group']}, seed {SEED}")
        for cell, learns in row["learns"].items():
            infers = row["infers"][cell]
            print(f"  {cell:16}{learns:8,}{infers:8,}  {infers / max(learns, 1):4.0%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
