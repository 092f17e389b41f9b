"""Chips for a board after synthesis, without place and route, as `opzo build` would leave them."""

import json
import shutil
from pathlib import Path

from opzo.boards.build import CONFIGURATION, Plan, keep_netlists, sources_hash, synthesise
from opzo.boards.families.flow import NETLIST
from opzo.boards.families.flows import flow_of
from opzo.boards.families.tools import find_tool
from opzo.boards.registry import find_board
from opzo.spec.limits import Limits
from opzo.system.cache import cache_root, cached, content_hash


def synthesised(board: str, limits: Limits, clock_mhz: float) -> Path:
    """Folder of a chip, in the cache: its netlist, constraints and configuration."""
    plan = Plan.of(find_board(board), limits, clock_mhz)
    configuration = json.dumps(plan.configuration)
    kept = {name: kept for name, kept in flow_of(plan.board).netlists.items() if kept == NETLIST}

    def build(folder: Path) -> None:
        work = folder / "work"
        work.mkdir()
        synthesise(plan, work)
        keep_netlists(kept, work, folder)
        (folder / CONFIGURATION).write_text(configuration)
        shutil.rmtree(work)

    key = content_hash(configuration, sources_hash(), find_tool("yosys")[1])
    return cached(cache_root() / "synthesised" / f"{board}-{key}", build)
