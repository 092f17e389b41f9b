"""Build flows from gateware to bitstream, with the steps that differ between device families."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from amaranth import Module, Signal, Value
from amaranth.lib import io

from opzo.boards.board import Resources
from opzo.boards.families.pll import Pll, PllRange
from opzo.hw.lib.primitives import GENERIC, Primitives

DESIGN = "opzo"
"""Name of the design; its files are ``opzo.il`` and so on."""
NETLIST, REPORT, CELLS, VERILOG = (f"{DESIGN}{suffix}" for suffix in (".json", ".report.json", ".cells.json", ".v"))
"""Netlist from yosys, report from nextpnr, cell counts from yosys, Verilog before synthesis."""
ROUTED = f"{DESIGN}.routed.json"
"""Netlist from nextpnr, after routing."""

# Memories whose read value is never used if the word is written in the same cycle. This is declared to yosys, which
# otherwise adds a comparator to each memory and a bypass for each bit. Row memory: the sequencer never reads a row that
# is being written. State of the neurons, traces and their lists: checked by the tests of these units and of the core
# (``tests/colliding.py``). Events: a run is read from one half of the memory while the next is written to the other.
NO_BYPASS = ("*.group_*.memory", "*.neurons.state", "*.inputs", "*.traces", "*.events")
# The same for memories that only a chip with convolutions has; checked by the tests of these units.
NO_BYPASS_OF_CONVOLUTIONS = ("*.group_*.gradients", "*.encoder.groups", "*.neuron_rows")
# Copies of the command near its users, in each group of lanes and in each lane and bank of row memory; yosys would
# merge these registers.
COPIES = ("*.group_? *.group_?? %u", "*.copy_?")
_AFTER_READ = "\n".join(
    (
        *(
            line
            for memory in NO_BYPASS
            for line in (
                f"select -assert-any {memory}/t:$memrd_v2",
                f"setparam -set COLLISION_X_MASK 1'1 {memory}/t:$memrd_v2",
            )
        ),
        *(f"setparam -set COLLISION_X_MASK 1'1 {memory}/t:$memrd_v2" for memory in NO_BYPASS_OF_CONVOLUTIONS),
        "proc",
        "opt_clean",
        *(f"select -assert-any {copies} t:$dff %i" for copies in COPIES),
        *(f"setattr -set keep 1 {copies} t:$dff %i" for copies in COPIES),
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
    """One run of a tool: ``stage`` as shown to the user, name of the tool, its arguments."""

    stage: str
    tool: str
    arguments: tuple[str, ...]


class Flow(ABC):
    """Build flow of a device family."""

    tools: tuple[str, ...]
    """Names of the tools in the order in which they run."""
    primitives: Primitives = GENERIC
    """Units with an implementation for this family."""
    pll: PllRange
    """Range of settings of its PLLs."""

    @abstractmethod
    def add_pll(self, m: Module, platform: Any, pll: Pll, clock: Signal, locked: Signal) -> None:
        """Add a PLL with setting ``pll``, fed by the board's oscillator; it drives ``clock`` and ``locked``."""

    def spread_reset(self, m: Module, reset: Value, spread: Value) -> None:
        """Drive ``spread``, which goes to the complete chip, with ``reset``, through a global net if there is one."""
        m.d.comb += spread.eq(reset)

    @property
    def prepare_options(self) -> dict[str, str]:
        """Overrides of the platform's build templates."""
        return {}


class OpenFlow(Flow):
    """Flow of open tools: yosys, nextpnr, packer."""

    synthesis_options: str
    """Options of yosys' command ``synth_...``."""
    netlists: ClassVar[Mapping[str, str]] = {}
    """Netlists that a build keeps, compressed, for the device ``netlist``: file of the tool, and name in the build."""

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
        """Estimate of the resources that nextpnr will use, from the cell counts of yosys."""

    @abstractmethod
    def used(self, report: dict[str, Any], cells: dict[str, int]) -> Resources:
        """Resources used, from the report of nextpnr and the cell counts of yosys."""

    def floorplan(self, netlist: Path, device: Resources) -> None:
        """Fix cells in ``netlist``, from yosys for a full ``device``, to sites, if the family's placer needs that."""

    def fix_block_rams(self, netlist: Path, device: Resources, seed: int) -> None:
        """Fix the block RAMs of a ``device`` that they fill to sites, if the family's placer needs that."""

    def steps(self, plan: Any, pll: Pll, seed: int, crowded: bool) -> list[Step]:
        """Tool runs that build a bitstream from Amaranth's build plan ``plan``.

        ``crowded``: most of the device's look-up tables or block RAMs are used.
        """
        commands = json.loads(plan.files[f"build_{DESIGN}.json"])["commands"]
        # Platforms may add commands that prepend a loader's header to the bitstream; openFPGALoader does that itself.
        synthesis, route, pack = (
            Step(stage, tool, tuple(arguments)) for stage, (tool, *arguments) in zip(STAGES, commands, strict=False)
        )
        return [synthesis, self.route(route, pll, seed, crowded), pack]

    def route(self, step: Step, pll: Pll, seed: int, crowded: bool) -> Step:
        """Complete nextpnr's arguments: clock, seed, report; timing is checked later, from the report."""
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
    """Clock from the board's oscillator pin, through an input buffer."""
    port = platform.request(platform.default_clk, dir="-")
    m.submodules.oscillator = buffer = io.Buffer(io.Direction.Input, port)
    clock: Signal = buffer.i
    return clock
