"""Error unit: error, loss and prediction from the read-outs."""

from amaranth import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from opzo.hw.error import error_scale, loss
from opzo.hw.error.error_scale import ErrorScaler
from opzo.hw.error.loss import LossUnit
from opzo.hw.error.readout_memory import DIFFERENCE_BITS, ReadoutMemory
from opzo.hw.error.readout_sums import OutputSums
from opzo.hw.error.softmax import Softmax
from opzo.hw.lib import reciprocal
from opzo.hw.lib.exponential import POWER_CYCLES
from opzo.spec.formats import (
    ERROR,
    HISTORY_STEPS,
    LOSS_SUM_BITS,
    MEMBRANE,
    OUTPUT_SUM,
    RATE_BITS,
    SCALED_ERROR,
    ZO_LOSS_SHIFT,
)
from opzo.spec.network import MAX_HIDDEN, Limits
from opzo.spec.registers import READOUT_LAYER

CLASS_BITS = 6
"""Bits of a class at the ports, whatever the limits are."""

# Stages of a walk over the classes: in stage 0 the read-out is asked for, in stage 2 it is there.
_READOUT = 2
_POWER = _READOUT + POWER_CYCLES
_ERROR = _READOUT + error_scale.CYCLES
CLOSING_CYCLES = 1 + max(_POWER + loss.CYCLES + 1, _ERROR)
"""From the last class at the beginning of the last walk to its results."""


