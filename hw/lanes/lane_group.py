"""A group of lanes with its share of the row memory and its own copy of the command."""

from collections.abc import Mapping

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lanes.lane import Lane
from opzo.hw.lanes.lane_command import (
    ACCUMULATED,
    FIELDS,
    HISTORY,
    LANE_FIELDS,
    RESULT,
    ROW,
    SUM,
    UPDATE,
    WORD_FIELDS,
    filter_command,
    group_stage,
    replicated_fields,
)
from opzo.hw.lanes.selector import TableSums, tables
from opzo.hw.lanes.update import DECAY_BITS
from opzo.hw.lib.add_tree import add_tree
from opzo.hw.lib.primitives import primitives
from opzo.hw.lib.record import record
from opzo.hw.lib.row_memory import READ_LATENCY
from opzo.hw.neurons.neurons import Neurons, error_command
from opzo.spec.formats import ACTIVITY_BITS, ALPHA_BITS, WEIGHT
from opzo.spec.network import Limits


class LanePorts(wiring.Component):
    """Ports of ``lanes`` lanes: of a group, or of the whole device.

    Parameters
    ----------
    inputs : dict of str to layout
        Further ports, such as those on which a command comes.

    Members
    -------
    filter, error : In
        Layouts ``filter_command``, ``error_command``.
    alpha, activity : In
        Noise amplitude and activity cost, constant during a sample.
    load : In(1)
        One cycle before the first command of a word to be learned: the lanes take its filtered credits into use.
    shift : In(1), chain_in : In(SUM), chain : Out(SUM)
        Chain: on ``shift`` every lane takes the next one's, the last ``chain_in``; ``chain`` is the first lane's.
    posted : Out(1), spikes : Out(lanes)
        Strobe: the results of a word, that is `Neurons.LATENCY` cycles after its last lane's sum.
    membrane_saturated, credit_saturated, row_saturated : Out(1)
        Some lane saturated: with ``posted``; after stage RESULT.
    lane_0_row : Out(signed)
        Row of the first lane at stage ROW.
    local_sum : Out(signed)
        Sum of the lanes' ``local``, one cycle later for each doubling of the lanes.
    """

    filter: data.View
    error: data.View
    alpha: Signal
    activity: Signal
    load: Signal
    shift: Signal
    chain_in: data.View
    chain: data.View
    posted: Signal
    spikes: Signal
    membrane_saturated: Signal
    credit_saturated: Signal
    row_saturated: Signal
    lane_0_row: Signal
    local_sum: Signal

    def __init__(self, limits: Limits, lanes: int, inputs: Mapping[str, data.StructLayout | range]) -> None:
        super().__init__(
            {
                **{name: In(layout) for name, layout in inputs.items()},
                "filter": In(filter_command(limits)),
                "error": In(error_command(limits)),
                "alpha": In(ALPHA_BITS),
                "activity": In(ACTIVITY_BITS),
                "load": In(1),
                "shift": In(1),
                "chain_in": In(SUM),
                "chain": Out(SUM),
                "posted": Out(1),
                "spikes": Out(lanes),
                "membrane_saturated": Out(1),
                "credit_saturated": Out(1),
                "row_saturated": Out(1),
                "lane_0_row": Out(signed(WEIGHT.width)),
                "local_sum": Out(signed(WEIGHT.width + (lanes - 1).bit_length())),
            }
        )


