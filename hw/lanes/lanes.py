"""All lanes, in groups."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data

from opzo.hw.lanes.lane_command import ACCUMULATED, FIELDS, STAGES, SUM, group_stage, lane_command, pipeline_stage
from opzo.hw.lanes.lane_group import LaneGroup, LanePorts, instance_index
from opzo.hw.lib.add_tree import add_tree
from opzo.hw.lib.record import record
from opzo.hw.neurons.neurons import LATENCY, error_command
from opzo.spec.network import Limits


def word_done_stage(limits: Limits) -> int:
    """Stage at which the results of a word are there: lane after lane passes the neurons, from the chain on."""
    return ACCUMULATED + limits.lanes_per_group + LATENCY + 1


class Lanes(LanePorts):
    """The lanes of a device, in groups.

    A command is at stage 0 in the cycle after ``command``. Results of words and saturations come one cycle later than
    those of the groups; so do errors, ``shift`` and ``chain_in`` get there.

    Members
    -------
    command : In(lane_command)
    """

    command: data.View

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(limits, limits.lanes, {"command": lane_command(limits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size = self._limits.lanes_per_group
        groups = []
        for number in range(self._limits.lanes // size):
            group = LaneGroup(self._limits, size)
            m.submodules[f"group_{number}"] = group
            groups.append(group)
        # The command by stage, one cycle early: every group has its own registers of what it looks at, so that no net
        # goes far.
        before = [self.command, *(record(pipeline_stage(self._limits, n), f"before_{n}") for n in range(1, STAGES))]
        for into, out in zip(before[1:], before[:-1], strict=True):
            m.d.sync += [into[name].eq(out[name]) for name, _ in into.shape()]
        stages = {n: record(group_stage(self._limits, n), f"group_before_{n}") for n in FIELDS}
        m.d.comb += [stage[name].eq(before[n][name]) for n, stage in stages.items() for name in FIELDS[n]]
        # Errors come out of a multiplier; what waits for them is further away than this cycle. So is what waits for the
        # chain. The others are constant.
        error = record(error_command(self._limits), "error")
        alpha, activity = (Signal.like(port, reset_less=True) for port in (self.alpha, self.activity))
        shift, chain_end = Signal(), record(SUM, "chain_end", reset_less=True)
        m.d.sync += [error.eq(self.error), alpha.eq(self.alpha), activity.eq(self.activity)]
        m.d.sync += [shift.eq(self.shift), chain_end.eq(self.chain_in)]
        chain_in = [*(group.chain for group in groups[1:]), chain_end]
        for number, group in enumerate(groups):
            m.d.comb += [
                group.number.eq(instance_index(number, len(groups))),
                *(getattr(group, f"before_{n}").eq(stage) for n, stage in stages.items()),
                group.filter.eq(self.filter),
                group.error.eq(error),
                group.alpha.eq(alpha),
                group.activity.eq(activity),
                group.load.eq(self.load),
                group.shift.eq(shift),
                group.chain_in.eq(chain_in[number]),
            ]
        m.d.comb += [
            self.chain.eq(groups[0].chain),
            self.lane_0_row.eq(groups[0].lane_0_row),
            self.local_sum.eq(add_tree(m, [group.local_sum for group in groups], "local")),
        ]
        m.d.sync += [
            self.posted.eq(groups[0].posted),
            self.spikes.eq(Cat(group.spikes for group in groups)),
            self.membrane_saturated.eq(Cat(group.membrane_saturated for group in groups).any()),
            self.credit_saturated.eq(Cat(group.credit_saturated for group in groups).any()),
            self.row_saturated.eq(Cat(group.row_saturated for group in groups).any()),
        ]
        return m
