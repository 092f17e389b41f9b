"""One lane: multiplier, accumulator, neuron, credit filter, row update, random generator."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.accumulate import Accumulator
from opzo.hw.credit import Credit
from opzo.hw.filter import SUM_WIDTH, CreditFilter
from opzo.hw.fire import Fire
from opzo.hw.lane_command import (
    ACCUMULATED,
    CURRENT,
    LANE_FIELDS,
    RESULT,
    ROW,
    STAGES,
    ChainOp,
    Post,
    lane_stage,
)
from opzo.hw.lane_state import LaneState
from opzo.hw.lfsr import LaneLFSR
from opzo.hw.multiplier import Multiplier
from opzo.hw.saturate import Saturate
from opzo.hw.update import RowUpdate
from opzo.spec.formats import (
    ACTIVITY_BITS,
    ALPHA_BITS,
    CREDIT,
    DIFFERENCE_SHIFT,
    DRAW_BITS,
    FEEDBACK_ENTRY,
    FEEDBACK_FACTOR_BITS,
    INPUT_BITS,
    LFSR_BITS,
    MEMBRANE,
    SCALED_ERROR,
    WEIGHT,
    ZO_FACTOR,
)
from opzo.spec.network import Limits


class Lane(wiring.Component):
    """Lane ``index`` of a device with ``limits``: what one command means for one neuron and one weight.

    Pipeline, by stage: 3 row word; 4 multiplier operands, decay, random bits; 5 product; 6 sum; 7 current, update;
    8 potential, exact row; 9 spike, credit, new row. Golden twins: those of the submodules; the order of
    random draws is that of the commands.

    Members
    -------
    stage_S : In(lane_stage), for each S of LANE_FIELDS
        The command pipeline of the lane's group at stage S.
    filter_en, filter_first, filter_read_out : In(1)
        The credit asked for in the last cycle enters the filter.
    filter_address : In
        ``step`` and ``word`` of the credit that is wanted, step in the low bits.
    row : In(signed)
        Row word at stage ROW, in units of WEIGHT and FEEDBACK_ENTRY.
    result : Out(signed), result_saturated : Out(1)
        New row at stage RESULT, as the memory holds it.
    error_en : In(1), error : In(signed), error_address : In
        Credit of a read-out neuron of this lane, from the error unit.
    alpha, activity : In
        Noise amplitude and activity cost, constant during a sample.
    shift : In(1), chain_in : In, chain : Out
        Chain: takes ``chain_in``, the next lane's ``chain``.
    spike, membrane_saturated, credit_saturated : Out(1)
        At stage RESULT.
    local : Out(signed)
        Row word where the neuron spiked in the command's step, else 0; at stage ROW + 1.
    """

    filter_en: Signal
    filter_first: Signal
    filter_read_out: Signal
    filter_address: Signal
    row: Signal
    result: Signal
    result_saturated: Signal
    error_en: Signal
    error: Signal
    error_address: Signal
    alpha: Signal
    activity: Signal
    shift: Signal
    chain_in: Signal
    chain: Signal
    spike: Signal
    membrane_saturated: Signal
    credit_saturated: Signal
    local: Signal

    def __init__(self, limits: Limits, index: int) -> None:
        self._limits, self._index = limits, index
        self.state = LaneState(limits)
        super().__init__(
            {
                **{f"stage_{s}": In(lane_stage(limits, s)) for s in LANE_FIELDS},
                "filter_en": In(1),
                "filter_first": In(1),
                "filter_read_out": In(1),
                "filter_address": In(self.state.filter_address.shape()),
                "row": In(signed(WEIGHT.width)),
                "result": Out(signed(limits.weight_bits)),
                "result_saturated": Out(1),
                "error_en": In(1),
                "error": In(signed(SCALED_ERROR.width)),
                "error_address": In(self.state.error_address.shape()),
                "alpha": In(ALPHA_BITS),
                "activity": In(ACTIVITY_BITS),
                "shift": In(1),
                "chain_in": In(MEMBRANE.width),
                "chain": Out(MEMBRANE.width),
                "spike": Out(1),
                "membrane_saturated": Out(1),
                "credit_saturated": Out(1),
                "local": Out(signed(WEIGHT.width)),
            }
        )
        self.stage: dict[int, data.View] = {s: getattr(self, f"stage_{s}") for s in LANE_FIELDS}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.state = self.state
        m.submodules.multiplier = self.multiplier = Multiplier()
        m.submodules.accumulator = self.accumulator = Accumulator()
        m.submodules.lfsr = self.lfsr = LaneLFSR()
        m.submodules.filter = self.filter = CreditFilter()
        # valid[s]: this lane holds a neuron of the word of the command at stage s.
        self.valid = [Signal(name=f"valid_{s}", reset_less=True) for s in range(STAGES)]
        m.d.comb += self.valid[0].eq(self._index < self.stage[0].valid_lanes)
        m.d.sync += [after.eq(before) for after, before in zip(self.valid[1:], self.valid[:-1], strict=True)]
        self._multiply(m)
        self._fire(m)
        self._credit(m)
        self._update(m)
        self._chain(m)
        return m

    def _multiply(self, m: Module) -> None:
        """Stages 3 to 6: operands, product, sum."""
        stage, row = self.stage, self.row
        m.submodules.factor = factor = Saturate(FEEDBACK_ENTRY.width, FEEDBACK_FACTOR_BITS)
        command = stage[ROW]
        negative = self.state.code.negative ^ command.odd
        m.d.comb += [
            factor.i.eq(row >> command.feedback_shift),
            self.multiplier.b.eq(command.operand),
            self.accumulator.product.eq(self.multiplier.product),
            self.accumulator.en.eq(stage[5].integrate | stage[5].feedback),
            self.accumulator.first.eq(stage[5].first),
            self.accumulator.integrate.eq(stage[5].integrate),
        ]
        with m.If(command.learn):
            m.d.comb += self.multiplier.a.eq(self.filter.factor)
        with m.Elif(command.zero_order):
            m.d.comb += self.multiplier.a.eq(Mux(negative, -ZO_FACTOR, ZO_FACTOR))
        with m.Elif(command.feedback):
            m.d.comb += self.multiplier.a.eq(factor.o)
        with m.Else():
            m.d.comb += self.multiplier.a.eq(row)

    def _fire(self, m: Module) -> None:
        """Stages 7 to 9: one time step of the neuron."""
        stage, state = self.stage, self.state
        m.submodules.fire = fire = Fire()
        # The sign is drawn at even steps and turned at odd ones; without noise it stays.
        drawn = Signal(4, reset_less=True)
        negative = Signal(reset_less=True)
        m.d.sync += drawn.eq(Cat(~self.lfsr.bits[-1], drawn[:-1]))
        m.d.comb += [
            self.lfsr.draw.eq(stage[ROW].draw),
            state.membrane_word.eq(stage[ACCUMULATED].word),
            state.code_word.eq(stage[ROW - 1].word),
            state.code_step.eq(stage[ROW - 1].step),
            fire.v.eq(Mux(stage[CURRENT].fresh, 0, state.v)),
            fire.current.eq(Mux(stage[CURRENT].kept, state.current, self.accumulator.current)),
            fire.alpha.eq(self.alpha),
            fire.noise.eq(stage[8].noise),
            fire.negative.eq(negative ^ stage[8].odd),
            fire.valid.eq(self.valid[8]),
        ]
        # At stage 7 the draw of stage 3 (bits at 4) is three cycles old.
        current_saturated = Signal(2, reset_less=True)
        sign = Signal(reset_less=True)
        m.d.sync += [
            negative.eq(
                Mux(stage[CURRENT].noise & ~stage[CURRENT].odd, drawn[2], state.negative & ~stage[CURRENT].fresh)
            ),
            sign.eq(negative),
            current_saturated.eq(Cat(self.accumulator.saturated & ~stage[CURRENT].kept, current_saturated[0])),
        ]
        fired = stage[RESULT].post == Post.FIRE
        m.d.comb += [
            self.spike.eq(fire.spike),
            self.membrane_saturated.eq(
                (fired & (fire.saturated | current_saturated[1]))
                | ((stage[RESULT].post == Post.READ_OUT) & current_saturated[1])
            ),
            state.current_en.eq(stage[CURRENT].post == Post.STORE),
            state.current_word.eq(stage[CURRENT].word),
            state.current_next.eq(self.accumulator.current),
            state.fired_en.eq(fired),
            state.fired_word.eq(stage[RESULT].word),
            state.fired_step.eq(stage[RESULT].step),
            state.v_next.eq(fire.v_next),
            state.negative_next.eq(sign),
            state.spike_next.eq(fire.spike),
            state.surrogate_next.eq(fire.surrogate),
        ]

    def _credit(self, m: Module) -> None:
        """Stages 6 to 9: feedback sum to credit; and the filter that Learn uses."""
        stage, state = self.stage, self.state
        m.submodules.credit = credit = Credit()
        codes = [Signal.like(state.code, name=f"code_{s}", reset_less=True) for s in range(ROW + 1, 9)]
        m.d.sync += codes[0].eq(state.code)
        m.d.sync += [after.eq(before) for after, before in zip(codes[1:], codes[:-1], strict=True)]
        m.d.comb += [
            credit.total.eq(self.accumulator.total),
            credit.surrogate.eq(codes[ACCUMULATED - ROW - 1].surrogate),
            credit.spike.eq(codes[8 - ROW - 1].spike),
            credit.valid.eq(self.valid[8]),
            credit.activity.eq(self.activity),
            self.credit_saturated.eq(credit.saturated & stage[RESULT].credit),
            state.credit_en.eq(stage[RESULT].credit),
            state.credit_next.eq(credit.credit),
            state.error_en.eq(self.error_en),
            state.error_address.eq(self.error_address),
            state.filter_address.eq(self.filter_address),
            self.filter.credit.eq(Mux(self.filter_read_out, state.error_credit, state.credit)),
            self.filter.en.eq(self.filter_en),
            self.filter.first.eq(self.filter_first),
            self.filter.load.eq(stage[ROW - 1].load),
            self.filter.frame.eq(stage[ROW - 1].frame),
            self.filter.history.eq(stage[ROW].history),
        ]
        m.submodules.error_credit = error_credit = Saturate(SCALED_ERROR.width, CREDIT.width)
        m.d.comb += [error_credit.i.eq(self.error), state.error_next.eq(error_credit.o)]

    def _update(self, m: Module) -> None:
        """Stages 3 to 9: read-modify-write of the row word."""
        stage = self.stage
        m.submodules.update = update = RowUpdate(self._limits.weight_bits)
        low_bits = self._limits.low_bits
        negative, spiked = Signal(3, reset_less=True), Signal(3, reset_less=True)
        event = Signal(signed(SUM_WIDTH), reset_less=True)
        step = Signal(signed(update.update.shape().width), reset_less=True)
        difference = stage[ACCUMULATED].difference << DIFFERENCE_SHIFT
        m.d.sync += [
            self.local.eq(Mux(self.state.code.spike, self.row, 0)),
            negative.eq(Cat(self.state.code.negative, negative[:-1])),
            spiked.eq(Cat(self.state.code.spike, spiked[:-1])),
            # Rounded half up: the last bit cut off is a carry.
            event.eq((self.multiplier.product >> INPUT_BITS) + self.multiplier.product[INPUT_BITS - 1]),
        ]
        with m.If(stage[ACCUMULATED].learn):
            m.d.sync += step.eq(self.filter.selected + event)
        with m.Elif(~self.valid[ACCUMULATED]):
            m.d.sync += step.eq(0)
        with m.Elif(stage[ACCUMULATED].local):
            # The gradient of a read-out: its error where the neuron spiked.
            m.d.sync += step.eq(Mux(spiked[2], stage[ACCUMULATED].difference, 0))
        with m.Else():
            m.d.sync += step.eq(Mux(negative[2], difference, -difference))
        m.d.comb += [
            update.row.eq(self.row >> low_bits),
            update.decay_shift.eq(stage[ROW].decay_shift),
            update.random.eq(self.lfsr.bits[DRAW_BITS - len(update.random) :]),
            update.update.eq(step),
            self.result.eq(Mux(stage[RESULT].update, update.result, self.chain[low_bits:][: len(self.result)])),
            self.result_saturated.eq(update.saturated & stage[RESULT].update),
        ]

    def _chain(self, m: Module) -> None:
        """The chain's sources, and the random state that it can set."""
        stage, lfsr = self.stage, self.lfsr
        chain = Signal(MEMBRANE.width, reset_less=True)
        half = LFSR_BITS // 2
        m.d.comb += [
            self.chain.eq(chain),
            lfsr.load_low.eq(stage[ROW].chain == ChainOp.STORE_LFSR_LOW),
            lfsr.load_high.eq(stage[ROW].chain == ChainOp.STORE_LFSR_HIGH),
            lfsr.load_data.eq(chain),
        ]
        with m.If(self.shift):
            m.d.sync += chain.eq(self.chain_in)
        with m.If(stage[CURRENT].post == Post.READ_OUT):
            m.d.sync += chain.eq(self.accumulator.current)
        with m.Elif(stage[CURRENT].chain == ChainOp.LOAD_MEMBRANE):
            m.d.sync += chain.eq(self.state.v)
        with m.Elif(stage[ROW].chain == ChainOp.LOAD_ROW):
            m.d.sync += chain.eq(self.row)
        with m.Elif(stage[ROW].chain == ChainOp.LOAD_LFSR_LOW):
            m.d.sync += chain.eq(lfsr.state[:half])
        with m.Elif(stage[ROW].chain == ChainOp.LOAD_LFSR_HIGH):
            m.d.sync += chain.eq(lfsr.state[half:])
        return