class LaneGroup(LanePorts):
    """A group of ``size`` lanes.

    Everything is registered once on entry: the part of a command that matters at stage S comes one cycle before it. Of
    most of it each lane has registers of its own, in a module ``copy_N``, which synthesis keeps. A reset does not clear
    them: what is under way ends within STAGES cycles, and a gate before a register costs time on the longest wires.

    Members
    -------
    number : In
        Of the group among those of the device; constant. All groups are alike but for it.
    before_S : In(group_stage), for each S of FIELDS
    row_saturated : Out(1)
        One cycle after stage RESULT.
    """

    number: Signal

    def __init__(self, limits: Limits, size: int) -> None:
        self._limits, self._size = limits, size
        ports = {f"before_{stage}": group_stage(limits, stage) for stage in FIELDS}
        super().__init__(limits, size, {"number": range(limits.lanes // size), **ports})

    def elaborate(self, platform: object) -> Module:
        if READ_LATENCY != ROW:
            raise AssertionError("the row memory's latency sets the stage at which rows are there")
        m = Module()
        weight_bits = self._limits.weight_bits
        m.submodules.memory = memory = primitives(platform).row_memory(self._limits.rows, self._size * weight_bits)
        m.submodules.neurons = neurons = Neurons(self._limits, self._size)
        m.submodules.sums = sums = TableSums(self._limits, self._size)
        lanes = []
        for offset in range(self._size):
            lane = Lane(self._limits)
            m.submodules[f"lane_{offset}"] = lane
            lanes.append(lane)

        stages = {n: record(group_stage(self._limits, n), f"stage_{n}", reset_less=True) for n in FIELDS}
        m.d.sync += [stage.eq(getattr(self, f"before_{n}")) for n, stage in stages.items()]
        shift = Signal(reset_less=True)
        fill = record(filter_command(self._limits), "fill", reset_less=True)
        error = record(error_command(self._limits), "error", reset_less=True)
        # Bit n of ``load``: when the first command of the word is at stage n - 1.
        load = Signal(HISTORY, reset_less=True)
        decay = Signal(DECAY_BITS, reset_less=True)
        alpha, activity = Signal(ALPHA_BITS, reset_less=True), Signal(ACTIVITY_BITS, reset_less=True)
        decay_shift = stages[UPDATE - 1].decay_shift
        m.d.sync += [
            alpha.eq(self.alpha),
            activity.eq(self.activity),
            shift.eq(self.shift),
            fill.eq(self.filter),
            error.eq(self.error),
            load.eq(Cat(self.load, load)),
            decay.eq(Mux(decay_shift == 0, 0, (1 << DECAY_BITS) >> decay_shift)),
        ]

        written, summed = stages[RESULT - 1], stages[ACCUMULATED]
        m.d.comb += [
            memory.read_address.eq(stages[0].address),
            memory.write_address.eq(written.address),
            memory.write_en.eq(written.update | written.store_row),
            memory.write_data.eq(Cat(lane.result for lane in lanes)),
            neurons.number.eq(self.number),
            neurons.start.eq(summed.sums),
            *(neurons.command[name].eq(summed[name]) for name in WORD_FIELDS),
            neurons.load.eq(summed.load_membrane),
            neurons.sum.eq(lanes[0].chain),
            neurons.alpha.eq(alpha),
            neurons.activity.eq(activity),
            neurons.sign_word.eq(stages[ROW - 1].word),
            neurons.sign_step.eq(stages[ROW - 1].step),
            neurons.error.eq(error),
            neurons.filter.eq(fill),
            sums.fill.eq(neurons.fill),
            self.lane_0_row.eq(lanes[0].row),
            self.chain.eq(lanes[0].chain),
            self.local_sum.eq(add_tree(m, [lane.local for lane in lanes], "local")),
            self.posted.eq(neurons.posted),
            self.spikes.eq(neurons.spikes),
            self.membrane_saturated.eq(neurons.membrane_saturated),
            self.credit_saturated.eq(neurons.credit_saturated),
        ]
        m.d.sync += self.row_saturated.eq(Cat(lane.result_saturated for lane in lanes).any())
        # Potentials that are to be read enter the chain at its end.
        end = record(SUM, "end")
        m.d.comb += end.eq(self.chain_in)
        with m.If(neurons.loading):
            m.d.comb += end.value.eq(neurons.potential)
        chain_in = [*(lane.chain for lane in lanes[1:]), end]
        for offset, lane in enumerate(lanes):
            m.submodules[f"copy_{offset}"] = copy = Module()
            for n, names in LANE_FIELDS.items():
                for name in names:
                    if name not in replicated_fields(n):
                        m.d.comb += lane.stage[n][name].eq(stages[n][name])
                    else:
                        m.d.comb += lane.stage[n][name].eq(_delayed(copy, stages[n - 1][name], f"{name}_{n}"))
            for n in range(tables(self._limits)):
                m.d.comb += [
                    lane.fill[n].eq(_delayed(copy, sums.table_lanes[n][offset], f"fill_{n}")),
                    getattr(lane, f"entry_{n}").eq(_delayed(copy, sums.entry[n], f"entry_{n}")),
                    getattr(lane, f"sum_{n}").eq(sums.sum[n]),
                ]
            m.d.comb += [
                lane.index.eq(Cat(instance_index(offset, self._size), self.number)),
                lane.factor.eq(sums.factor),
                lane.load_factor.eq(_delayed(copy, load[UPDATE - 1], "load_factor")),
                lane.load.eq(_delayed(copy, load[HISTORY - 1], "load")),
                lane.row.eq(memory.read_data.word_select(offset, weight_bits).as_signed() << self._limits.low_bits),
                lane.shift.eq(shift | neurons.active | neurons.loading),
                lane.chain_in.eq(chain_in[offset]),
                lane.decay.eq(decay),
                lane.negative.eq(neurons.negatives[offset]),
                lane.spiked.eq(neurons.spiked[offset]),
            ]
        return m


def instance_index(number: int, count: int) -> Value:
    """Number of one of ``count`` modules, a power of two, for its input.

    Amaranth would put a bare constant into the module, and the modules would not be alike any more.
    """
    return ~Const(count - 1 - number, range(count))


def _delayed(copy: Module, value: Value, name: str) -> Signal:
    """Register of ``value`` in the module ``copy``."""
    register = Signal(len(value), name=name, reset_less=True)
    copy.d.sync += register.eq(value)
    return register
