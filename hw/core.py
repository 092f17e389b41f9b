"""The core: from the input of a run in the event buffer to its answer."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from opzo.hw.engine import Engine
from opzo.hw.error.error_path import ErrorPath
from opzo.hw.input.event_buffer import EventBuffer
from opzo.hw.interface import CoreSignature
from opzo.hw.lib.check import check
from opzo.hw.register_space import RegisterSpace
from opzo.hw.results import Results
from opzo.hw.run_control import RunControl
from opzo.spec.fixed_network import FixedNetwork
from opzo.spec.limits import Limits
from opzo.spec.registers import Counter, counters_of


class Core(wiring.Component):
    """Registers, event buffer, run control, engine, error path and results of a device with ``limits``.

    Golden twin: ``opzo.sim.golden.core.GoldenCore``. ``docs/machine.md`` describes the order of events. A device that
    only infers is built with a ``fixed`` network for its limits; a run with ``train`` infers like any other.

    Members
    -------
    link : Out(CoreSignature)
    """

    link: Out(CoreSignature())

    def __init__(self, limits: Limits, fixed: FixedNetwork | None = None) -> None:
        if (fixed is None) != limits.learning or (fixed is not None and fixed.limits != limits):
            raise ValueError("a core that only infers is built with a network for its limits, others without")
        self.limits, self.fixed = limits, fixed
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        limits, link = self.limits, self.link
        m.submodules.registers = registers = RegisterSpace(limits, self.fixed)
        m.submodules.events = events = EventBuffer(limits)
        m.submodules.control = control = RunControl()
        m.submodules.engine = engine = Engine(limits, self.fixed)
        m.submodules.error_path = error_path = ErrorPath(limits)
        m.submodules.results = results = Results()
        run = control.run

        # Runs come in through the event buffer and go out as results.
        wiring.connect(m, wiring.flipped(link.event), events.event)
        wiring.connect(m, wiring.flipped(link.run), events.run)
        wiring.connect(m, control.run, engine.run, error_path.run)
        wiring.connect(m, engine.sums, error_path.sums)
        wiring.connect(m, engine.error_read, error_path.read)
        wiring.connect(m, error_path.progress, engine.error_progress)
        wiring.connect(m, error_path.answer, results.answer)
        wiring.connect(m, results.o, wiring.flipped(link.result))
        wiring.connect(m, events.counts, engine.event_counts)
        wiring.connect(m, engine.events, events.read)
        m.d.comb += [
            events.discard.eq(link.discard),
            control.queued.valid.eq(events.sample_valid),
            control.queued.sample.eq(events.sample),
            control.queued.steps.eq(events.steps),
            events.release.eq(run.close),
            control.settings.eq(registers.config),
            control.clear_traces.eq(registers.clear_traces),
            control.rows_busy.eq(engine.rows_busy),
            control.blocked.eq(engine.rows.busy | results.busy | registers.writing),
            control.done.eq(engine.done),
            engine.layers.eq(registers.layers),
            engine.clear_traces.eq(registers.clear_traces),
            engine.shift.eq(error_path.shift),
            engine.error.eq(error_path.error),
            error_path.layers.eq(registers.layers),
            results.start.eq(run.close),
            results.sample.eq(run.sample),
            results.classes.eq(run.config.classes),
        ]

        # The host reads and writes registers and rows.
        wiring.connect(m, engine.feedback_shifts, registers.feedback_shifts)
        wiring.connect(m, engine.magnitude, registers.magnitude)
        wiring.connect(m, wiring.flipped(link.memory_command), engine.rows.command)
        wiring.connect(m, wiring.flipped(link.memory_w), engine.rows.write)
        wiring.connect(m, engine.rows.read, wiring.flipped(link.memory_r))
        # A new setting takes effect some cycles after it was written.
        idle = control.idle & ~events.queued & ~results.busy & ~registers.writing
        m.d.comb += [
            registers.address.eq(link.register_addr),
            registers.write_data.eq(link.register_w_data),
            registers.write_en.eq(link.register_w_en),
            link.register_r_data.eq(registers.read_data),
            registers.sample_done.eq(run.close & run.sample.train),
        ]
        m.d.sync += [
            engine.rows.enable.eq(idle),
            link.idle.eq(idle & ~engine.rows.busy & ~registers.counting & ~link.register_w_en),
        ]

        in_run = run.start | run.working | run.close
        check(m, "register", ~(link.register_w_en & in_run), "the host writes a register in a run")

        # Each unit counts what it sees; registered here, once.
        increments = {Counter.DROPPED: events.dropped}
        for unit in (control, engine, error_path):
            increments |= {Counter[name.upper()]: unit.counted[name] for name, _ in unit.counted.shape()}
        if not limits.learning:
            m.d.comb += control.queued.sample.train.eq(0)
            increments = {counter: amount for counter, amount in increments.items() if counter in counters_of(limits)}
        if set(increments) != set(counters_of(limits)):
            raise AssertionError("every counter is counted by one unit")
        m.d.sync += [registers.increment[counter].eq(amount) for counter, amount in increments.items()]
        return m
