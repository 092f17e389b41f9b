"""Build a bitstream, cached by the content of its sources, or a project for a vendor's tool."""

import gzip
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import opzo
from opzo.boards.area import AREAS
from opzo.boards.board import Board, Resources
from opzo.boards.duration import forecast
from opzo.boards.families.flow import CELLS, DESIGN, NETLIST, REPORT, STAGES, VERILOG, Flow, OpenFlow
from opzo.boards.families.flows import flow_of
from opzo.boards.families.pll import Pll
from opzo.boards.families.tools import find_tool, run_step
from opzo.boards.pins import board_pins
from opzo.boards.speed import training_speed
from opzo.boards.top import BoardTop
from opzo.hw.lib.uart import LEAST_CYCLES
from opzo.spec.errors import OpzoError
from opzo.spec.limits import Limits
from opzo.spec.network import Network
from opzo.system.atomic import write_atomically
from opzo.system.cache import MANIFEST, cache_root, cached, content_hash
from opzo.system.durable import sync_folder
from opzo.system.folder_lock import make_folder

ELABORATION = "gateware"
"""First stage, before those of the tools."""
SOURCES = ("boards", "hw", "spec")
"""Packages whose sources determine the bitstream."""
FULL = 0.6
"""Share of a device's look-up tables, or of its block RAMs, above which the device counts as full of them."""
RESULT, CONFIGURATION = "result.json", "configuration.json"

Tell = Callable[[str], None]
"""Callback that takes one line of progress, for instance the name of a stage when it begins."""


