"""Run control: one run after another, and what the next run needs from the last."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, Signature

from opzo.hw.counters import counted
from opzo.hw.decode import decode_input
from opzo.hw.input.traces import STEPS_BITS
from opzo.hw.interface import RUN
from opzo.hw.lib.check import check
from opzo.hw.registers import CONFIG
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.registers import Counter


class RunSignature(Signature):
    """The run in progress, as its control describes it to the other units.

    Members
    -------
    start, close : Out(1)
        Strobes: the run begins; all its passes have ended.
    working : Out(1)
        From the cycle after ``start`` to the one before ``close``.
    train : Out(1)
        Whether the run is learned from; valid in the cycle of ``start``, too.
    sample : Out(RUN)
        Flags and label, from the cycle after ``start``.
    config : Out(CONFIG)
        Settings, with the time steps of the run in ``steps``.
    fresh : Out(1)
        Nothing is carried over from the run before.
    decision : Out(1)
        The sums of the readouts and of the loss begin with this run.
    phase : Out(1)
        Steps 0, 2, ... of the run are the second of an antithetic pair.
    bias_trace : Out(HISTORY_STEPS)
        Trace of the bias rows before the run.
    last_steps : Out(STEPS_BITS)
        Time steps of the run before.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": Out(1),
                "close": Out(1),
                "working": Out(1),
                "train": Out(1),
                "sample": Out(RUN),
                "config": Out(CONFIG),
                "fresh": Out(1),
                "decision": Out(1),
                "phase": Out(1),
                "bias_trace": Out(HISTORY_STEPS),
                "last_steps": Out(STEPS_BITS),
            }
        )


class QueuedRunSignature(Signature):
    """The oldest run in the event buffer: whether there is one, its flags, its time steps (0 for a frame)."""

    def __init__(self) -> None:
        super().__init__({"valid": Out(1), "sample": Out(RUN), "steps": Out(STEPS_BITS)})


class RunControl(wiring.Component):
    """Start a run when its input is complete, wait for its passes, close it.

    Members
    -------
    queued : In(QueuedRunSignature)
    settings : In(CONFIG)
        Registers, constant during a run.
    clear_traces : In(1)
        Strobe: the next run is a fresh one.
    rows_busy : In(1)
        Traces are being advanced, cleared or marked.
    blocked : In(1)
        A row of the memory port or an answer is under way: no run may start.
    done : In(1)
        All passes of the run have ended.
    run : Out(RunSignature)
    idle : Out(1)
        No run is in progress, and no traces are being cleared.
    counted : Out
        Increments of TRAIN_RUNS, TEST_RUNS, TRAIN_CYCLES and TEST_CYCLES.
    """

    queued: In(QueuedRunSignature())
    settings: In(CONFIG)
    clear_traces: In(1)
    rows_busy: In(1)
    blocked: In(1)
    done: In(1)
    run: Out(RunSignature())
    idle: Out(1)
    counted: Out(counted(Counter.TRAIN_RUNS, Counter.TEST_RUNS, Counter.TRAIN_CYCLES, Counter.TEST_CYCLES))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        run, queued = self.run, self.queued
        clearing = Signal()
        # Also in the cycle after ``clear_traces``, in which the traces are not busy yet.
        m.d.sync += clearing.eq(self.clear_traces | (self.rows_busy & ~run.working & ~run.close))
        with m.FSM():
            with m.State("IDLE"):
                # High fan-out, so registered. The memory port accepts nothing more once a run is queued.
                m.d.sync += run.start.eq(queued.valid & ~self.blocked & ~clearing & ~run.start)
                with m.If(run.start):
                    m.d.sync += run.sample.eq(queued.sample)
                    m.next = "WORK"
            with m.State("WORK"):
                m.d.comb += run.working.eq(1)
                with m.If(self.done):
                    m.next = "CLOSE"
            with m.State("CLOSE"):
                m.d.comb += run.close.eq(1)
                m.next = "IDLE"
        in_progress = run.working | run.close
        m.d.comb += [
            run.train.eq(Mux(run.start, queued.sample.train, run.sample.train)),
            self.idle.eq(~run.start & ~in_progress & ~clearing),
            self.counted.train_runs.eq(run.close & run.sample.train),
            self.counted.test_runs.eq(run.close & ~run.sample.train),
            self.counted.train_cycles.eq(in_progress & run.sample.train),
            self.counted.test_cycles.eq(in_progress & ~run.sample.train),
        ]
        check(m, "start", ~(run.start & in_progress), "a run starts while another one is in progress")
        check(m, "blocked", ~(run.working & self.blocked), "a row or an answer is under way in a run")
        self._carry_over(m)
        return m

    def _carry_over(self, m: Module) -> None:
        """Time steps of this run and the last, and what a run takes over from the last."""
        run, queued = self.run, self.queued
        frame = ~decode_input(self.settings.input).events
        steps = Signal(STEPS_BITS)
        # After a reset, or with a new network, there is nothing to take over.
        begun = Signal()
        fresh = Signal()
        m.d.comb += [
            fresh.eq(queued.sample.fresh | frame | ~begun),
            run.config.eq(self.settings),
            run.config.steps.eq(steps),
        ]
        with m.If(self.clear_traces):
            m.d.sync += begun.eq(0)
        with m.If(run.start):
            m.d.sync += [
                steps.eq(Mux(frame, self.settings.steps, queued.steps)),
                begun.eq(1),
                run.fresh.eq(fresh),
                run.decision.eq(fresh | queued.sample.decision),
                # The bias spiked in all steps of the last run.
                run.bias_trace.eq(Mux(fresh, 0, Cat(run.bias_trace, Const(-1, HISTORY_STEPS)) >> run.last_steps)),
            ]
            with m.If(fresh):
                m.d.sync += run.phase.eq(0)
        # The traces need the length of the last run until this one ends.
        with m.If(run.close):
            m.d.sync += [run.last_steps.eq(steps), run.phase.eq(run.phase ^ steps[0])]
