"""Progress of a run: which steps have fired and have errors, and how long ago the lanes got the last op."""

from typing import Any

from amaranth import Array, Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, Signature

from opzo.hw.error.ports import ErrorProgressSignature
from opzo.hw.input.scanner import finished_layout
from opzo.hw.schedule.passes import Kind, of_learning, op_layout, pass_layout
from opzo.hw.timing import QUIET_CYCLES, credits_written
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.limits import Limits


class ProgressSignature(Signature):
    """Progress of a run.

    Members
    -------
    fired_steps : Out(array by hidden layer)
        Time steps whose spikes are complete, by hidden layer.
    error_steps : Out, local_steps : Out(array by hidden layer)
        Time steps whose errors are complete: of the network's readout, and of the local readout of each layer.
    reading_out : Out(1)
        A readout, the network's or a local one, is on its way to the error unit, which has no room for another.
    quiet : Out(1)
        Rows of all ops are written, and their commands have left the lanes.
    feedback_quiet : Out(array by hidden layer)
        Rows of all ops of FEEDBACK are written.
    credits_written : Out(1)
        Credits of all of them are written.
    """

    def __init__(self, limits: Limits) -> None:
        steps = range(HISTORY_STEPS + 1)
        super().__init__(
            {
                "fired_steps": Out(data.ArrayLayout(steps, limits.layers)),
                "error_steps": Out(steps),
                "local_steps": Out(data.ArrayLayout(steps, limits.layers)),
                "reading_out": Out(1),
                "quiet": Out(1),
                "feedback_quiet": Out(limits.layers),
                "credits_written": Out(1),
            }
        )


class RunProgress(wiring.Component):
    """Count the steps of a run that are complete, and the cycles since the last op.

    Members
    -------
    start : In(1)
        Strobe: a run begins.
    taken : In(1), next_pass : In(pass_layout)
        Strobe: the runner takes ``next_pass``.
    op : In(op_layout)
        From the runner.
    finished : In(finished_layout)
        From the spike encoder.
    error : In(ErrorProgressSignature)
    progress : Out(ProgressSignature)
    """

    start: Signal
    taken: Signal
    next_pass: data.View
    op: data.View
    finished: data.View
    error: Any
    progress: Any

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "start": In(1),
                "taken": In(1),
                "next_pass": In(pass_layout(limits)),
                "op": In(op_layout(limits)),
                "finished": In(finished_layout(limits)),
                "error": In(ErrorProgressSignature(limits)),
                "progress": Out(ProgressSignature(limits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        progress, error = self.progress, self.error
        steps = range(HISTORY_STEPS + 1)
        fired_steps, local_steps = (
            Array(Signal(steps, name=f"{name}_{n}") for n in range(self._limits.layers))
            for name in ("fired_steps", "local_steps")
        )
        m.d.comb += [
            *(progress.fired_steps[n].eq(fired_steps[n]) for n in range(self._limits.layers)),
            *(progress.local_steps[n].eq(local_steps[n]) for n in range(self._limits.layers)),
        ]
        # The next readout may arrive CLOSING_CYCLES after ``room``, see READOUT_RESTART.
        reads_out = (self.next_pass.readout & (self.next_pass.kind == Kind.SPIKES)) | of_learning(
            self._limits, self.next_pass.kind == Kind.LOCAL
        )
        with m.If(self.taken & reads_out):
            m.d.sync += progress.reading_out.eq(1)
        with m.Elif(error.room):
            m.d.sync += progress.reading_out.eq(0)
        with m.If(self.start):
            m.d.sync += [
                *(count.eq(0) for counts in (fired_steps, local_steps) for count in counts),
                progress.error_steps.eq(0),
            ]
        with m.Else():
            with m.If(self.finished.valid):
                m.d.sync += fired_steps[self.finished.layer].eq(self.finished.step + 1)
            with m.If(error.done):
                with m.If(~of_learning(self._limits, error.source != self._limits.layers)):
                    m.d.sync += progress.error_steps.eq(progress.error_steps + 1)
                with m.Else():
                    source = error.source[: len(self.finished.layer)]
                    m.d.sync += local_steps[source].eq(local_steps[source] + 1)

        since_op = _count_since(m, "op", self.op.valid, QUIET_CYCLES)
        m.d.comb += progress.quiet.eq(since_op == QUIET_CYCLES)
        if not self._limits.learning:
            return m
        written, feedback = credits_written(self._limits), self.op.valid & (self.op.kind == Kind.FEEDBACK)
        since_feedback = [
            _count_since(m, f"feedback_{layer}", feedback & (self.op.layer == layer), written)
            for layer in range(self._limits.layers)
        ]
        m.d.comb += [
            progress.feedback_quiet.eq(Cat(since >= QUIET_CYCLES for since in since_feedback)),
            progress.credits_written.eq(Cat(since == written for since in since_feedback).all()),
        ]
        return m


def _count_since(m: Module, name: str, op: Value, most: int) -> Signal:
    """Cycles since ``op``, at most ``most``."""
    since = Signal(range(most + 1), name=f"since_{name}", init=most)
    with m.If(op):
        m.d.sync += since.eq(0)
    with m.Elif(since != most):
        m.d.sync += since.eq(since + 1)
    return since
