"""From gateware to bitstream: what differs between device families."""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth import Module, Signal, Value
from amaranth.lib import io

from opzo.boards.board import Resources
from opzo.boards.families.pll import Pll, PllRange
from opzo.hw.lib.primitives import GENERIC, Primitives

DESIGN = "opzo"
"""Name of the design; its files are ``opzo.il`` and so on."""
NETLIST, REPORT, CELLS, VERILOG = (f"{DESIGN}{suffix}" for suffix in (".json", ".report.json", ".cells.json", ".v"))
"""What yosys made, report of nextpnr, cells counted by yosys, Verilog that was synthesised."""

# Memories whose value is never used when it is read in the cycle in which it is written. Yosys is told so; otherwise it
# adds a comparator to each, and a bypass for each bit. Row memory: the sequencer never reads such a row. State of the
# neurons, traces and their lists: the tests of these units and of the core try it (``tests/colliding.py``). Events: a
# run is read from one half of the memory while the next one is written to the other.
_NO_BYPASS = ("*.group_*.memory", "*.neurons.state", "*.inputs", "*.traces", "*.events")
# Registers that Yosys would merge, but that are copies of the command near their users: those of each group of lanes,
# and those of each lane and bank of row memory.
_COPIES = ("*.group_? *.group_?? %u", "*.copy_?")
_AFTER_READ = "\n".join(
    (
        *(
            line
            for memory in _NO_BYPASS
            for line in (
                f"select -assert-any {memory}/t:$memrd_v2",
                f"setparam -set COLLISION_X_MASK 1'1 {memory}/t:$memrd_v2",
            )
        ),
        "proc",
        "opt_clean",
        *(f"select -assert-any {copies} t:$dff %i" for copies in _COPIES),
        *(f"setattr -set keep 1 {copies} t:$dff %i" for copies in _COPIES),
        # The design as Verilog, before synthesis.
        "design -push-copy",
        "memory_collect",
        f"write_verilog -norename -noattr {VERILOG}",
        "design -pop",
    )
)
_AFTER_SYNTHESIS = f"tee -q -o {CELLS} stat -json"
STAGES = ("synthesis", "place and route", "bitstream")


@dataclass(frozen=True)
class Step:
    """A run of a tool: ``stage`` for the user, name of the tool, its arguments."""

    stage: str
    tool: str
    arguments: tuple[str, ...]


class Flow(ABC):
    """What is special to a device family."""

    tools: tuple[str, ...]
    """Names of its tools in the order in which they run."""
    primitives: Primitives = GENERIC
    """Units that it has better ones of."""
    pll: PllRange
    """What its PLLs can do."""

    @abstractmethod
    def add_pll(self, m: Module, platform: Any, pll: Pll, clock: Signal, locked: Signal) -> None:
        """Add a PLL of setting ``pll`` behind the board's oscillator; it drives ``clock`` and ``locked``."""

    def spread_reset(self, m: Module, reset: Value, spread: Value) -> None:
        """Drive ``spread``, which goes everywhere, with ``reset``, in whatever nets reach far."""
        m.d.comb += spread.eq(reset)

    @property
    def prepare_options(self) -> dict[str, str]:
        """Overrides of the platform's build templates."""
        return {}


class OpenFlow(Flow):
    """Flow of open tools: yosys, nextpnr, packer."""

    synthesis_options: str
    """Options of yosys' command ``synth_...``."""

    @property
    def prepare_options(self) -> dict[str, str]:
        """Overrides of the platform's build templates."""
        return {
            "synth_opts": self.synthesis_options,
            "script_after_read": _AFTER_READ,
            "script_after_synth": _AFTER_SYNTHESIS,
        }

    @abstractmethod
    def counted(self, cells: dict[str, int]) -> Resources:
        """Resources that nextpnr will need for the cells of yosys, as far as they tell."""

    @abstractmethod
    def used(self, report: dict[str, Any], cells: dict[str, int]) -> Resources:
        """Resources used, from the report of nextpnr and the cells of yosys."""

    def floorplan(self, netlist: Path, device: Resources) -> None:
        """Fix cells in ``netlist``, what yosys made for a full ``device``, to places, where the placer needs that."""

    def steps(self, plan: Any, pll: Pll, seed: int, full: bool) -> list[Step]:
        """Tool runs that make a bitstream of the files of Amaranth's build plan ``plan``; ``full``: the device is."""
        commands = json.loads(plan.files[f"build_{DESIGN}.json"])["commands"]
        # Boards may add commands that put a loader's header before the bitstream; openFPGALoader does that itself.
        synthesis, route, pack = (
            Step(stage, tool, tuple(arguments)) for stage, (tool, *arguments) in zip(STAGES, commands, strict=False)
        )
        return [synthesis, self.route(route, pll, seed, full), pack]

    def route(self, step: Step, pll: Pll, seed: int, full: bool) -> Step:
        """Complete the call of nextpnr: clock, seed, report; timing is judged later, from the report."""
        return Step(
            step.stage,
            step.tool,
            (
                *(argument for argument in step.arguments if argument != "--quiet"),
                *("--freq", f"{pll.mhz:.4f}", "--seed", str(seed)),
                *("--report", REPORT, "--timing-allow-fail"),
            ),
        )


def oscillator(m: Module, platform: Any) -> Signal:
    """The board's clock pin, through a buffer."""
    port = platform.request(platform.default_clk, dir="-")
    m.submodules.oscillator = buffer = io.Buffer(io.Direction.Input, port)
    clock: Signal = buffer.i
    return clock
