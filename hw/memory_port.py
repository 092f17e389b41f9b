"""Memory port: rows of the memories, from and to the host."""

from typing import Any

from amaranth import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, Signature

from opzo.hw.input.traces import ENTRY
from opzo.hw.interface import MEMORY_COMMAND
from opzo.hw.lanes.lane_command import lane_command
from opzo.hw.lib.check import check_stream
from opzo.hw.lib.record import record
from opzo.hw.timing import PORT_STORE, port_load
from opzo.spec.formats import MEMBRANE, SPIKE_INPUT
from opzo.spec.limits import Limits
from opzo.spec.memories import Space

WORD = 16


class RowPortSignature(Signature):
    """Rows of the memories, from and to the host; streams as in `CoreSignature`.

    ``enable``: rows may be moved, no run is in progress; ``busy``: one is being moved.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "command": Out(stream.Signature(MEMORY_COMMAND)),
                "write": Out(stream.Signature(WORD)),
                "read": In(stream.Signature(WORD)),
                "enable": Out(1),
                "busy": In(1),
            }
        )


class MemoryPort(wiring.Component):
    """Move one row between the host and the lanes through the shift chain, or from the traces to the host.

    A row of gradients is the low or high halves of a row-word. In a device that only infers there are weights and
    potentials to read; a command to write is dropped, and no words are taken.

    Members
    -------
    rows : In(RowPortSignature)
    lane_command : Out(lane_command)
        To the lanes; valid from the second cycle of ``busy`` on.
    shift : Out(1), chain_in : Out
        To the lanes.
    chain : In(signed)
        End of the chain.
    trace_index : Out, neuron_trace, input_trace : In(ENTRY)
        Of hidden neurons and inputs, answered one cycle later.
    """

    rows: Any
    lane_command: data.View
    shift: Signal
    chain_in: Signal
    chain: Signal
    trace_index: Signal
    neuron_trace: data.View
    input_trace: data.View

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        index = max(limits.neuron_bits, limits.input_bits)
        super().__init__(
            {
                "rows": In(RowPortSignature()),
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
        rows = self.rows
        request = record(MEMORY_COMMAND, "request")
        lane = Signal(range(self._limits.lanes))
        settled = port_load(self._limits)
        wait = Signal(range(settled + 1))
        last = lane == self._limits.lanes - 1
        odd = request.address[0]

        command = Signal.like(self.lane_command)
        m.d.comb += [
            self.trace_index.eq(lane | (request.address << self._limits.lane_bits)),
            command.address.eq(request.address),
            command.word.eq(request.address >> 1),
            # A row is read as the sum of one spike.
            command.first.eq(1),
            command.operand.eq(SPIKE_INPUT),
        ]
        gradients: Value = Const(0)
        learning = self._limits.learning
        moves_gradients = self._limits.gradients > 0 and learning
        if moves_gradients:
            gradients = request.space == Space.GRADIENTS
            m.d.comb += command.gradient_address.eq(request.address >> 1)
        m.d.sync += self.lane_command.eq(command)
        with m.Switch(request.space):
            if learning:
                with m.Case(Space.HISTORY):
                    m.d.comb += rows.read.p.eq(self.neuron_trace)
                with m.Case(Space.INPUT_HISTORY):
                    m.d.comb += rows.read.p.eq(self.input_trace)
            with m.Case(Space.MEMBRANE):
                m.d.comb += rows.read.p.eq(Mux(odd, self.chain >> WORD, self.chain))
            with m.Default():
                m.d.comb += rows.read.p.eq(self.chain)

        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += rows.command.ready.eq(rows.enable)
                m.d.sync += [request.eq(rows.command.p), lane.eq(0)]
                with m.If(rows.command.valid & rows.enable):
                    with m.If(~rows.command.p.write):
                        m.next = "LOAD"
                    if learning:
                        with m.Else():
                            m.next = "GATHER"
            with m.State("LOAD"):
                with m.Switch(request.space):
                    with m.Case(Space.WEIGHTS):
                        m.d.comb += [command.integrate.eq(1), command.load_row.eq(1)]
                    if learning:
                        with m.Case(Space.LFSR):
                            m.d.comb += [command.load_low.eq(~odd), command.load_high.eq(odd)]
                    with m.Case(Space.MEMBRANE):
                        m.d.comb += command.load_membrane.eq(1)
                if moves_gradients:
                    m.d.comb += [
                        command.load_gradient_low.eq(gradients & ~odd),
                        command.load_gradient_high.eq(gradients & odd),
                    ]
                m.d.sync += wait.eq(settled)
                m.next = "WAIT"
            with m.State("WAIT"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += rows.read.valid.eq(1)
                with m.If(rows.read.ready):
                    m.d.comb += self.shift.eq(1)
                    m.d.sync += [lane.eq(lane + 1), wait.eq(1)]
                    m.next = "WAIT"
                    with m.If(last):
                        m.next = "IDLE"
            if learning:
                self._store(m, request, command, lane, wait)
        m.d.comb += rows.busy.eq(~fsm.ongoing("IDLE"))
        for name in ("command", "write", "read"):
            check_stream(m, name, getattr(rows, name))
        return m

    def _store(self, m: Module, request: data.View, command: Any, lane: Signal, wait: Signal) -> None:
        """States that take a row from the host and store it."""
        rows, odd = self.rows, request.address[0]
        weights, gradients = (request.space == space for space in (Space.WEIGHTS, Space.GRADIENTS))
        last = lane == self._limits.lanes - 1
        with m.State("GATHER"):
            m.d.comb += [rows.write.ready.eq(1), self.shift.eq(rows.write.valid)]
            with m.If(rows.write.valid):
                m.d.sync += [self.chain_in.eq(rows.write.p), lane.eq(lane + 1), wait.eq(1)]
                with m.If(last):
                    m.next = "SETTLE"
        with m.State("SETTLE"):
            m.d.sync += wait.eq(wait - 1)
            with m.If(wait == 0):
                m.next = "STORE"
        with m.State("STORE"):
            states = ~weights & ~gradients
            m.d.comb += [
                command.store_row.eq(weights),
                command.store_low.eq(states & ~odd),
                command.store_high.eq(states & odd),
            ]
            if self._limits.gradients:
                m.d.comb += [
                    command.store_gradient_low.eq(gradients & ~odd),
                    command.store_gradient_high.eq(gradients & odd),
                ]
            m.d.sync += wait.eq(PORT_STORE)
            m.next = "FINISH"
        with m.State("FINISH"):
            m.d.sync += wait.eq(wait - 1)
            with m.If(wait == 0):
                m.next = "IDLE"
