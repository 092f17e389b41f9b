"""Credits of the neurons of a convolution, made of the feedback sum that a block shares."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from opzo.hw.lanes.accumulator import SUM_SHIFT
from opzo.hw.lanes.lane_command import filter_command
from opzo.hw.lib.record import record
from opzo.hw.neurons.credit import Credit
from opzo.hw.neurons.neuron_state import code
from opzo.hw.timing import CREDIT_CYCLES, SHARED_CYCLES, require
from opzo.spec.formats import ACTIVITY_BITS, BLOCK_SUM, BLOCK_SUM_SHIFT, CREDIT, HISTORY_STEPS, ZO_FACTOR
from opzo.spec.limits import Limits


class SharedCredits(wiring.Component):
    """Add the zero-order loss to a feedback sum and make a credit of it, one a cycle.

    Latency SHARED_CYCLES + 1. Golden twins: ``Run._feedback`` of ``opzo.sim.golden.run``,
    ``opzo.sim.golden.feedback.credit``.

    Parameters
    ----------
    limits : Limits
        With convolutions.
    size : int
        Lanes of the group.

    Members
    -------
    number : In
        Number of the group in the device; constant.
    command : In(filter_command)
    sum : In(signed), code : In(code)
        With ``command``: feedback sum of the block, BLOCK_SUM, and spike code of the neuron.
    activity : In
        Activity cost; constant during a sample.
    credit : Out(signed)
        CREDIT; 0 if the lane holds no neuron.
    saturated : Out(1)
        With the credit of the last lane: that of some lane of the word saturated in the step.
    """

    number: Signal
    command: data.View
    sum: Signal
    code: data.View
    activity: Signal
    credit: Signal
    saturated: Signal

    def __init__(self, limits: Limits, size: int) -> None:
        self._size = size
        super().__init__(
            {
                "number": In(range(limits.lanes // size)),
                "command": In(filter_command(limits)),
                "sum": In(signed(BLOCK_SUM.width)),
                "code": In(code(limits)),
                "activity": In(ACTIVITY_BITS),
                "credit": Out(signed(CREDIT.width)),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        require(SHARED_CYCLES == CREDIT_CYCLES, "a shared credit does not come with those that are stored")
        m = Module()
        m.submodules.credit = credit = Credit()
        commands = [
            self.command,
            *(record(self.command.shape(), f"command_{n}", reset_less=True) for n in range(1, SHARED_CYCLES + 2)),
        ]
        m.d.sync += [after.eq(before) for after, before in zip(commands[1:], commands[:-1], strict=True)]
        total = Signal.like(credit.sum, reset_less=True)
        surrogate = Signal.like(credit.surrogate, reset_less=True)
        spikes = Signal(3, reset_less=True)
        exists = Signal(reset_less=True)
        # No bit of the two terms is below those that the credit unit leaves out.
        factor_bits = exact_log2(ZO_FACTOR)
        loss = self.command.loss << (factor_bits - SUM_SHIFT)
        shared = self.sum << (BLOCK_SUM_SHIFT - SUM_SHIFT)
        m.d.sync += [
            total.eq(Mux(self.code.negative ^ self.command.odd, shared - loss, shared + loss)),
            surrogate.eq(self.code.surrogate),
            spikes.eq(Cat(self.code.spike, spikes)),
            exists.eq(Cat(commands[2].lane, self.number) < commands[2].valid_lanes),
        ]
        m.d.comb += [
            credit.sum.eq(total),
            credit.surrogate.eq(surrogate),
            credit.spike.eq(spikes[2]),
            credit.valid.eq(exists),
            credit.activity.eq(self.activity),
            self.credit.eq(credit.credit),
        ]
        self._collect(m, commands[-1], credit.saturated)
        return m

    def _collect(self, m: Module, command: data.View, saturated: Signal) -> None:
        """Saturations of the lanes of a word, by time step."""
        some = Signal(HISTORY_STEPS, reset_less=True)
        now = Signal()
        m.d.comb += [
            now.eq(saturated | (some.bit_select(command.step, 1) & (command.lane != 0))),
            self.saturated.eq(command.valid & command.shared & (command.lane == self._size - 1) & now),
        ]
        with m.If(command.valid & command.shared):
            m.d.sync += some.bit_select(command.step, 1).eq(now)
