"""A group of lanes with its share of the row memory and its own copy of the command."""

from collections.abc import Sequence
from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import connect, flipped

from opzo.hw.gradients.accumulators import Change, GradientAccumulators
from opzo.hw.lanes.inference_lane import InferenceLane
from opzo.hw.lanes.lane import Lane
from opzo.hw.lanes.lane_command import (
    SUM,
    filter_command,
    group_fields,
    group_stage,
    lane_fields,
    replicated_fields,
    word_fields,
)
from opzo.hw.lanes.lane_ports import LanePorts
from opzo.hw.lanes.selector import TableSums, tables
from opzo.hw.lanes.update import DECAY_BITS
from opzo.hw.lib.add_tree import add_tree
from opzo.hw.lib.check import check
from opzo.hw.lib.primitives import primitives
from opzo.hw.lib.record import record
from opzo.hw.lib.row_memory import RowMemory
from opzo.hw.neurons.neurons import SETTINGS, Neurons
from opzo.hw.neurons.word_credits import error_command
from opzo.hw.timing import ACCUMULATED, ADD, CLEAR, HISTORY, RESULT, ROW, UPDATE
from opzo.spec.limits import Limits


class LaneGroup(LanePorts):
    """A group of ``size`` lanes with row memory and neurons.

    Inputs are registered once on entry, so the fields of a command for stage S come one cycle before it. Each lane has
    registers of its own for most of them, in a module ``copy_N`` that synthesis keeps. A reset does not clear these: a
    command ends within STAGES cycles, and a gate in front of a register costs time on the longest wires.

    Parameters
    ----------
    limits : Limits
    size : int
        Lanes of the group.
    contents : sequence of int, or None
        Row-words of a device that only infers; its groups differ in them.

    Members
    -------
    number : In
        Number of the group in the device; constant. Groups are equal except for it.
    before_S : In(group_stage), for each S of `group_fields`
        Fields of the command, one cycle before it is at stage S.
    row_saturated : Out(1)
        One cycle after stage RESULT.
    """

    number: Signal

    def __init__(self, limits: Limits, size: int, contents: Sequence[int] | None = None) -> None:
        self._limits, self._size, self._contents = limits, size, contents
        before = {f"before_{stage}": group_stage(limits, stage) for stage in group_fields(limits)}
        super().__init__(limits, size, {"number": range(limits.lanes // size), **before})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        limits, size = self._limits, self._size
        m.submodules.memory = memory = primitives(platform).row_memory(
            limits.rows, size * limits.weight_bits, self._contents
        )
        m.submodules.neurons = neurons = Neurons(limits, size)
        lanes: list[Any] = [Lane(limits) if limits.learning else InferenceLane(limits) for _ in range(size)]
        for offset, lane in enumerate(lanes):
            m.submodules[f"lane_{offset}"] = lane

        stages = {n: record(group_stage(limits, n), f"stage_{n}", reset_less=True) for n in group_fields(limits)}
        m.d.sync += [stage.eq(getattr(self, f"before_{n}")) for n, stage in stages.items()]
        self._access_rows(m, memory, stages, lanes)
        self._drive_neurons(m, neurons, stages, lanes[0].shift_chain.output)
        self._shift(m, neurons, lanes)
        copies = [Module() for _ in lanes]
        for offset, (copy, lane) in enumerate(zip(copies, lanes, strict=True)):
            m.submodules[f"copy_{offset}"] = copy
            self._copy_command(m, copy, stages, lane)
        if limits.learning:
            self._learn(m, neurons, memory, stages, lanes, copies)
        return m

    def _learn(
        self,
        m: Module,
        neurons: Neurons,
        memory: RowMemory,
        stages: dict[int, data.View],
        lanes: list[Lane],
        copies: list[Module],
    ) -> None:
        """What only learning needs: credits, updates of rows, sums of local readouts."""
        limits, size = self._limits, self._size
        m.submodules.sums = sums = TableSums(limits, size)
        self._update_rows(m, memory, stages, lanes)
        self._drive_credits(m, neurons, stages)
        m.d.comb += [sums.filtered.eq(neurons.filtered), self.lane_0_row.eq(lanes[0].row)]
        if limits.gradients:
            self._change_gradients(m, stages, lanes)
            m.d.comb += self.shared_saturated.eq(neurons.shared_saturated)

        # Bit n: the first command of the word is at stage n - 1.
        take_credits = Signal(HISTORY, reset_less=True)
        decay = Signal(DECAY_BITS, reset_less=True)
        decay_shift = stages[UPDATE - 1].decay_shift
        m.d.sync += [
            take_credits.eq(Cat(self.take_credits, take_credits)),
            decay.eq(Mux(decay_shift == 0, 0, (1 << DECAY_BITS) >> decay_shift)),
            self.row_saturated.eq(Cat(lane.result_saturated for lane in lanes).any()),
        ]
        for offset, (copy, lane) in enumerate(zip(copies, lanes, strict=True)):
            m.d.comb += [
                lane.index.eq(Cat(instance_index(offset, size), self.number)),
                lane.decay.eq(decay),
                lane.take_factor.eq(_delayed(copy, take_credits[UPDATE - 1], "take_factor")),
                lane.take_tables.eq(_delayed(copy, take_credits[HISTORY - 1], "take_tables")),
            ]
            if limits.gradients:
                m.d.comb += lane.sums.eq(neurons.signs.data[offset])
            else:
                m.d.comb += [
                    lane.negative.eq(neurons.signs.data.negatives[offset]),
                    lane.spiked.eq(neurons.signs.data.spiked[offset]),
                ]
            self._write_tables(m, copy, sums, lane, offset)
        m.d.comb += self.local_sum.eq(add_tree(m, [lane.local for lane in lanes], "local"))

    def _access_rows(self, m: Module, memory: RowMemory, stages: dict[int, data.View], lanes: list[Any]) -> None:
        """Read a row at stage 0."""
        bits = self._limits.weight_bits
        m.d.comb += memory.read_address.eq(stages[0].address)
        for offset, lane in enumerate(lanes):
            row = memory.read_data.word_select(offset, bits).as_signed()
            m.d.comb += lane.row.eq(row << self._limits.low_bits)

    def _update_rows(self, m: Module, memory: RowMemory, stages: dict[int, data.View], lanes: list[Lane]) -> None:
        """Write the row at stage RESULT."""
        written = stages[RESULT - 1]
        m.d.comb += [
            memory.write_address.eq(written.address),
            memory.write_en.eq(written.update | written.store_row),
            memory.write_data.eq(Cat(lane.result for lane in lanes)),
        ]

    def _drive_neurons(self, m: Module, neurons: Neurons, stages: dict[int, data.View], sum_: data.View) -> None:
        """Start words at stage ACCUMULATED, with the first lane's sums."""
        summed = stages[ACCUMULATED]
        m.d.comb += [
            neurons.number.eq(self.number),
            neurons.word.start.eq(summed.sums),
            neurons.word.load.eq(summed.load_membrane),
            *(neurons.word.command[name].eq(summed[name]) for name in word_fields(self._limits)),
            neurons.sum.eq(sum_),
        ]
        connect(m, neurons.results, flipped(self.results))

    def _drive_credits(self, m: Module, neurons: Neurons, stages: dict[int, data.View]) -> None:
        """Settings of learning, errors and filtered credits; read signs at stage ROW - 1."""
        settings = record(SETTINGS, "settings", reset_less=True)
        credit_filter = record(filter_command(self._limits), "filter", reset_less=True)
        error = record(error_command(self._limits), "error", reset_less=True)
        m.d.sync += [settings.eq(self.settings), credit_filter.eq(self.filter), error.eq(self.error)]
        m.d.comb += [
            neurons.settings.eq(settings),
            neurons.signs.address.word.eq(stages[ROW - 1]["block_word" if self._limits.gradients else "word"]),
            neurons.signs.address.step.eq(stages[ROW - 1].step),
            neurons.error.eq(error),
            neurons.filter.eq(credit_filter),
        ]

    def _change_gradients(self, m: Module, stages: dict[int, data.View], lanes: list[Lane]) -> None:
        """Read and clear gradients at stage CLEAR, or move halves of them for the host; add to them at stage ADD."""
        m.submodules.gradients = gradients = GradientAccumulators(self._limits)
        clears, adds, change = stages[CLEAR], stages[ADD], gradients.change
        shift = Signal.like(self.gradient_shift, reset_less=True)
        stores = clears.store_gradient_low | clears.store_gradient_high
        cleared = Mux(clears.store_gradient_low, Change.LOW, Mux(clears.store_gradient_high, Change.HIGH, Change.CLEAR))
        m.d.sync += shift.eq(self.gradient_shift)
        m.d.comb += [
            change.valid.eq(adds.accumulate | clears.apply | stores),
            change.address.eq(Mux(adds.accumulate, adds.gradient_address, clears.gradient_address)),
            change.change.eq(Mux(adds.accumulate, Change.ADD, cleared)),
            change.cell.eq(adds.cell),
            self.lane_0_gradient.eq(gradients.gradient[0]),
            self.gradient_saturated.eq(gradients.saturated),
        ]
        for n, lane in enumerate(lanes):
            m.d.comb += [
                lane.gradient.eq(gradients.gradient[n]),
                lane.gradient_shift.eq(shift),
                gradients.update[n].eq(lane.gradient_update),
            ]
        check(
            m,
            "gradients",
            ~(adds.accumulate & (clears.apply | stores)),
            "gradients are applied or stored before the last update is added to them",
        )

    def _shift(self, m: Module, neurons: Neurons, lanes: list[Any]) -> None:
        """Join the lanes' registers of the shift chain. Potentials that are read enter it at the group's end."""
        shift = Signal(reset_less=True)
        m.d.sync += shift.eq(self.shift_chain.shift)
        end = record(SUM, "end")
        m.d.comb += end.eq(self.shift_chain.input)
        with m.If(neurons.loading):
            m.d.comb += end.value.eq(neurons.potential)
        inputs = [*(lane.shift_chain.output for lane in lanes[1:]), end]
        for lane, input_ in zip(lanes, inputs, strict=True):
            m.d.comb += [
                lane.shift_chain.shift.eq(shift | neurons.active | neurons.loading),
                lane.shift_chain.input.eq(input_),
            ]
        m.d.comb += self.shift_chain.output.eq(lanes[0].shift_chain.output)

    def _copy_command(self, m: Module, copy: Module, stages: dict[int, data.View], lane: Lane | InferenceLane) -> None:
        """Fields of the command for ``lane``: shared ones from ``stages``, others through registers in ``copy``."""
        for n, names in lane_fields(self._limits).items():
            for name in names:
                if name in replicated_fields(self._limits, n):
                    m.d.comb += lane.stage[n][name].eq(_delayed(copy, stages[n - 1][name], f"{name}_{n}"))
                else:
                    m.d.comb += lane.stage[n][name].eq(stages[n][name])

    def _write_tables(self, m: Module, copy: Module, sums: TableSums, lane: Lane, offset: int) -> None:
        """Sums for the tables of ``lane``; the sum itself comes one cycle after its entry, like the registers."""
        write = lane.table_write
        m.d.comb += write.factor.eq(sums.factor)
        for n in range(tables(self._limits)):
            m.d.comb += [
                write.en[n].eq(_delayed(copy, sums.table_lanes[n][offset], f"table_en_{n}")),
                write.entry[n].eq(_delayed(copy, sums.entry[n], f"entry_{n}")),
                write.sum[n].eq(sums.sum[n]),
            ]


def instance_index(index: int, count: int) -> Value:
    """Input for the index of one of ``count`` instances of a module, ``count`` a power of two.

    Amaranth would move a plain constant into the module, and the modules would no longer be equal.
    """
    return ~Const(count - 1 - index, range(count))


def _delayed(copy: Module, value: Value, name: str) -> Signal:
    """Register of ``value`` in the module ``copy``."""
    register = Signal(len(value), name=name, reset_less=True)
    copy.d.sync += register.eq(value)
    return register
