"""Credit selector: the sum of a neuron's filtered credits that a spike history selects."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.primitives import primitives
from opzo.spec.formats import FILTERED, FRAME_CREDIT, HISTORY_STEPS
from opzo.spec.network import Limits

FACTOR_DELAY = 5
LONGEST_DELAY = 2
"""Cycles from the load of a word until ``active_factor`` takes its new value, and until a chain of HISTORY_STEPS steps
begins."""
LEAST_STEPS = HISTORY_STEPS + LONGEST_DELAY - FACTOR_DELAY
"""A shorter chain would be loaded after the factor."""
SUM_WIDTH = FILTERED.width + 3


def chain_steps(limits: Limits) -> int:
    """Time steps of the selectors of a device with ``limits``."""
    return max(limits.steps, LEAST_STEPS)


def chain_delay(limits: Limits) -> int:
    """Cycles from the load of a word until the selectors of a device begin: their sum meets the product."""
    return HISTORY_STEPS + LONGEST_DELAY - chain_steps(limits)


def history_stage(limits: Limits, step: int) -> int:
    """Stage of the lanes at which bit ``step`` of a history is looked at; the last one is that of the row update."""
    return chain_delay(limits) + max(step - 1, 0)


def latency(steps: int) -> int:
    """Cycles from the first two bits of a history to the sum that the first ``steps`` - 1 select."""
    return steps - 2


class CreditSelector(wiring.Component):
    """Filtered credits of one neuron, double-buffered, with a chain of adders behind them.

    Filling and using overlap: values enter a memory, last time step first; a load moves them to the active registers,
    from which ``selected`` is formed. The sum of a row moves from adder to adder, one a cycle, and takes a
    time step in each; so does a load. The last time step is left to the row update. Golden twins:
    ``opzo.sim.golden.credit.spike_update``, ``trace_update``.

    Parameters
    ----------
    steps : int
        Time steps, LEAST_STEPS to HISTORY_STEPS.

    Members
    -------
    step : In, filtered : In(signed), factor : In(signed)
        E of a time step, taken when ``en``; with that of the first step its factor.
    load : In(steps - 1)
        Strobe, of which bit n comes n cycles after bit 0: the active registers of time steps 0 and 1, then of one more
        step with each bit, take what was filled in. Nothing is to be filled in before the last bit.
    load_step : In
        With bit n of ``load``: n + 1.
    history : In(steps - 1)
        Bit k selects E[k]. Bits 0 and 1 come together, the earliest one cycle after bit 0 of ``load``; each other bit
        one cycle after the one before. ``selected`` follows by ``latency(steps)`` cycles.
    active_factor : Out(signed)
        What a row's value or trace is multiplied with.
    selected : Out(signed)
    last : Out(signed)
        E of the last time step, in the cycle of ``selected``.
    """

    step: Signal
    filtered: Signal
    factor: Signal
    en: Signal
    load: Signal
    load_step: Signal
    history: Signal
    active_factor: Signal
    selected: Signal
    last: Signal

    def __init__(self, steps: int) -> None:
        if not LEAST_STEPS <= steps <= HISTORY_STEPS:
            raise ValueError(f"steps must be in {LEAST_STEPS}..{HISTORY_STEPS}, not {steps}")
        self._steps = steps
        super().__init__(
            {
                "step": In(range(HISTORY_STEPS)),
                "filtered": In(signed(FILTERED.width)),
                "factor": In(signed(FRAME_CREDIT.width)),
                "en": In(1),
                "load": In(steps - 1),
                "load_step": In(range(HISTORY_STEPS)),
                "history": In(steps - 1),
                "active_factor": Out(signed(FRAME_CREDIT.width)),
                "selected": Out(signed(SUM_WIDTH)),
                "last": Out(signed(FILTERED.width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        filled: memory.Memory = memory.Memory(shape=signed(FILTERED.width), depth=HISTORY_STEPS, init=[])
        m.submodules.filled = filled
        read, write = filled.read_port(domain="comb"), filled.write_port()
        active = [Signal(signed(FILTERED.width), name=f"active_{k}", reset_less=True) for k in range(self._steps)]
        # The last one that is filled in is that of step 0: beside the memory, for steps 0 and 1 are loaded together.
        first = Signal.like(self.filtered, reset_less=True)
        factor = Signal.like(self.factor, reset_less=True)
        active_factor = Signal.like(self.factor, reset_less=True)
        m.d.comb += [
            write.addr.eq(self.step),
            write.data.eq(self.filtered),
            write.en.eq(self.en),
            read.addr.eq(self.load_step),
        ]
        with m.If(self.en):
            m.d.sync += [first.eq(self.filtered), factor.eq(self.factor)]
        for k, into in enumerate(active):
            with m.If(self.load[max(k - 1, 0)]):
                m.d.sync += into.eq(read.data if k else first)
        with m.If(self.load[self._steps - LEAST_STEPS]):
            m.d.sync += active_factor.eq(factor)

        total = Mux(self.history[0], active[0], 0)
        for k in range(1, self._steps - 1):
            # Each doubling of the terms is one bit more.
            width = FILTERED.width + k.bit_length()
            m.submodules[f"adder_{k}"] = adder = primitives(platform).gated_adder(width)
            m.d.comb += [adder.a.eq(total), adder.b.eq(active[k]), adder.add.eq(self.history[k])]
            total = Signal.like(adder.o, name=f"total_{k}", reset_less=True)
            m.d.sync += total.eq(adder.o)
        m.d.comb += [self.selected.eq(total), self.last.eq(active[-1]), self.active_factor.eq(active_factor)]
        return m
