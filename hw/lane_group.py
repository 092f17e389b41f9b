"""A group of lanes with its share of the row memory and its own copy of the command."""

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.add_tree import add_tree
from opzo.hw.lane import Lane
from opzo.hw.lane_command import (
    LANE_FIELDS,
    RESULT,
    ROW,
    STAGES,
    ChainOp,
    filter_command,
    lane_command,
    pipeline_stage,
)
from opzo.hw.lane_state import STEP_BITS
from opzo.hw.record import record
from opzo.hw.row_memory import READ_LATENCY, RowMemory
from opzo.spec.formats import ACTIVITY_BITS, ALPHA_BITS, MEMBRANE, SCALED_ERROR, WEIGHT
from opzo.spec.network import Limits

GROUP = 8
"""Lanes a group (fewer where the device has fewer): what one copy of the command drives."""


def error_command(limits: Limits) -> data.StructLayout:
    """Layout of a credit on its way from the error unit to the lane of its read-out neuron."""
    return data.StructLayout({"valid": 1, "class_": 6, "step": STEP_BITS, "value": signed(SCALED_ERROR.width)})


class LanePorts(wiring.Component):
    """Ports of ``lanes`` lanes: of a group, or of the whole device.

    Members
    -------
    command, filter, error : In
        Layouts ``lane_command``, ``filter_command``, ``error_command``.
    alpha, activity : In
        Noise amplitude and activity cost, constant during a sample.
    shift : In(1), chain_in : In, chain : Out(signed)
        Chain: on ``shift`` every lane takes the next one's, the last ``chain_in``; ``chain`` is the first lane's.
    spikes : Out(lanes)
    membrane_saturated, credit_saturated, row_saturated : Out(1)
        Some lane saturated.
    lane_0_row : Out(signed)
        Row of the first lane at stage ROW.
    local_sum : Out(signed)
        Sum of the lanes' ``local``, one cycle later for each doubling of the lanes.
    """

    command: data.View
    filter: data.View
    error: data.View
    alpha: Signal
    activity: Signal
    shift: Signal
    chain_in: Signal
    chain: Signal
    spikes: Signal
    membrane_saturated: Signal
    credit_saturated: Signal
    row_saturated: Signal
    lane_0_row: Signal
    local_sum: Signal

    def __init__(self, limits: Limits, lanes: int) -> None:
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
                "spikes": Out(lanes),
                "membrane_saturated": Out(1),
                "credit_saturated": Out(1),
                "row_saturated": Out(1),
                "lane_0_row": Out(signed(WEIGHT.width)),
                "local_sum": Out(signed(WEIGHT.width + (lanes - 1).bit_length())),
            }
        )


class LaneGroup(LanePorts):
    """Lanes ``first`` .. ``first + size - 1``.

    Commands and ``shift`` are registered once on entry, so a command given in one cycle is at stage 0 in the next.
    Outputs at stage RESULT.
    """

    def __init__(self, limits: Limits, first: int, size: int) -> None:
        self._limits, self._first, self._size = limits, first, size
        super().__init__(limits, size)

    def elaborate(self, platform: object) -> Module:
        if READ_LATENCY != ROW:
            raise AssertionError("the row memory's latency sets the stage at which rows are there")
        m = Module()
        weight_bits = self._limits.weight_bits
        m.submodules.memory = memory = RowMemory(self._limits.rows, self._size * weight_bits)
        lanes = []
        for offset in range(self._size):
            lane = Lane(self._limits, self._first + offset)
            m.submodules[f"lane_{offset}"] = lane
            lanes.append(lane)

        stages = [record(pipeline_stage(self._limits, n), f"stage_{n}") for n in range(STAGES)]
        for stage, before in zip(stages, [self.command, *stages[:-1]], strict=True):
            m.d.sync += [stage[name].eq(before[name]) for name, _ in stage.shape()]
        shift = Signal()
        fill = record(filter_command(self._limits), "fill")
        arrived = record(filter_command(self._limits), "arrived")
        error = record(error_command(self._limits), "error")
        m.d.sync += [shift.eq(self.shift), fill.eq(self.filter), arrived.eq(fill), error.eq(self.error)]

        result = stages[RESULT]
        m.d.comb += [
            memory.read_address.eq(stages[0].address),
            memory.write_address.eq(result.address),
            memory.write_en.eq(result.update | (result.chain == ChainOp.STORE_ROW)),
            memory.write_data.eq(Cat(lane.result for lane in lanes)),
            self.lane_0_row.eq(lanes[0].row),
            self.chain.eq(lanes[0].chain),
            self.local_sum.eq(add_tree(m, [lane.local for lane in lanes], "local")),
            self.spikes.eq(Cat(lane.spike for lane in lanes)),
            self.membrane_saturated.eq(Cat(lane.membrane_saturated for lane in lanes).any()),
            self.credit_saturated.eq(Cat(lane.credit_saturated for lane in lanes).any()),
            self.row_saturated.eq(Cat(lane.result_saturated for lane in lanes).any()),
        ]
        lane_bits = (self._limits.lanes - 1).bit_length()
        chain_in = [*(lane.chain for lane in lanes[1:]), self.chain_in]
        for offset, lane in enumerate(lanes):
            m.d.comb += [
                *(lane.stage[n][name].eq(stages[n][name]) for n, names in LANE_FIELDS.items() for name in names),
                lane.row.eq(memory.read_data.word_select(offset, weight_bits).as_signed() << self._limits.low_bits),
                lane.shift.eq(shift),
                lane.chain_in.eq(chain_in[offset]),
                lane.filter_address.eq(fill.step | (fill.word << STEP_BITS)),
                lane.filter_en.eq(arrived.valid),
                lane.filter_first.eq(arrived.first),
                lane.filter_read_out.eq(arrived.read_out),
                lane.error_en.eq(error.valid & (error.class_[:lane_bits] == self._first + offset)),
                lane.error_address.eq(error.step | (error.class_[lane_bits:] << STEP_BITS)),
                lane.error.eq(error.value),
                lane.alpha.eq(self.alpha),
                lane.activity.eq(self.activity),
            ]
        return m
