"""Error unit: error, loss and prediction from the readouts."""

from typing import Any

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.error import error_scale, loss
from opzo.hw.error.class_walk import ClassWalk
from opzo.hw.error.error_control import ErrorControl
from opzo.hw.error.error_memory import ErrorMemory
from opzo.hw.error.error_scale import ErrorScaler
from opzo.hw.error.intake_control import IntakeControl
from opzo.hw.error.loss import LossUnit
from opzo.hw.error.loss_sum import LossSum
from opzo.hw.error.ports import (
    ERROR_STROBE,
    AnswerSignature,
    ErrorProgressSignature,
    ErrorReadSignature,
    ErrorSettingsSignature,
    ReadoutSignature,
    ReadoutStepSignature,
)
from opzo.hw.error.readout_intake import ReadoutIntake
from opzo.hw.error.readout_memory import ReadoutMemory
from opzo.hw.error.readout_sums import ReadoutSums
from opzo.hw.error.softmax import PRODUCT_CYCLES, Softmax
from opzo.hw.lib import reciprocal
from opzo.hw.lib.check import check
from opzo.hw.lib.exponential import POWER_CYCLES
from opzo.spec.formats import ERROR, ZO_LOSS_SHIFT
from opzo.spec.limits import Limits

# Stages of a walk over the classes: in stage 0 the readout is asked for, in stage 2 it is valid.
_READOUT = 2
_POWER = _READOUT + POWER_CYCLES
_ERROR = _READOUT + error_scale.CYCLES
CLOSING_CYCLES = 2 + max(_POWER + loss.CYCLES + 1, _ERROR)
"""From the last class at the beginning of the last walk until the step behind it has been taken and another may start:
its results, then the idle state."""


