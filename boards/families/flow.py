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

_AFTER_READ = f"""
# Where a row of the row memory is read and written at once nobody uses what was read (the sequencer sees to that);
# without this yosys adds a comparator, and a bypass for each bit.
select -assert-any *.group_*.memory/t:$memrd_v2
setparam -set COLLISION_X_MASK 1'1 *.group_*.memory/t:$memrd_v2
# Nor of the state of a neuron, nor of a trace or a list of traces (hw.input.traces tells why), nor of an event: runs
# are read from one half of their memory and written to the other. The tests of core, traces and events try it.
select -assert-any *.neurons.state/t:$memrd_v2
setparam -set COLLISION_X_MASK 1'1 *.neurons.state/t:$memrd_v2
select -assert-any *.inputs/t:$memrd_v2
select -assert-any *.traces/t:$memrd_v2
select -assert-any *.events/t:$memrd_v2
setparam -set COLLISION_X_MASK 1'1 *.inputs/t:$memrd_v2 *.traces/t:$memrd_v2 *.events/t:$memrd_v2
# Groups of lanes and lanes have their own copies of the command, so that none of them goes far; yosys would merge them.
proc
opt_clean
select -assert-any *.group_? *.group_?? %u t:$dff %i
select -assert-any *.copy_? t:$dff %i
setattr -set keep 1 *.group_? *.group_?? %u *.copy_? %u t:$dff %i
# A copy of the design as Verilog.
design -push-copy
memory_collect
write_verilog -norename -noattr {VERILOG}
design -pop"""
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
