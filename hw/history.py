"""Spike histories: for each hidden neuron the time steps of the sample in which it spiked."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from opzo.hw.scanner import spike_layout
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.network import Limits


class HistoryMemory(wiring.Component):
    """Set bit ``step`` of a neuron's history at each spike, and clear the others at its first one in a sample.

    Memory word: bit t for step t; address: neuron. Read-modify-write, a spike a cycle, also of the same neuron in
    consecutive cycles. Golden twin: ``opzo.sim.golden.spikes.update_history``.

    Parameters
    ----------
    limits : Limits
        ``words * lanes`` neurons.

    Members
    -------
    spike : In(spike_layout)
        Strobe; its history is written within 3 cycles.
    index : In
        Neuron whose ``history`` is there one cycle later, where no spike came in the cycle of ``index``.
    history : Out(8)
    pending : Out(1)
        A spike is on its way into the memory.
    """

    spike: data.View
    index: Signal
    history: Signal
    pending: Signal

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        neuron = spike_layout(limits)["neuron"].shape
        super().__init__(
            {
                "spike": In(spike_layout(limits)),
                "index": In(neuron),
                "history": Out(HISTORY_STEPS),
                "pending": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        neuron = spike_layout(self.limits)["neuron"].shape
        memory: Memory = Memory(shape=HISTORY_STEPS, depth=1 << neuron, init=[])
        m.submodules.memory = memory
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            read.addr.eq(Mux(self.spike.valid, self.spike.neuron, self.index)),
            self.history.eq(read.data),
        ]

        # Stages: 0 reading, 1 old history at the memory's output, 2 writing, 3 and 4 written.
        valid = [self.spike.valid, *(Signal(name=f"valid_{n}") for n in range(1, 4))]
        address = [self.spike.neuron, *(Signal(neuron, name=f"address_{n}", reset_less=True) for n in range(1, 4))]
        old = Signal(HISTORY_STEPS, reset_less=True)
        first = [self.spike.first, *(Signal(name=f"first_{n}", reset_less=True) for n in range(1, 3))]
        step = [self.spike.step, *(Signal(HISTORY_STEPS, name=f"step_{n}", reset_less=True) for n in range(1, 3))]
        # What stage 0 read was too old where one of the two spikes before it has the same neuron.
        same_1, same_2 = Signal(reset_less=True), Signal(reset_less=True)
        new, new_1, new_2 = (Signal(HISTORY_STEPS, name=f"new_{n}", reset_less=True) for n in range(3))
        for n in range(3):
            m.d.sync += [valid[n + 1].eq(valid[n]), address[n + 1].eq(address[n])]
        m.d.sync += [
            first[1].eq(first[0]),
            first[2].eq(first[1]),
            step[1].eq(1 << step[0]),
            step[2].eq(step[1]),
            old.eq(read.data),
            same_1.eq(valid[2] & (address[1] == address[2])),
            same_2.eq(valid[3] & (address[1] == address[3])),
            new_1.eq(new),
            new_2.eq(new_1),
        ]
        m.d.comb += [
            new.eq(Mux(first[2], 0, Mux(same_1, new_1, Mux(same_2, new_2, old))) | step[2]),
            write.addr.eq(address[2]),
            write.data.eq(new),
            write.en.eq(valid[2]),
            self.pending.eq(valid[0] | valid[1] | valid[2]),
        ]
        return m
