"""Stubs of the tools that build bitstreams: they write what the real ones would, small, in no time."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from opzo.boards import build
from opzo.boards.families.flow import Step

SECONDS = 0.1
"""Duration of a step."""
REPORT = {
    "fmax": {"$glbnet$clk": {"achieved": 99.5, "constraint": 60.0}},
    "utilization": {
        name: {"available": 24288, "used": used}
        for name, used in (("TRELLIS_COMB", 15478), ("TRELLIS_FF", 9287), ("DP16KD", 5), ("MULT18X18D", 6))
    },
    "critical_paths": [],
}
CELLS = {"LUT4": 9680, "CCU2C": 1676, "TRELLIS_DPR16X4": 261, "TRELLIS_FF": 9287, "DP16KD": 5, "MULT18X18D": 6}


def find_tool(name: str) -> tuple[str, str]:
    """A name in place of a command, and a version."""
    return name, f"{name} 1.0"


def run_step(step: Step, folder: Path) -> None:
    """Write the files of all steps."""
    time.sleep(SECONDS)
    texts = {
        f"{step.tool}.log": "fine\n" * 1000,
        "opzo.report.json": json.dumps(REPORT),
        "opzo.cells.json": json.dumps({"design": {"num_cells_by_type": CELLS}}),
        "opzo.v": "module opzo; endmodule\n" * 1000,
        "opzo.json": json.dumps({"modules": {}}),
        "opzo.routed.json": json.dumps({"modules": {}}),
        "opzo.bit": repr(step.arguments) * 500,
    }
    for name, text in texts.items():
        (folder / name).write_text(text)


@contextmanager
def installed() -> Iterator[None]:
    """Use the stubs in `opzo.boards.build`."""
    with patch.object(build, "find_tool", find_tool), patch.object(build, "run_step", run_step):
        yield