class ErrorUnit(wiring.Component):
    """Softmax cross entropy with a share of squared error, loss, and the sums over the steps of a decision.

    Golden twin: ``opzo.sim.golden.error.error_step``. ``busy`` falls 2 C + 30 cycles after the last read-out: one walk
    over the classes sums their powers, one scales them with the reciprocal of the sum. Without ``learn`` there is only
    the first, and no errors: C + 12 cycles.

    The read-outs are the network's (source READOUT_LAYER) or those of a hidden layer's own; of the latter only the
    errors count. Memory: errors; word: scaled error; address: source, step, class.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    classes, label, rate, mse_shift, learn : In
        Settings, stable while ``busy``.
    start : In(1)
        Strobe, while not ``busy``: time step ``step`` of ``source`` begins, ``last_step`` of a run or not. Of the
        network's: ``odd``, the second of an antithetic pair; ``anew``, sums begin with it.
    o_valid : In(1), o_data : In(signed)
        Strobed read-outs (MEMBRANE) of all classes in order, from the cycle after ``start``, one a cycle or slower.
    busy : Out(1)
        From the cycle after ``start`` until all results of the step can be read.
    closing : Out(1), busy_source : Out
        Strobe: ``busy`` falls at most CLOSING_CYCLES later. Source of the step, from then until the next ``start``.
    error : Out({valid 1, class 6, value signed})
        Strobes of the network's scaled errors in order, one a cycle.
    read_source, read_step, read_class : In
        Source, time step and class whose ``read_error`` is there one cycle later; ``read_difference``, too, which is
        o[t-1] - o[t] of the network's last odd t whatever ``read_step`` is.
    loss_scaled : Out(18)
        rate * min(loss >> ZO_LOSS_SHIFT, ERROR.max) of the last step as odd or even as ``read_step``; in the same
        cycle.
    prediction : Out(6), loss_sum : Out(24)
        From the fall of ``busy`` after the last step of a run to that of the next run.
    sum_class : In
        Class whose ``sum_data`` (OUTPUT_SUM, sum of its read-outs over the steps) is there one cycle later; only while
        not ``busy``.
    """

    classes: Signal
    label: Signal
    rate: Signal
    mse_shift: Signal
    learn: Signal
    start: Signal
    source: Signal
    step: Signal
    last_step: Signal
    odd: Signal
    anew: Signal
    o_valid: Signal
    o_data: Signal
    busy: Signal
    closing: Signal
    busy_source: Signal
    error: data.View
    read_source: Signal
    read_step: Signal
    read_class: Signal
    read_error: Signal
    read_difference: Signal
    loss_scaled: Signal
    prediction: Signal
    loss_sum: Signal
    sum_class: Signal
    sum_data: Signal

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        scaled = signed(SCALED_ERROR.width)
        super().__init__(
            {
                "classes": In(CLASS_BITS + 1),
                "label": In(CLASS_BITS),
                "rate": In(RATE_BITS),
                "mse_shift": In(4),
                "learn": In(1),
                "start": In(1),
                "source": In(range(MAX_HIDDEN + 1)),
                "step": In(range(HISTORY_STEPS)),
                "last_step": In(1),
                "odd": In(1),
                "anew": In(1),
                "o_valid": In(1),
                "o_data": In(signed(MEMBRANE.width)),
                "busy": Out(1),
                "closing": Out(1),
                "busy_source": Out(range(MAX_HIDDEN + 1)),
                "error": Out(data.StructLayout({"valid": 1, "class": CLASS_BITS, "value": scaled})),
                "read_source": In(range(MAX_HIDDEN + 1)),
                "read_step": In(range(HISTORY_STEPS)),
                "read_class": In(CLASS_BITS),
                "read_error": Out(scaled),
                "read_difference": Out(signed(DIFFERENCE_BITS)),
                "loss_scaled": Out(SCALED_ERROR.width),
                "prediction": Out(CLASS_BITS),
                "loss_sum": Out(LOSS_SUM_BITS),
                "sum_class": In(CLASS_BITS),
                "sum_data": Out(signed(OUTPUT_SUM.width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = ceil_log2(max(2, self.limits.classes))
        m.submodules.readouts = readouts = ReadoutMemory(self.limits)
        m.submodules.sums = sums = OutputSums(self.limits)
        m.submodules.walk = walk = ClassWalk(bits)
        m.submodules.softmax = softmax = Softmax(self.limits)
        m.submodules.scaler = scaler = ErrorScaler()
        m.submodules.loss = loss_unit = LossUnit(softmax.total_bits)
        steps = len(self.step) + len(self.source)
        errors: Memory = Memory(shape=signed(SCALED_ERROR.width), depth=1 << (bits + steps), init=[])
        m.submodules.errors = errors
        error_write, error_read = errors.write_port(), errors.read_port()

        source, step = Signal.like(self.source), Signal.like(self.step)
        last_step, odd, anew, local = Signal(), Signal(), Signal(), Signal()
        o_valid = Signal()
        o = Signal(signed(MEMBRANE.width), reset_less=True)
        top = Signal(signed(MEMBRANE.width), reset_less=True)
        o_class, next_class = Signal(bits, reset_less=True), Signal(bits, reset_less=True)
        last_class = Signal(bits, reset_less=True)
        is_label = Signal(reset_less=True)
        loss_scaled = Array(Signal.like(self.loss_scaled, name=f"loss_scaled_{n}", reset_less=True) for n in range(2))
        loss_sum = Signal.like(self.loss_sum, reset_less=True)
        new_loss_sum = Mux(anew, 0, loss_sum) + loss_unit.loss
        division = Signal(range(reciprocal.CYCLES))
        divided = Signal()

        m.d.sync += [
            last_class.eq(self.classes - 1),
            o_valid.eq(self.o_valid),
            o.eq(self.o_data),
            o_class.eq(next_class),
            is_label.eq(walk.number[_READOUT - 1] == self.label),
        ]
        with m.If(self.o_valid):
            m.d.sync += next_class.eq(next_class + 1)
        # One cycle later than all else: the walk begins later than that.
        late_o, is_first, is_later = Signal.like(o, reset_less=True), Signal(), Signal()
        m.d.sync += [late_o.eq(o), is_first.eq(o_valid & (o_class == 0)), is_later.eq(o_valid & (o_class != 0))]
        with m.If(is_first | (is_later & (late_o > top))):
            m.d.sync += top.eq(late_o)
        for unit in (readouts, sums):
            m.d.comb += [unit.number.eq(o_class), unit.o.eq(o)]
        m.d.comb += [
            local.eq(source != READOUT_LAYER),
            readouts.valid.eq(o_valid),
            sums.valid.eq(o_valid & ~local),
            walk.last.eq(last_class),
            readouts.odd.eq(odd),
            readouts.local.eq(local),
            readouts.index.eq(walk.number[0]),
            readouts.difference_index.eq(self.read_class),
            sums.anew.eq(anew),
            sums.sum_class.eq(self.sum_class),
            softmax.number.eq(walk.number[_READOUT]),
            softmax.is_label.eq(is_label),
            softmax.o.eq(readouts.stored),
            softmax.top.eq(top),
            # Its product comes three cycles later, in time for the scaler.
            softmax.read_number.eq(walk.number[_READOUT + error_scale.PROBABILITY_CYCLES - 3]),
            scaler.o.eq(readouts.stored),
            scaler.is_label.eq(is_label),
            scaler.probability.eq(softmax.product),
            scaler.mse_shift.eq(self.mse_shift),
            scaler.rate.eq(self.rate),
            loss_unit.exponent.eq(softmax.label_exponent),
            loss_unit.total.eq(softmax.total),
            scaler.loan_factor.eq(
                Mux(loss_unit.loss >= ERROR.max << ZO_LOSS_SHIFT, ERROR.max, loss_unit.loss >> ZO_LOSS_SHIFT)
            ),
            self.error["class"].eq(walk.number[_ERROR]),
            self.error.value.eq(scaler.scaled),
            error_write.addr.eq(Cat(walk.number[_ERROR], step, source)),
            error_write.data.eq(scaler.scaled),
            error_read.addr.eq(Cat(self.read_class[:bits], self.read_step, self.read_source)),
            self.read_error.eq(error_read.data),
            self.read_difference.eq(readouts.difference),
            self.loss_scaled.eq(loss_scaled[self.read_step[0]]),
            self.sum_data.eq(sums.sum_data),
            self.busy_source.eq(source),
        ]

        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.sync += next_class.eq(0)
                with m.If(self.start):
                    m.d.sync += [source.eq(self.source), step.eq(self.step), last_step.eq(self.last_step)]
                    m.d.sync += [odd.eq(self.odd), anew.eq(self.anew)]
                    m.next = "COLLECT"
            with m.State("COLLECT"):
                m.d.comb += softmax.clear.eq(1)
                with m.If(o_valid & (o_class == last_class)):
                    m.d.comb += walk.start.eq(1)
                    m.next = "SUM"
            with m.State("SUM"):
                m.d.comb += [softmax.valid.eq(walk.valid[_READOUT]), self.closing.eq(walk.ends[0] & ~self.learn)]
                m.d.sync += division.eq(0)
                with m.If(walk.ends[_POWER]):
                    m.d.comb += softmax.divide.eq(1)
                    m.next = "DIVIDE"
            with m.State("DIVIDE"):
                # The multiplier of the errors is free; long before the quotient the loss has passed through it.
                m.d.comb += scaler.loan.eq(1)
                m.d.sync += division.eq(division + 1)
                with m.If(divided):
                    m.d.comb += walk.start.eq(1)
                    m.next = "SCALE"
                    with m.If(~local):
                        m.d.sync += [loss_scaled[step[0]].eq(scaler.scaled), loss_sum.eq(new_loss_sum)]
                with m.If(~self.learn & (division == loss.CYCLES)):
                    m.d.sync += loss_sum.eq(new_loss_sum)
                    m.next = "IDLE"
                    with m.If(last_step):
                        m.d.sync += [self.prediction.eq(sums.best), self.loss_sum.eq(new_loss_sum)]
            with m.State("SCALE"):
                m.d.comb += [
                    error_write.en.eq(walk.valid[_ERROR]),
                    self.error.valid.eq(walk.valid[_ERROR] & ~local),
                    self.closing.eq(walk.ends[0]),
                ]
                with m.If(walk.ends[_ERROR]):
                    m.next = "IDLE"
                    with m.If(last_step & ~local):
                        m.d.sync += [self.prediction.eq(sums.best), self.loss_sum.eq(loss_sum)]
        # The second walk is in the stage that multiplies with the quotient when the quotient is there.
        m.d.comb += divided.eq(division == reciprocal.CYCLES - _READOUT - 1)
        return m


class ClassWalk(wiring.Component):
    """Count through the classes, and tell when a class is in which stage of a pipeline.

    Parameters
    ----------
    bits : int
        Bits of a class.

    Members
    -------
    start : In(1)
        Strobe; class 0 is in stage 0 in the next cycle.
    last : In
        Last class.
    number, valid, ends : Out(array of _ERROR + 1)
        Class in each stage, whether there is one, whether it is the last.
    """

    start: Signal
    last: Signal
    number: data.View
    valid: Signal
    ends: Signal

    def __init__(self, bits: int) -> None:
        super().__init__(
            {
                "start": In(1),
                "last": In(bits),
                "number": Out(data.ArrayLayout(bits, _ERROR + 1)),
                "valid": Out(_ERROR + 1),
                "ends": Out(_ERROR + 1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = len(self.last)
        number = [Signal(bits, name=f"number_{n}", reset_less=n > 0) for n in range(_ERROR + 1)]
        valid = Signal(_ERROR + 1)
        ends = Signal(_ERROR)
        is_last = valid[0] & (number[0] == self.last)
        with m.If(self.start):
            m.d.sync += [valid[0].eq(1), number[0].eq(0)]
        with m.Elif(valid[0]):
            m.d.sync += [valid[0].eq(~is_last), number[0].eq(number[0] + 1)]
        m.d.sync += [valid[1:].eq(valid), ends.eq(Cat(is_last, ends))]
        m.d.sync += [number[n + 1].eq(number[n]) for n in range(_ERROR)]
        m.d.comb += [
            [self.number[n].eq(number[n]) for n in range(_ERROR + 1)],
            self.valid.eq(valid),
            self.ends.eq(Cat(is_last, ends)),
        ]
        return m
