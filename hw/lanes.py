"""All lanes, in groups."""

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lane_command import filter_command, lane_command
from opzo.hw.lane_group import GROUP, LaneGroup, error_command
from opzo.spec.formats import ACTIVITY_BITS, ALPHA_BITS, MEMBRANE, WEIGHT
from opzo.spec.network import Limits


class Lanes(wiring.Component):
    """The lanes of a device, in groups of GROUP.

    A command is at stage 0 in the cycle after ``command``. Spikes and saturations come registered, one cycle after
    stage RESULT of ``opzo.hw.lane``.

    Members
    -------
    command, filter, error, alpha, activity, shift, chain_in, chain : see LaneGroup.
    spikes, first_spikes : Out(lanes)
    membrane_saturated, credit_saturated, row_saturated : Out(1)
        Some lane saturated.
    lane_0_row : Out(signed)
        Row word of lane 0 at stage ROW.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "command": In(lane_command(limits)),
                "filter": In(filter_command(limits)),
                "error": In(error_command(limits)),
                "alpha": In(ALPHA_BITS),
                "activity": In(ACTIVITY_BITS),
                "shift": In(1),
                "chain_in": In(MEMBRANE.width),
                "chain": Out(signed(MEMBRANE.width)),
                "spikes": Out(limits.lanes),
                "first_spikes": Out(limits.lanes),
                "membrane_saturated": Out(1),
                "credit_saturated": Out(1),
                "row_saturated": Out(1),
                "lane_0_row": Out(signed(WEIGHT.width)),
            }
        )

    command: data.View
    filter: data.View
    error: data.View
    alpha: Signal
    activity: Signal
    shift: Signal
    chain_in: Signal
    chain: Signal
    spikes: Signal
    first_spikes: Signal
    membrane_saturated: Signal
    credit_saturated: Signal
    row_saturated: Signal
    lane_0_row: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size = min(GROUP, self._limits.lanes)
        groups = []
        for number in range(self._limits.lanes // size):
            group = LaneGroup(self._limits, number * size, size)
            m.submodules[f"group_{number}"] = group
            groups.append(group)
        chain_in = [*(group.chain for group in groups[1:]), self.chain_in]
        for number, group in enumerate(groups):
            m.d.comb += [
                group.command.eq(self.command),
                group.filter.eq(self.filter),
                group.error.eq(self.error),
                group.alpha.eq(self.alpha),
                group.activity.eq(self.activity),
                group.shift.eq(self.shift),
                group.chain_in.eq(chain_in[number]),
            ]
        m.d.comb += [self.chain.eq(groups[0].chain), self.lane_0_row.eq(groups[0].lane_0_row)]
        m.d.sync += [
            self.spikes.eq(Cat(group.spikes for group in groups)),
            self.first_spikes.eq(Cat(group.first_spikes for group in groups)),
            self.membrane_saturated.eq(Cat(group.membrane_saturated for group in groups).any()),
            self.credit_saturated.eq(Cat(group.credit_saturated for group in groups).any()),
            self.row_saturated.eq(Cat(group.row_saturated for group in groups).any()),
        ]
        return m
