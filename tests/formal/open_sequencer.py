"""The sequencer with free pass contents, and what it relies on, for proofs about the rows that its ops name."""

from typing import Any

from amaranth import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out
from proof import mutant

from opzo.hw.input.position_ends import RunSpanSignature, window_list
from opzo.hw.lanes.lane_command import filter_command
from opzo.hw.registers import CONFIG, layers_layout
from opzo.hw.schedule.filler import LOSSES, FillSignature
from opzo.hw.schedule.passes import pass_layout
from opzo.hw.schedule.runner import PassRunner
from opzo.hw.schedule.window_rows import window_row_layout
from opzo.hw.schedule.window_walk import walk_layout
from opzo.spec.limits import Limits

SEQUENCER = "opzo.hw.schedule.sequencer"


class Free(Component):
    """Stands in for a unit of the sequencer and drives nothing: a proof takes its outputs as free."""

    def elaborate(self, platform: object) -> Module:
        return Module()


class OpenSequencer:
    """The real `Sequencer` around free passes, window rows and a free pace of the filler.

    Parameters
    ----------
    limits : Limits
    module : ModuleType, optional
        A `mutant` of the sequencer.
    units
        Mutants of its units, such as ``PassGate``.

    Attributes
    ----------
    unit : Sequencer
    runner : PassRunner
    passes : stream
        Passes to the runner.
    free : tuple of Component
        For `Proof`.
    """

    def __init__(self, limits: Limits, module: Any = None, **units: Any) -> None:
        self.limits = limits
        # A copy of the module, whose names can be changed.
        module = module or mutant(SEQUENCER, "class Sequencer(", "class Sequencer(")
        settings = {"config": In(CONFIG), "layers": In(layers_layout(limits))}
        schedule = Free(
            {**settings, "start": In(1), "train": In(1), "passes": Out(stream.Signature(pass_layout(limits)))}
        )
        filler = Free(
            {
                **settings,
                "phase": In(1),
                "losses": In(LOSSES),
                "fill": In(FillSignature()),
                "command": Out(filter_command(limits)),
            }
        )
        self.passes = schedule.passes
        self.free: tuple[Component, ...] = (schedule, filler)
        self.runner = units.pop("PassRunner", PassRunner)(limits)
        units["PassRunner"] = lambda _: self.runner
        vars(module).update(Schedule=lambda _: schedule, FilterFiller=lambda _: filler, **units)
        if limits.gradients:
            scan = Free(
                {
                    "layer": In(stream.Signature(walk_layout())),
                    "list": In(window_list(limits)),
                    "ends": Out(RunSpanSignature(limits)),
                    "rows": Out(stream.Signature(window_row_layout(limits))),
                }
            )
            self.free += (scan,)
            vars(module).update(WindowScan=lambda _: scan)
        self.unit = module.Sequencer(limits)
