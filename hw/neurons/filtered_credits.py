"""Filtered credits of a group: credits are read backwards in time and filtered."""

from typing import Any

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lanes.lane_command import filter_command
from opzo.hw.lib.record import record
from opzo.hw.neurons.credit_filter import CreditFilter, filtered_credit
from opzo.hw.neurons.neuron_state import StateSignatures
from opzo.spec.formats import CREDIT
from opzo.spec.network import Limits


class FilteredCredits(wiring.Component):
    """Read and filter credits, one a cycle.

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
        Result of ``command``, 4 cycles later.
    """

    command: data.View
    credit: Any
    readout_credit: Any
    filtered: data.View

    def __init__(self, limits: Limits, size: int) -> None:
        self._limits = limits
        state = StateSignatures(limits, size)
        super().__init__(
            {
                "command": In(filter_command(limits)),
                "credit": Out(state.credit.read),
                "readout_credit": Out(state.readout_credit.read),
                "filtered": Out(filtered_credit(size)),
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
            arrived.eq(read),
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
        m.d.comb += [
            credit_filter.credit.eq(credit),
            credit_filter.en.eq(arrived.valid),
            credit_filter.first.eq(arrived.first),
            credit_filter.frame.eq(arrived.frame),
            self.filtered.credit.eq(credit_filter.filtered),
            self.filtered.factor.eq(credit_filter.factor),
        ]
        return m
