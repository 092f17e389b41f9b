"""All lanes, in groups."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data

from opzo.hw.lanes.checks import check_command, check_rows
from opzo.hw.lanes.lane_command import SUM, group_fields, group_stage, lane_command, pipeline_stage
from opzo.hw.lanes.lane_group import LaneGroup, instance_index
from opzo.hw.lanes.lane_ports import LanePorts
from opzo.hw.lib.add_tree import add_tree
from opzo.hw.lib.record import record
from opzo.hw.neurons.word_credits import error_command
from opzo.hw.timing import STAGES
from opzo.spec.fixed_network import FixedNetwork
from opzo.spec.limits import Limits


class Lanes(LanePorts):
    """The lanes of a device, in groups.

    Latency: a command is at stage 0 one cycle after ``command``. ``error``, ``settings`` and the inputs of
    ``shift_chain``, and ``gradient_shift``, reach the groups one cycle later; ``results`` and the strobes of
    saturations come one cycle after those of the groups.

    Parameters
    ----------
    limits : Limits
    fixed : FixedNetwork or None
        Network of a device that only infers, whose weights are in the row memories.

    Members
    -------
    command : In(lane_command)
    """

    command: data.View

    def __init__(self, limits: Limits, fixed: FixedNetwork | None = None) -> None:
        self._limits, self._fixed = limits, fixed
        super().__init__(limits, limits.lanes, {"command": lane_command(limits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        limits = self._limits
        size = limits.lanes_per_group
        contents = [None if self._fixed is None else self._fixed.row_words(n, size) for n in range(limits.groups)]
        groups = [LaneGroup(limits, size, each) for each in contents]
        for number, group in enumerate(groups):
            m.submodules[f"group_{number}"] = group
            m.d.comb += group.number.eq(instance_index(number, len(groups)))
        self._distribute(m, groups)
        self._shift(m, groups)
        if limits.learning:
            self._learn(m, groups)
        results = [group.results for group in groups]
        m.d.sync += [
            self.results.done.eq(results[0].done),
            self.results.spikes.eq(Cat(each.spikes for each in results)),
            self.results.membrane_saturated.eq(Cat(each.membrane_saturated for each in results).any()),
            self.results.credit_saturated.eq(Cat(each.credit_saturated for each in results).any()),
        ]
        return m

    def _learn(self, m: Module, groups: list[LaneGroup]) -> None:
        """Inputs and outputs of all groups that only learning needs."""
        # Errors leave a multiplier, and groups are further away than a cycle. Settings are constant.
        error = record(error_command(self._limits), "error")
        settings = record(self.settings.shape(), "settings", reset_less=True)
        m.d.sync += [
            error.eq(self.error),
            settings.eq(self.settings),
            self.row_saturated.eq(Cat(group.row_saturated for group in groups).any()),
        ]
        m.d.comb += [
            self.lane_0_row.eq(groups[0].lane_0_row),
            self.local_sum.eq(add_tree(m, [group.local_sum for group in groups], "local")),
        ]
        for group in groups:
            m.d.comb += [
                group.filter.eq(self.filter),
                group.error.eq(error),
                group.settings.eq(settings),
                group.take_credits.eq(self.take_credits),
            ]
        if self._limits.gradients:
            shift = Signal.like(self.gradient_shift, reset_less=True)
            m.d.sync += [
                shift.eq(self.gradient_shift),
                self.gradient_saturated.eq(Cat(group.gradient_saturated for group in groups).any()),
                self.shared_saturated.eq(Cat(group.shared_saturated for group in groups).any()),
            ]
            m.d.comb += [
                self.lane_0_gradient.eq(groups[0].lane_0_gradient),
                *(group.gradient_shift.eq(shift) for group in groups),
            ]

    def _distribute(self, m: Module, groups: list[LaneGroup]) -> None:
        """Inputs of all groups. Each group has its own registers of the command, so that no net is long."""
        limits = self._limits
        # Element n: the command one cycle before it is at stage n.
        before = [self.command, *(record(pipeline_stage(limits, n), f"before_{n}") for n in range(1, STAGES))]
        for after, earlier in zip(before[1:], before[:-1], strict=True):
            m.d.sync += [after[name].eq(earlier[name]) for name, _ in after.shape()]
        check_command(m, self.command, limits)
        if limits.learning:
            check_rows(m, before, limits)
        stages = {n: record(group_stage(limits, n), f"group_before_{n}") for n in group_fields(limits)}
        m.d.comb += [stage[name].eq(before[n][name]) for n, stage in stages.items() for name, _ in stage.shape()]
        for group in groups:
            m.d.comb += [getattr(group, f"before_{n}").eq(stage) for n, stage in stages.items()]

    def _shift(self, m: Module, groups: list[LaneGroup]) -> None:
        """Join the groups' shift chains. Its inputs are registered: they come from far away."""
        shift = Signal()
        end = record(SUM, "chain_end", reset_less=True)
        m.d.sync += [shift.eq(self.shift_chain.shift), end.eq(self.shift_chain.input)]
        inputs = [*(group.shift_chain.output for group in groups[1:]), end]
        for group, input_ in zip(groups, inputs, strict=True):
            m.d.comb += [group.shift_chain.shift.eq(shift), group.shift_chain.input.eq(input_)]
        m.d.comb += self.shift_chain.output.eq(groups[0].shift_chain.output)