@dataclass(frozen=True)
class Plan:
    """Parameters of a build.

    Parameters
    ----------
    board : Board
    limits : Limits
    pll : Pll
        Core clock.
    baud : int
        Rate of the UART.
    seed : int
        Seed of place and route.
    """

    board: Board
    limits: Limits
    pll: Pll
    baud: int
    seed: int = 1

    @classmethod
    def of(cls, board: Board, limits: Limits, clock_mhz: float | None = None, seed: int = 1) -> "Plan":
        """Plan with the highest available clock at or below ``clock_mhz`` (None: the board's) and the fastest UART."""
        pll = flow_of(board).pll.nearest(board.clock_mhz, clock_mhz or board.core_mhz)
        # An integer fraction of the bridge's highest rate: every USB bridge can generate it.
        divisor = 1
        while board.baud // divisor * LEAST_CYCLES > pll.mhz * 1e6:
            divisor += 1
        return cls(board, limits, pll, board.baud // divisor, seed)

    @property
    def full(self) -> bool:
        """Whether the chip is estimated to use more than FULL of the device's look-up tables."""
        return AREAS[self.board.family].estimate(self.limits).luts > FULL * self.board.device.luts

    @property
    def crowded(self) -> bool:
        """Whether the chip is `full`, or has convolutions and fills the device's block RAMs."""
        block_rams = AREAS[self.board.family].estimate(self.limits).block_rams
        return self.full or (self.limits.gradients > 0 and block_rams > FULL * self.board.device.block_rams)

    @property
    def configuration(self) -> dict[str, Any]:
        """All parameters of the build, as written to CONFIGURATION."""
        return {
            "version": opzo.__version__,
            "board": self.board.name,
            "family": self.board.family.value,
            "limits": asdict(self.limits),
            "oscillator_mhz": self.board.clock_mhz,
            "clock_mhz": self.pll.mhz,
            "pll": {"reference": self.pll.reference, "feedback": self.pll.feedback, "post": self.pll.post},
            "baud": self.baud,
            "seed": self.seed,
            "pins": {name: asdict(pin) for name, pin in board_pins(self.board).items()},
        }


def build(plan: Plan, network: Network, out: Path, tell: Tell, note: Tell) -> dict[str, Any]:
    """Build a bitstream for ``network`` into the folder ``out``; return the result, as `opzo build --json` prints it.

    A build that was done before is copied from the cache; otherwise ``note`` gets an estimate of the duration.
    OpzoError if a tool is missing; ToolError if one fails.
    """
    flow = flow_of(plan.board)
    assert isinstance(flow, OpenFlow)
    commands, versions = zip(*map(find_tool, flow.tools), strict=True)
    key = content_hash(json.dumps(plan.configuration), sources_hash(), *versions)

    def build_new(folder: Path) -> None:
        note(forecast(plan.board, plan.limits, commands))
        _build(plan, flow, tell, folder)

    folder = cached(cache_root() / "bitstreams" / f"{plan.board.name}-{key}", build_new)
    result: dict[str, Any] = json.loads((folder / RESULT).read_bytes()) | {
        "network": str(network),
        "speed": training_speed(network, plan.limits.lanes, plan.pll.mhz, plan.baud),
        "bitstream": str(out / plan.board.bitstream),
    }
    _copy(folder, out, json.dumps(result, indent=2) + "\n")
    return result


def prepare(plan: Plan, out: Path, tell: Tell) -> dict[str, Any]:
    """Write the project for the vendor's tool into ``out``; return its summary, as `opzo build --json` prints it."""
    flow = flow_of(plan.board)
    tell(ELABORATION)
    files = _elaborate(plan, flow)
    try:
        out.mkdir(parents=True, exist_ok=True)
        files.extract(str(out))
        (out / CONFIGURATION).write_text(json.dumps(plan.configuration, indent=2) + "\n")
    except OSError as error:
        raise OpzoError(f"cannot write into {out} ({error.strerror or error}); give another --out") from None
    return {
        "board": plan.board.name,
        "project": str(out),
        "script": f"build_{DESIGN}.sh",
        "tool": ", ".join(flow.tools),
        "clock_mhz": plan.pll.mhz,
        "lanes": plan.limits.lanes,
        "limits": asdict(plan.limits),
        "baud": plan.baud,
    }


def synthesise(plan: Plan, folder: Path) -> Resources:
    """Synthesise in the empty ``folder``, without place and route; return the resources that the chip will need."""
    flow = flow_of(plan.board)
    assert isinstance(flow, OpenFlow)
    files = _elaborate(plan, flow)
    files.extract(str(folder))
    run_step(flow.steps(files, plan.pll, plan.seed, plan.crowded)[0], folder)
    return flow.counted(_cells(folder))


def _cells(folder: Path) -> dict[str, int]:
    """Number of cells by type, as counted by yosys."""
    cells: dict[str, int] = json.loads((folder / CELLS).read_text())["design"]["num_cells_by_type"]
    return cells


def _elaborate(plan: Plan, flow: Flow) -> Any:
    """Amaranth's build plan: the gateware, constraints and scripts."""
    top = BoardTop(plan.board, flow, plan.limits, plan.pll, plan.baud)
    platform = plan.board.platform()
    platform.primitives = flow.primitives
    return platform.prepare(top, DESIGN, emit_src=False, **flow.prepare_options)


def _build(plan: Plan, flow: OpenFlow, tell: Tell, folder: Path) -> None:
    begin = time.monotonic()
    tell(ELABORATION)
    files = _elaborate(plan, flow)
    work = folder / "work"
    files.extract(str(work))
    for step in flow.steps(files, plan.pll, plan.seed, plan.crowded):
        tell(step.stage)
        run_step(step, work)
        if step.stage == STAGES[0]:
            fix_cells(plan, flow, work / NETLIST)
    report = json.loads((work / REPORT).read_text())
    achieved = min(entry["achieved"] for entry in report["fmax"].values())
    result = {
        "version": opzo.__version__,
        "board": plan.board.name,
        "clock_mhz": round(achieved, 2),
        "clock_required_mhz": plan.pll.mhz,
        "timing_met": achieved >= plan.pll.mhz,
        "lanes": plan.limits.lanes,
        "limits": asdict(plan.limits),
        "baud": plan.baud,
        "seed": plan.seed,
        "used": asdict(flow.used(report, _cells(work))),
        "available": asdict(plan.board.device),
        "critical_path": critical_path(report),
        "tools": {tool: find_tool(tool)[1] for tool in flow.tools},
        "seconds": round(time.monotonic() - begin, 1),
    }
    (folder / RESULT).write_text(json.dumps(result, indent=2) + "\n")
    (folder / CONFIGURATION).write_text(json.dumps(plan.configuration, indent=2) + "\n")
    shutil.move(work / f"{DESIGN}{plan.board.family.suffix}", folder / plan.board.bitstream)
    for name in (REPORT, CELLS, VERILOG, *(path.name for path in work.glob("*.log"))):
        shutil.move(work / name, folder / name)
    keep_netlists(flow.netlists, work, folder)
    shutil.rmtree(work)


def keep_netlists(netlists: Mapping[str, str], work: Path, folder: Path) -> None:
    """Keep ``netlists``, named as in `OpenFlow.netlists`, and the constraints of ``work`` in ``folder``."""
    for name, kept in netlists.items():
        with (work / name).open("rb") as netlist, gzip.open(folder / f"{kept}.gz", "wb", compresslevel=6) as file:
            shutil.copyfileobj(netlist, file)
    for constraints in (work / f"{DESIGN}{suffix}" for suffix in (".lpf", ".pcf", ".cst")):
        if constraints.exists():
            shutil.move(constraints, folder / constraints.name)


def fix_cells(plan: Plan, flow: OpenFlow, netlist: Path) -> None:
    """Fix cells of a crowded device in ``netlist`` to sites."""
    if plan.full:
        flow.floorplan(netlist, plan.board.device)
    elif plan.crowded:
        flow.fix_block_rams(netlist, plan.board.device, plan.seed)


def critical_path(report: dict[str, Any]) -> list[str]:
    """Cells along the slowest path within a clock domain: cumulative delay in ns, type, and nextpnr's name."""
    inside = [path for path in report["critical_paths"] if path["from"] == path["to"]]
    delay, cells = 0.0, []
    for part in max((path["path"] for path in inside), key=_delay, default=[]):
        delay += part["delay"]
        cells.append(f"{delay:.2f} {part['type']} {part['to']['cell']}")
    return cells


def _delay(path: list[dict[str, Any]]) -> float:
    """Total delay of a path in ns."""
    return float(sum(part["delay"] for part in path))


def sources_hash() -> str:
    """Hash of the gateware's sources and of the versions of the packages that convert it."""
    root = Path(opzo.__file__).parent
    texts = [
        part
        for package in SOURCES
        for path in sorted((root / package).rglob("*.py"))
        for part in (path.relative_to(root), path.read_bytes())
    ]
    return content_hash(*texts, version("amaranth"), version("amaranth-boards"))


def _copy(folder: Path, out: Path, result: str) -> None:
    """Copy a build, each file completely or not at all; RESULT comes last, so a folder that has it is complete."""
    try:
        make_folder(out)
        (out / RESULT).unlink(missing_ok=True)
        sync_folder(out)
        for path in sorted(folder.iterdir()):
            if path.name not in (MANIFEST, RESULT):
                write_atomically(out / path.name, path.read_bytes())
        write_atomically(out / RESULT, result.encode())
    except OSError as error:
        raise OpzoError(f"cannot write into {out} ({error.strerror or error}); give another --out") from None
