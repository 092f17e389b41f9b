"""One lane: multiplier, accumulator, credit selector, row update, random generator."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lanes.accumulator import Accumulator
from opzo.hw.lanes.lane_command import ACCUMULATED, HISTORY, LANE_FIELDS, PRODUCT, RESULT, ROW, SUM, UPDATE, lane_stage
from opzo.hw.lanes.selector import EXISTS_CYCLES, CreditSelector
from opzo.hw.lanes.selector import LATENCY as SELECTOR_LATENCY
from opzo.hw.lanes.update import DECAY_BITS, ENTRY_DELAY, RowUpdate
from opzo.hw.lib.lfsr import LaneLFSR
from opzo.hw.lib.primitives import primitives
from opzo.hw.lib.record import record
from opzo.hw.lib.saturate import Saturate
from opzo.spec.formats import (
    DRAW_BITS,
    FEEDBACK_ENTRY,
    FEEDBACK_FACTOR_BITS,
    LFSR_BITS,
    PRODUCT_SHIFT,
    WEIGHT,
    ZO_FACTOR,
)
from opzo.spec.network import Limits


class Lane(wiring.Component):
    """Lane of a device with ``limits``: what one command means for one row-word's entry.

    Pipeline, by stage: 4 row word; 5 shifted row; 6 factor, random bits; 7 multiplier operands, row with the step of an
    entry, credits that the history selects in each table; 8 product, sum of those credits, decayed row; 9 sum, update;
    10 exact row, the sum in the chain; 11 new row. Golden twins: those of the submodules; the order of random draws is
    that of the commands.

    Members
    -------
    index : In
        Of the lane among all; constant.
    stage_S : In(lane_stage), for each S of LANE_FIELDS
        The command pipeline of the lane's group at stage S.
    load_factor, load : In(1)
        Before the first command of a word to be learned is at UPDATE, and before it is at HISTORY: the lane takes the
        word's filtered credits into use (`CreditSelector`).
    decay : In
        Of the command at stage UPDATE, as `RowUpdate.decay`.
    fill, entry_N, sum_N, factor : In
        Sums of filtered credits for the next word to be learned (`CreditSelector`).
    negative, spiked : In(1)
        Of the command's neuron and step, at stage ROW: sign of the pair's even step, spike.
    row : In(signed)
        Row word at stage ROW, in units of WEIGHT and FEEDBACK_ENTRY.
    result : Out(signed), result_saturated : Out(1)
        New row at stage RESULT, as the memory holds it.
    shift : In(1), chain_in : In(SUM), chain : Out(SUM)
        Chain: takes ``chain_in``, the next lane's ``chain``. Sums leave the lane through it, and rows and random states
        come and go, in the low bits of ``value``.
    local : Out(signed)
        Row word where the neuron spiked in the command's step, else 0; at stage ROW + 1.
    """

    index: Signal
    load_factor: Signal
    load: Signal
    decay: Signal
    fill: Signal
    factor: Signal
    negative: Signal
    spiked: Signal
    row: Signal
    result: Signal
    result_saturated: Signal
    shift: Signal
    chain_in: data.View
    chain: data.View
    local: Signal

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.selector = CreditSelector(limits)
        tables = {name: self.selector.signature.members[name] for name in self.selector.fill_ports}
        super().__init__(
            {
                "index": In(range(limits.lanes)),
                **{f"stage_{s}": In(lane_stage(limits, s)) for s in LANE_FIELDS},
                "load_factor": In(1),
                "load": In(1),
                "decay": In(DECAY_BITS),
                **tables,
                "negative": In(1),
                "spiked": In(1),
                "row": In(signed(WEIGHT.width)),
                "result": Out(signed(limits.weight_bits)),
                "result_saturated": Out(1),
                "shift": In(1),
                "chain_in": In(SUM),
                "chain": Out(SUM),
                "local": Out(signed(WEIGHT.width)),
            }
        )
        self.stage: dict[int, data.View] = {s: getattr(self, f"stage_{s}") for s in LANE_FIELDS}

    def elaborate(self, platform: object) -> Module:
        if HISTORY + SELECTOR_LATENCY != PRODUCT:
            raise AssertionError("the sum of the selected credits does not meet the product")
        if ROW + EXISTS_CYCLES != HISTORY:
            raise AssertionError("whether the lane holds a neuron is not known in time for the history")
        m = Module()
        m.submodules.multiplier = self.multiplier = primitives(platform).multiplier()
        m.submodules.accumulator = self.accumulator = Accumulator()
        m.submodules.lfsr = self.lfsr = LaneLFSR()
        m.submodules.selector = self.selector
        # Whether the lane holds a neuron of the word, at stage ROW.
        exists = Signal(reset_less=True)
        m.d.sync += exists.eq(self.index < self.stage[ROW - 1].valid_lanes)
        self._multiply(m)
        self._select(m, exists)
        self._update(m, exists)
        self._chain(m)
        return m

    def _multiply(self, m: Module) -> None:
        """Stages 4 to 9: shifted row, factor, operands, product, sum."""
        stage, row = self.stage, self.row
        m.submodules.factor = factor = Saturate(FEEDBACK_ENTRY.width, FEEDBACK_FACTOR_BITS)
        command = stage[UPDATE]
        shifted = Signal(signed(WEIGHT.width), reset_less=True)
        negative = Signal(reset_less=True)
        # Beside the multiplier's own register: it may be far away.
        a = Signal.like(self.multiplier.a, reset_less=True)
        m.d.sync += [shifted.eq(row >> stage[ROW].feedback_shift), negative.eq(self.negative)]
        m.d.comb += [
            factor.i.eq(shifted),
            self.multiplier.a.eq(a),
            self.multiplier.b.eq(stage[UPDATE + 1].operand),
            self.accumulator.product.eq(self.multiplier.product),
            self.accumulator.en.eq(stage[PRODUCT].integrate | stage[PRODUCT].feedback),
            self.accumulator.first.eq(stage[PRODUCT].first),
        ]
        with m.If(command.learn):
            m.d.sync += a.eq(self.selector.active_factor)
        with m.Elif(command.zero_order):
            m.d.sync += a.eq(Mux(negative ^ command.odd, -ZO_FACTOR, ZO_FACTOR) << PRODUCT_SHIFT)
        with m.Elif(command.feedback):
            m.d.sync += a.eq(factor.o << PRODUCT_SHIFT)
        with m.Else():
            m.d.sync += a.eq(shifted)

    def _select(self, m: Module, exists: Signal) -> None:
        """Filtered credits, and those that the command's history selects."""
        stage, selector = self.stage, self.selector
        m.d.comb += [
            self.lfsr.draw.eq(stage[UPDATE].draw),
            *(getattr(selector, name).eq(getattr(self, name)) for name in selector.fill_ports),
            selector.load_factor.eq(self.load_factor),
            selector.load.eq(self.load),
            selector.history.eq(stage[HISTORY].history),
            selector.exists.eq(exists),
        ]

    def _update(self, m: Module, exists: Signal) -> None:
        """Stages 5 to 11: read-modify-write of the row word."""
        stage, selector = self.stage, self.selector
        m.submodules.update = update = RowUpdate(self._limits.weight_bits)
        low_bits = self._limits.low_bits
        row = Signal.like(self.row, reset_less=True)
        steps, positive, add, subtract = (
            Signal(name=name, reset_less=True) for name in ("steps", "positive", "add", "subtract")
        )
        # The step of a feedback entry is the difference of two read-outs; that of a local read-out is its error, where
        # the neuron spiked.
        command = stage[ROW]
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
            update.random.eq(self.lfsr.bits[DRAW_BITS - len(update.random) :]),
            update.difference.eq(stage[UPDATE + ENTRY_DELAY].difference),
            update.add.eq(add),
            update.subtract.eq(subtract),
            update.selected.eq(selector.selected),
            update.product.eq(self.multiplier.product),
            update.product_en.eq(stage[PRODUCT].learn),
            self.result.eq(Mux(stage[RESULT].update, update.result, self.chain.value[low_bits:][: len(self.result)])),
            self.result_saturated.eq(update.saturated & stage[RESULT].update),
        ]

    def _chain(self, m: Module) -> None:
        """What leaves the lane, and the random state that can be set."""
        stage, lfsr = self.stage, self.lfsr
        chain = record(SUM, "chain", reset_less=True)
        half = LFSR_BITS // 2
        # The draw of stage UPDATE has its bits in the next cycle.
        drawn = Signal(ACCUMULATED - UPDATE - 1, reset_less=True)
        m.d.sync += drawn.eq(Cat(~lfsr.bits[-1], drawn))
        m.d.comb += [
            self.chain.eq(chain),
            lfsr.load_low.eq(stage[UPDATE].store_low),
            lfsr.load_high.eq(stage[UPDATE].store_high),
            lfsr.load_data.eq(chain.value),
        ]
        with m.If(self.shift):
            m.d.sync += chain.eq(self.chain_in)
        with m.If(stage[ACCUMULATED].sums | stage[ACCUMULATED].load_row):
            m.d.sync += [chain.value.eq(self.accumulator.sum), chain.negative.eq(drawn[-1])]
        with m.Elif(stage[UPDATE].load_low):
            m.d.sync += chain.value.eq(lfsr.state[:half])
        with m.Elif(stage[UPDATE].load_high):
            m.d.sync += chain.value.eq(lfsr.state[half:])
