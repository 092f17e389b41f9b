"""Memory port: rows of the memories, from and to the host."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.input.traces import ENTRY
from opzo.hw.interface import EVENT, MEMORY_COMMAND
from opzo.hw.lanes.lane_command import STAGES, lane_command
from opzo.hw.lib.record import record
from opzo.spec.formats import MEMBRANE, SPIKE_INPUT
from opzo.spec.memories import Space
from opzo.spec.network import Limits

WORD = 16
ADDRESS_BITS = EVENT["address"].width


class MemoryPort(wiring.Component):
    """Move one row between the host and the lanes through the chain, or out of the traces.

    Members
    -------
    enable : In(1)
        The engine is idle.
    busy : Out(1)
        A row is under way.
    command, write, read
        As in CoreSignature.
    lane_command : Out(lane_command)
        To the lanes, a cycle late: valid from the second cycle of ``busy`` on.
    shift : Out(1), chain_in : Out
        To the lanes.
    chain : In(signed)
        End of the chain.
    trace_index : Out, neuron_trace, input_trace : In(ENTRY)
        Of hidden neurons and inputs, answered one cycle later.
    """

    command: stream.Interface
    write: stream.Interface
    read: stream.Interface
    enable: Signal
    busy: Signal
    lane_command: data.View
    shift: Signal
    chain_in: Signal
    chain: Signal
    trace_index: Signal
    neuron_trace: data.View
    input_trace: data.View

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        lane = (limits.lanes - 1).bit_length()
        index = max((max(limits.words, 2) - 1).bit_length() + lane, ADDRESS_BITS)
        super().__init__(
            {
                "enable": In(1),
                "busy": Out(1),
                "command": In(stream.Signature(MEMORY_COMMAND)),
                "write": In(stream.Signature(WORD)),
                "read": Out(stream.Signature(WORD)),
                "lane_command": Out(lane_command(limits)),
                "shift": Out(1),
                "chain_in": Out(MEMBRANE.width),
                "chain": In(signed(MEMBRANE.width)),
                "trace_index": Out(index),
                "neuron_trace": In(ENTRY),
                "input_trace": In(ENTRY),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        request = record(MEMORY_COMMAND, "request")
        lane = Signal(range(self._limits.lanes))
        # Potentials come into the chain one by one, all else at once.
        settled = STAGES + 1 + self._limits.lanes_per_group
        wait = Signal(range(settled + 1))
        lane_bits = (self._limits.lanes - 1).bit_length()
        last = lane == self._limits.lanes - 1
        odd = request.address[0]
        weights = request.space == Space.WEIGHTS

        command = Signal.like(self.lane_command)
        m.d.comb += [
            self.trace_index.eq(lane | (request.address << lane_bits)),
            command.address.eq(request.address),
            command.word.eq(request.address >> 1),
            # A row is read as the sum of one spike.
            command.first.eq(1),
            command.operand.eq(SPIKE_INPUT),
        ]
        m.d.sync += self.lane_command.eq(command)
        with m.Switch(request.space):
            with m.Case(Space.HISTORY):
                m.d.comb += self.read.p.eq(self.neuron_trace)
            with m.Case(Space.INPUT_HISTORY):
                m.d.comb += self.read.p.eq(self.input_trace)
            with m.Case(Space.MEMBRANE):
                m.d.comb += self.read.p.eq(Mux(odd, self.chain >> WORD, self.chain))
            with m.Default():
                m.d.comb += self.read.p.eq(self.chain)

        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(self.enable)
                m.d.sync += [request.eq(self.command.p), lane.eq(0)]
                with m.If(self.command.valid & self.enable):
                    with m.If(self.command.p.write):
                        m.next = "GATHER"
                    with m.Else():
                        m.next = "LOAD"
            with m.State("LOAD"):
                with m.Switch(request.space):
                    with m.Case(Space.WEIGHTS):
                        m.d.comb += [command.integrate.eq(1), command.load_row.eq(1)]
                    with m.Case(Space.LFSR):
                        m.d.comb += [command.load_low.eq(~odd), command.load_high.eq(odd)]
                    with m.Case(Space.MEMBRANE):
                        m.d.comb += command.load_membrane.eq(1)
                m.d.sync += wait.eq(settled)
                m.next = "WAIT"
            with m.State("WAIT"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += self.read.valid.eq(1)
                with m.If(self.read.ready):
                    m.d.comb += self.shift.eq(1)
                    m.d.sync += [lane.eq(lane + 1), wait.eq(1)]
                    m.next = "WAIT"
                    with m.If(last):
                        m.next = "IDLE"
            with m.State("GATHER"):
                m.d.comb += [self.write.ready.eq(1), self.shift.eq(self.write.valid)]
                with m.If(self.write.valid):
                    m.d.sync += [self.chain_in.eq(self.write.p), lane.eq(lane + 1), wait.eq(1)]
                    with m.If(last):
                        m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.next = "STORE"
            with m.State("STORE"):
                m.d.comb += [
                    command.store_row.eq(weights),
                    command.store_low.eq(~weights & ~odd),
                    command.store_high.eq(~weights & odd),
                ]
                m.d.sync += wait.eq(STAGES + 1)
                m.next = "FINISH"
            with m.State("FINISH"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.next = "IDLE"
        m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
        return m
