"""One lane: multiplier, accumulator, credit selector, row update, random generator."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.gradients.accumulators import HALF, UPDATE_WIDTH
from opzo.hw.gradients.step import GradientStep
from opzo.hw.lanes.accumulator import Accumulator
from opzo.hw.lanes.entry_step import ENTRY_STEP_CYCLES, FACTOR_CYCLES, EntryStep
from opzo.hw.lanes.lane_command import SUM, lane_fields, lane_stage
from opzo.hw.lanes.lane_ports import ShiftChainSignature, local_width
from opzo.hw.lanes.selector import CreditSelector, TableWriteSignature
from opzo.hw.lanes.update import DECAY_BITS, RowUpdate
from opzo.hw.lib.lfsr import LaneLFSR
from opzo.hw.lib.multiplier import Multiplier
from opzo.hw.lib.primitives import primitives
from opzo.hw.lib.record import record
from opzo.hw.lib.saturate import Saturate
from opzo.hw.neurons.neuron_state import block_sums
from opzo.hw.timing import ACCUMULATED, HISTORY, PRODUCT, RESULT, ROW, UPDATE, require
from opzo.spec.formats import (
    DRAW_BITS,
    FEEDBACK_ENTRY,
    FEEDBACK_FACTOR_BITS,
    GRADIENT,
    GRADIENT_SHIFT_MAX,
    LFSR_BITS,
    PRODUCT_SHIFT,
    WEIGHT,
    ZO_FACTOR,
)
from opzo.spec.limits import Limits


class Lane(wiring.Component):
    """Lane of a device with ``limits``: multiply, accumulate and update one entry of each row-word.

    Golden twins: those of the submodules; random draws are in the order of the commands. Values by stage::

        stage    4 ROW   5 UPDATE   6 HISTORY   7          8 PRODUCT  9 ACCUMULATED  10           11 RESULT
        product  row     shifted    factor      operands   product    sum            shift chain
        credits                     history     tables     selected
        update           row        random      row with   decayed    credits to     exact row    new row,
                                    bits, step  step       row        subtract                    saturated

    ``step`` is that of a feedback entry. With convolutions it is a product with the sums of a block, and takes the
    place of the selected credits at stage PRODUCT; so does the step of gradients, which come at stage GRADIENT.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    index : In
        Number of the lane in the device; constant.
    stage_S : In(lane_stage), for each S of `lane_fields`
        Fields of the command at stage S.
    take_factor, take_tables : In(1)
        Strobes ahead of the first command with ``learn`` of a word, before stage UPDATE and before stage HISTORY: use
        the word's filtered credits (`CreditSelector`).
    table_write : In(TableWriteSignature)
        Sums of the filtered credits of the next word with ``learn``.
    decay : In
        At stage UPDATE, as in `RowUpdate`.
    row : In(signed)
        Row at stage ROW, in the units of WEIGHT and FEEDBACK_ENTRY.
    negative, spiked : In(1)
        At stage ROW: noise sign of the pair's even step, and spike, of the lane's neuron in the command's step; without
        convolutions.
    result : Out(signed), result_saturated : Out(1)
        New row at stage RESULT, as the memory stores it.
    shift_chain : In(ShiftChainSignature)
        Register of the lane in the shift chain: ``input`` is the register of the next lane.
    local : Out(signed)
        At stage ROW + 1: the row if the lane's neuron spiked in the command's step, else 0. With convolutions at stage
        PRODUCT + 1, where ``local`` is set and ``feedback`` is not: the row times the spikes of the lane's block.

    With convolutions, also

    sums : In(block_sums)
        At stage ROW: sums over the lane's neurons in the command's block and step.
    gradient : In(signed)
        At stage GRADIENT.
    gradient_shift : In
        As that of `LanePorts`.
    gradient_update : Out(signed)
        At stage ACCUMULATED, with ``accumulate``: update of the gradient. Else the register in the shift chain.
    """

    index: Signal
    take_factor: Signal
    take_tables: Signal
    table_write: Any
    decay: Signal
    row: Signal
    negative: Signal
    spiked: Signal
    result: Signal
    result_saturated: Signal
    shift_chain: Any
    local: Signal
    sums: data.View
    gradient: Signal
    gradient_shift: Signal
    gradient_update: Signal

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        signs = {"negative": In(1), "spiked": In(1)}
        of_convolutions = {
            "sums": In(block_sums(limits)),
            "gradient": In(signed(GRADIENT.width)),
            "gradient_shift": In(range(GRADIENT_SHIFT_MAX + 1)),
            "gradient_update": Out(signed(UPDATE_WIDTH)),
        }
        super().__init__(
            {
                "index": In(range(limits.lanes)),
                **{f"stage_{s}": In(lane_stage(limits, s)) for s in lane_fields(limits)},
                "take_factor": In(1),
                "take_tables": In(1),
                "table_write": In(TableWriteSignature(limits)),
                "decay": In(DECAY_BITS),
                "row": In(signed(WEIGHT.width)),
                "result": Out(signed(limits.weight_bits)),
                "result_saturated": Out(1),
                "shift_chain": In(ShiftChainSignature()),
                "local": Out(signed(local_width(limits))),
                **(of_convolutions if limits.gradients else signs),
            }
        )
        self.stage: dict[int, data.View] = {s: getattr(self, f"stage_{s}") for s in lane_fields(limits)}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.multiplier = multiplier = primitives(platform).multiplier()
        m.submodules.accumulator = accumulator = Accumulator()
        m.submodules.lfsr = lfsr = LaneLFSR()
        m.submodules.selector = selector = CreditSelector(self._limits)
        m.submodules.update = update = RowUpdate(self._limits)
        # At stage ROW: whether the lane holds a neuron of the word.
        exists = Signal(reset_less=True)
        m.d.sync += exists.eq(self.index < self.stage[ROW - 1].valid_lanes)
        chain = record(SUM, "chain", reset_less=True)
        operand: Value = self.stage[HISTORY].operand
        if self._limits.gradients:
            entry = self._step_entry(m, exists)
            # The spikes of a block multiply its entry for the sum of a local readout.
            command = self.stage[HISTORY]
            operand = Mux(command.local & ~command.feedback, entry.factor, operand)
            self._update_from_blocks(m, multiplier, update, selector, entry)
            self._change_gradient(m, update, chain)
        else:
            self._update(m, update, selector, exists)
        self._multiply(m, multiplier, selector.active_factor, operand)
        self._accumulate(m, multiplier, accumulator)
        self._select(m, selector, exists)
        self._store(m, update, chain)
        self._shift(m, chain, accumulator, lfsr)
        m.d.comb += [
            lfsr.draw.eq(self.stage[UPDATE].draw),
            update.random.eq(lfsr.bits[DRAW_BITS - len(update.random) :]),
            update.credits.product.eq(multiplier.product),
        ]
        return m

    def _multiply(self, m: Module, multiplier: Multiplier, credit_factor: Signal, operand: Value) -> None:
        """Stages ROW to HISTORY: shift the row and choose the factors of the product."""
        stage, command = self.stage, self.stage[UPDATE]
        m.submodules.factor = factor = Saturate(FEEDBACK_ENTRY.width, FEEDBACK_FACTOR_BITS)
        shifted = Signal(signed(WEIGHT.width), reset_less=True)
        negative = Signal(reset_less=True)
        # One register more than the multiplier has itself, which may be far away.
        a = Signal.like(multiplier.a, reset_less=True)
        m.d.sync += [
            shifted.eq(self.row >> stage[ROW].feedback_shift),
            negative.eq(self.sums.noise < 0 if self._limits.gradients else self.negative),
        ]
        m.d.comb += [factor.i.eq(shifted), multiplier.a.eq(a), multiplier.b.eq(operand)]
        with m.If(command.learn):
            m.d.sync += a.eq(credit_factor)
        with m.Elif(command.zero_order):
            zero_order: Value = Mux(negative ^ command.odd, -ZO_FACTOR, ZO_FACTOR) << PRODUCT_SHIFT
            if self._limits.gradients:
                # The neurons of a convolution add it to the feedback sum that they share.
                zero_order = Mux(command.shared, 0, zero_order)
            m.d.sync += a.eq(zero_order)
        with m.Elif(command.feedback):
            m.d.sync += a.eq(factor.o << PRODUCT_SHIFT)
        with m.Else():
            m.d.sync += a.eq(shifted)

    def _accumulate(self, m: Module, multiplier: Multiplier, accumulator: Accumulator) -> None:
        """Stage PRODUCT: add the product to the sum."""
        command = self.stage[PRODUCT]
        m.d.comb += [
            accumulator.product.eq(multiplier.product),
            accumulator.en.eq(command.integrate | command.feedback),
            accumulator.first.eq(command.first),
        ]

    def _select(self, m: Module, selector: CreditSelector, exists: Signal) -> None:
        """Stage HISTORY: select credits."""
        connect(m, flipped(self.table_write), selector.write)
        m.d.comb += [
            selector.take_factor.eq(self.take_factor),
            selector.take_tables.eq(self.take_tables),
            selector.history.eq(self.stage[HISTORY].history),
            selector.exists.eq(exists),
        ]

    def _update(self, m: Module, update: RowUpdate, selector: CreditSelector, exists: Signal) -> None:
        """Stages ROW to PRODUCT: choose what changes the row."""
        stage, command = self.stage, self.stage[ROW]
        row = Signal.like(self.row, reset_less=True)
        steps, positive, add, subtract = (
            Signal(name=name, reset_less=True) for name in ("steps", "positive", "add", "subtract")
        )
        # An entry of the feedback matrix changes by the difference of two readouts, one of the local readout by its
        # error where the neuron spiked.
        m.d.sync += [
            row.eq(self.row),
            self.local.eq(Mux(self.spiked, self.row, 0)),
            steps.eq(exists & ~command.learn & (~command.local | self.spiked)),
            positive.eq(command.local | self.negative),
            add.eq(steps & ~positive),
            subtract.eq(steps & positive),
        ]
        m.d.comb += [
            update.row.eq(row),
            update.decay.eq(self.decay),
            update.step.difference.eq(stage[HISTORY].difference),
            update.step.add.eq(add),
            update.step.subtract.eq(subtract),
            update.credits.selected.eq(selector.selected),
            update.credits.product_en.eq(stage[PRODUCT].learn),
        ]

    def _step_entry(self, m: Module, exists: Signal) -> EntryStep:
        """Stages ROW to PRODUCT: step of a feedback entry that a block shares."""
        require(ROW + FACTOR_CYCLES == HISTORY, "spikes of a block do not meet the operand of the multiplier")
        require(ROW + ENTRY_STEP_CYCLES == PRODUCT, "the step of a shared entry does not come with the credits")
        stage = self.stage
        m.submodules.entry = entry = EntryStep(self._limits)
        m.d.comb += [
            entry.sums.eq(self.sums),
            entry.exists.eq(exists),
            entry.local.eq(stage[ROW].local),
            entry.difference.eq(stage[HISTORY].difference),
            entry.shift.eq(stage[HISTORY + 1].block_shift),
            entry.shift_local.eq(stage[HISTORY + 1].local),
        ]
        return entry

    def _update_from_blocks(
        self, m: Module, multiplier: Multiplier, update: RowUpdate, selector: CreditSelector, entry: EntryStep
    ) -> None:
        """Stages UPDATE to ACCUMULATED: choose what changes the row: credits, or step of an entry or of gradients."""
        stage, command = self.stage, self.stage[PRODUCT]
        m.submodules.gradient_step = gradient_step = GradientStep()
        row = Signal.like(self.row, reset_less=True)
        m.d.sync += [row.eq(self.row), self.local.eq(multiplier.product)]
        m.d.comb += [
            update.row.eq(row),
            update.decay.eq(self.decay),
            update.credits.selected.eq(
                Mux(command.apply, gradient_step.step, Mux(command.feedback, entry.step, selector.selected))
            ),
            update.credits.product_en.eq(command.learn),
            update.quarter.eq(stage[ACCUMULATED].quarter),
            gradient_step.gradient.eq(self.gradient),
            gradient_step.shift.eq(self.gradient_shift),
        ]

    def _change_gradient(self, m: Module, update: RowUpdate, chain: data.View) -> None:
        """Stage ACCUMULATED: what changes the gradient. Those of a history and a trace need no more bits."""
        m.d.comb += self.gradient_update.eq(
            Mux(self.stage[ACCUMULATED].accumulate, update.update[:UPDATE_WIDTH].as_signed(), chain.value)
        )

    def _store(self, m: Module, update: RowUpdate, chain: data.View) -> None:
        """Stage RESULT: the new row, or the one in the shift chain."""
        command = self.stage[RESULT]
        from_chain = chain.value[self._limits.low_bits :][: len(self.result)]
        m.d.comb += [
            self.result.eq(Mux(command.update, update.result, from_chain)),
            self.result_saturated.eq(update.saturated & command.update),
        ]

    def _shift(self, m: Module, chain: data.View, accumulator: Accumulator, lfsr: LaneLFSR) -> None:
        """Register of the shift chain, and the random state that it can be loaded with and stored to."""
        stage = self.stage
        half = LFSR_BITS // 2
        # The bits of a draw at stage UPDATE are there one cycle later.
        drawn = Signal(ACCUMULATED - UPDATE - 1, reset_less=True)
        m.d.sync += drawn.eq(Cat(~lfsr.bits[-1], drawn))
        m.d.comb += [
            self.shift_chain.output.eq(chain),
            lfsr.load_low.eq(stage[UPDATE].store_low),
            lfsr.load_high.eq(stage[UPDATE].store_high),
            lfsr.load_data.eq(chain.value),
        ]
        with m.If(self.shift_chain.shift):
            m.d.sync += chain.eq(self.shift_chain.input)
        with m.If(stage[ACCUMULATED].sums | stage[ACCUMULATED].load_row):
            m.d.sync += [chain.value.eq(accumulator.sum), chain.negative.eq(drawn[-1])]
        with m.Elif(stage[UPDATE].load_low):
            m.d.sync += chain.value.eq(lfsr.state[:half])
        with m.Elif(stage[UPDATE].load_high):
            m.d.sync += chain.value.eq(lfsr.state[half:])
        if self._limits.gradients:
            with m.Elif(stage[UPDATE].load_gradient_low):
                m.d.sync += chain.value.eq(self.gradient[:HALF])
            with m.Elif(stage[UPDATE].load_gradient_high):
                m.d.sync += chain.value.eq(self.gradient[HALF:])