class ErrorUnit(wiring.Component):
    """Softmax cross entropy with a share of squared error, loss, and the sums over the steps of a decision.

    Golden twin: ``opzo.sim.golden.error.error_step``. ``progress.done`` is 2 C + 30 cycles after the last readout:
    one walk over the classes sums their powers, one scales them with the reciprocal of the sum. Without ``learn`` there
    is only the first, and no errors: C + 12 cycles. The readouts of the next step come in meanwhile.

    The readouts are the network's (source ``limits.layers``) or the local ones of a hidden layer, which have errors
    only.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    settings : In(ErrorSettingsSignature)
    step : In(ReadoutStepSignature)
    readout : In(ReadoutSignature)
        From the cycle after ``step.start``.
    progress : Out(ErrorProgressSignature)
    error : Out(ERROR_STROBE)
        Errors of the network in order, one a cycle.
    read : In(ErrorReadSignature)
    answer : Out(AnswerSignature)
    """

    settings: Any
    step: Any
    readout: Any
    progress: Any
    error: data.View
    read: Any
    answer: Any

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        super().__init__(
            {
                "settings": In(ErrorSettingsSignature()),
                "step": In(ReadoutStepSignature(limits)),
                "readout": In(ReadoutSignature()),
                "progress": Out(ErrorProgressSignature(limits)),
                "error": Out(ERROR_STROBE),
                "read": In(ErrorReadSignature(limits)),
                "answer": Out(AnswerSignature()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = self.limits.class_bits
        m.submodules.intake = intake = ReadoutIntake(bits)
        m.submodules.readouts = readouts = ReadoutMemory(self.limits)
        m.submodules.sums = sums = ReadoutSums(self.limits)
        m.submodules.walk = walk = ClassWalk(bits, _ERROR)
        m.submodules.softmax = softmax = Softmax(self.limits)
        m.submodules.loss = loss_unit = LossUnit(softmax.total_bits)
        m.submodules.loss_sum = loss_sum = LossSum()
        # The second walk is in the stage that multiplies with the quotient when the quotient is valid.
        m.submodules.control = control = ErrorControl(
            reciprocal.CYCLES - _READOUT - 1, loss.CYCLES, learning=self.limits.learning
        )
        m.submodules.intake_control = intake_control = IntakeControl()
        wiring.connect(m, wiring.flipped(self.readout), intake.readout)
        wiring.connect(m, intake.numbered, readouts.readout, sums.readout)

        settings, numbered = self.settings, intake.numbered
        # The step whose readouts come in, and the one whose errors are computed.
        names = ("source", "step", "last", "odd", "restart")
        entering = {name: Signal.like(getattr(self.step, name), name=f"entering_{name}") for name in names}
        step = {name: Signal.like(entering[name], name=f"at_{name}") for name in names if name != "odd"}
        network_source = self.limits.layers
        enters_network, network = (~self._local(at["source"] != network_source) for at in (entering, step))
        # Complete two cycles after the last readout, needed from stage _READOUT of the first walk on.
        largest = Signal.like(intake.largest, reset_less=True)
        with m.If(~walk.valid[_READOUT]):
            m.d.sync += largest.eq(intake.largest)
        last_class = Signal(bits, reset_less=True)
        is_label = Signal(reset_less=True)
        m.d.sync += [
            last_class.eq(settings.classes - 1),
            is_label.eq(walk.class_[_READOUT - 1] == settings.label),
        ]
        m.d.comb += [
            walk.last.eq(last_class),
            readouts.odd.eq(entering["odd"]),
            readouts.kept.eq(enters_network),
            readouts.taken.eq(control.taken),
            readouts.index.eq(walk.class_[0]),
            sums.local.eq(~enters_network),
            sums.restart.eq(entering["restart"]),
            sums.sum_class.eq(self.answer.sum_class),
            softmax.class_.eq(walk.class_[_READOUT]),
            softmax.is_label.eq(is_label),
            softmax.readout.eq(readouts.stored),
            softmax.largest.eq(largest),
            loss_unit.exponent.eq(softmax.label_exponent),
            loss_unit.total.eq(softmax.total),
            loss_sum.loss.eq(loss_unit.loss),
            loss_sum.restart.eq(step["restart"]),
            loss_sum.best.eq(sums.best),
            self.answer.prediction.eq(loss_sum.prediction),
            self.answer.loss.eq(loss_sum.total),
            self.answer.sum.eq(sums.sum_data),
        ]
        ends = last_class == numbered.class_
        m.d.comb += [
            intake_control.start.eq(self.step.start),
            intake_control.collected.eq(numbered.valid & ends),
            intake_control.taken.eq(control.taken),
            intake_control.closing.eq(
                walk.ends[0] & (control.scaling | (control.summing & ~self._local(settings.learn)))
            ),
            control.complete.eq(intake_control.complete),
            control.learn.eq(self._local(settings.learn)),
            control.summed.eq(walk.ends[_POWER]),
            control.scaled.eq(walk.ends[_ERROR]),
            intake.clear.eq(self.step.start),
            walk.start.eq(control.walk),
            softmax.clear.eq(control.idle),
            softmax.valid.eq(walk.valid[_READOUT] & control.summing),
            loss_sum.add.eq(control.loss_ready & network),
            loss_sum.publish.eq(control.done & step["last"] & network),
            self.progress.room.eq(intake_control.room),
        ]
        m.d.sync += [self.progress.done.eq(control.done), self.progress.source.eq(step["source"])]
        waits = intake_control.filling | intake_control.complete
        check(m, "start", ~self.step.start | ~waits, "a step starts before the error unit has taken the step ahead")
        check(m, "readout", ~numbered.valid | intake_control.filling, "a readout comes that belongs to no step")
        with m.If(self.step.start):
            m.d.sync += [held.eq(getattr(self.step, name)) for name, held in entering.items()]
        with m.If(control.idle):
            m.d.sync += [held.eq(entering[name]) for name, held in step.items()]
        if self.limits.learning:
            m.submodules.scaler = scaler = ErrorScaler()
            self._scale(m, scaler, walk, softmax, readouts, is_label, control)
            m.d.comb += scaler.aux.factor.eq(
                Mux(loss_unit.loss >= ERROR.max << ZO_LOSS_SHIFT, ERROR.max, loss_unit.loss >> ZO_LOSS_SHIFT)
            )
            self._keep(m, scaler, walk, readouts, control, entering, step)
        return m

    def _local(self, condition: Value) -> Value:
        """``condition`` of readouts that only learning has; 0 in a device that only infers."""
        return condition if self.limits.learning else Const(0)

    def _scale(
        self,
        m: Module,
        scaler: ErrorScaler,
        walk: ClassWalk,
        softmax: Softmax,
        readouts: ReadoutMemory,
        is_label: Signal,
        control: ErrorControl,
    ) -> None:
        """Errors, from the probabilities."""
        m.d.comb += [
            # The product is valid PRODUCT_CYCLES later, in time for the scaler.
            softmax.read_class.eq(walk.class_[_READOUT + error_scale.PROBABILITY_CYCLES - PRODUCT_CYCLES]),
            softmax.divide.eq(control.divide),
            scaler.readout.eq(readouts.stored),
            scaler.is_label.eq(is_label),
            scaler.probability.eq(softmax.product),
            scaler.mse_shift.eq(self.settings.mse_shift),
            scaler.rate.eq(self.settings.rate),
            # The multiplier of the errors is free: the loss has passed through it long before the quotient is valid.
            scaler.aux.enable.eq(control.dividing),
        ]

    def _keep(
        self,
        m: Module,
        scaler: ErrorScaler,
        walk: ClassWalk,
        readouts: ReadoutMemory,
        control: ErrorControl,
        entering: dict[str, Signal],
        step: dict[str, Signal],
    ) -> None:
        """Errors and differences for Feedback and Learn."""
        m.submodules.errors = errors = ErrorMemory(self.limits)
        network, read = self.limits.layers, self.read
        of_network = step["source"] == network
        m.d.comb += [
            readouts.difference_index.eq(read.class_),
            readouts.difference_step.eq(read.step),
            readouts.difference_intermediate.eq(read.source != network),
            errors.source.eq(step["source"]),
            errors.step.eq(step["step"]),
            errors.write.valid.eq(walk.valid[_ERROR] & control.scaling),
            errors.write.class_.eq(walk.class_[_ERROR]),
            errors.write.value.eq(scaler.scaled),
            errors.write_loss.valid.eq(control.loss_ready & of_network),
            errors.write_loss.value.eq(scaler.scaled),
            errors.read.source.eq(read.source),
            errors.read.step.eq(read.step),
            errors.read.class_.eq(read.class_),
            read.error.eq(errors.read.error),
            read.loss.eq(errors.read.loss),
            read.difference.eq(readouts.difference),
            self.error.valid.eq(walk.valid[_ERROR] & control.scaling & of_network),
            self.error.class_.eq(walk.class_[_ERROR]),
            self.error.value.eq(scaler.scaled),
            self.error.step.eq(step["step"]),
        ]
        if self.limits.gradients:
            enters_network = entering["source"] == network
            m.d.comb += [
                readouts.step.eq(entering["step"]),
                readouts.intermediate.eq(~enters_network),
                readouts.kept.eq(enters_network | (entering["source"] + 1 == self.settings.intermediate)),
            ]
