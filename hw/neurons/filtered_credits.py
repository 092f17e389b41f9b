"""Filtered credits of a group: credits are read backwards in time and filtered."""

from typing import Any

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lanes.lane_command import filter_command
from opzo.hw.lib.record import record
from opzo.hw.neurons.credit_filter import CreditFilter, filtered_credit
from opzo.hw.neurons.neuron_state import StateSignatures
from opzo.hw.neurons.shared_credits import SharedCredits
from opzo.hw.timing import SHARED_CYCLES
from opzo.spec.formats import ACTIVITY_BITS, CREDIT
from opzo.spec.limits import Limits


class FilteredCredits(wiring.Component):
    """Read and filter credits, one a cycle. Those of a convolution are made of feedback sums on their way.

    Parameters
    ----------
    limits : Limits
    size : int
        Lanes of the group.

    Members
    -------
    command : In(filter_command)
    credit, readout_credit : Out(ReadSignature)
        Memories of `NeuronState`.
    filtered : Out(filtered_credit)
        Result of ``command``, `filter_cycles` - 1 cycles later.

    With convolutions, also

    number : In
        Number of the group in the device; constant.
    activity : In
        Activity cost; constant during a sample.
    code : Out(ReadSignature)
        Memory of `NeuronState`.
    saturated : Out(1)
        A shared credit saturated, as that of `SharedCredits`.
    """

    command: data.View
    credit: Any
    readout_credit: Any
    filtered: data.View
    number: Signal
    activity: Signal
    code: Any
    saturated: Signal

    def __init__(self, limits: Limits, size: int) -> None:
        self._limits, self._size = limits, size
        state = StateSignatures(limits, size)
        of_convolutions = {
            "number": In(range(limits.lanes // size)),
            "activity": In(ACTIVITY_BITS),
            "code": Out(state.code.read),
            "saturated": Out(1),
        }
        super().__init__(
            {
                "command": In(filter_command(limits)),
                "credit": Out(state.credit.read),
                "readout_credit": Out(state.readout_credit.read),
                "filtered": Out(filtered_credit(size)),
                **(of_convolutions if limits.gradients else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.filter = credit_filter = CreditFilter()
        asked, read, arrived = (record(filter_command(self._limits), name) for name in ("asked", "read", "arrived"))
        credit = Signal(signed(CREDIT.width), reset_less=True)
        m.d.sync += [
            asked.eq(self.command),
            read.eq(asked),
            credit.eq(Mux(read.readout, self.readout_credit.data, self.credit.data)),
            self.filtered.valid.eq(arrived.valid),
            self.filtered.lane.eq(arrived.lane),
            self.filtered.step.eq(arrived.step),
        ]
        for port in (self.credit, self.readout_credit):
            m.d.comb += [
                port.address.lane.eq(self.command.lane),
                port.address.word.eq(self.command.word),
                port.address.step.eq(self.command.step),
            ]
        if self._limits.gradients:
            self._share(m, read, arrived, credit, credit_filter)
        else:
            m.d.sync += arrived.eq(read)
            m.d.comb += credit_filter.credit.eq(credit)
        m.d.comb += [
            credit_filter.en.eq(arrived.valid),
            credit_filter.first.eq(arrived.first),
            credit_filter.frame.eq(arrived.frame),
            self.filtered.credit.eq(credit_filter.filtered),
            self.filtered.factor.eq(credit_filter.factor),
        ]
        return m

    def _share(
        self, m: Module, read: data.View, arrived: data.View, credit: Signal, credit_filter: CreditFilter
    ) -> None:
        """Make the credits of convolutions; the others wait as long."""
        m.submodules.shared = shared = SharedCredits(self._limits, self._size)
        commands = [record(read.shape(), f"waiting_{n}") for n in range(SHARED_CYCLES)]
        credits = [Signal.like(credit, name=f"waiting_credit_{n}", reset_less=True) for n in range(SHARED_CYCLES)]
        m.d.sync += [
            *(after.eq(before) for after, before in zip([*commands, arrived], [read, *commands], strict=True)),
            *(after.eq(before) for after, before in zip(credits, [credit, *credits], strict=False)),
        ]
        m.d.comb += [
            self.code.address.lane.eq(self.command.lane),
            self.code.address.word.eq(self.command.code_word),
            self.code.address.step.eq(self.command.step),
            shared.number.eq(self.number),
            shared.command.eq(read),
            shared.sum.eq(self.credit.data),
            shared.code.eq(self.code.data),
            shared.activity.eq(self.activity),
            credit_filter.credit.eq(Mux(arrived.shared, shared.credit, credits[-1])),
            self.saturated.eq(shared.saturated),
        ]
