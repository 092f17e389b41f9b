"""Runs of the samples of a block: read from the store, checked, and given to the core."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.decode import decode_input
from opzo.hw.interface import EVENT, RUN
from opzo.hw.lib.words import WordsToBytes
from opzo.hw.link.event_decoder import EventDecoder
from opzo.hw.link.replies import STATUS_BITS
from opzo.hw.store.block import BLOCK
from opzo.hw.store.event_shift import EventShift
from opzo.hw.store.memory import WORD_BITS
from opzo.hw.store.order import PLACE
from opzo.hw.store.word_reader import ReadSignature
from opzo.spec.commands import Status
from opzo.spec.limits import Limits
from opzo.spec.registers import Reg
from opzo.spec.store import ADDRESS_BYTES, RUN_HEADER

HEADER = data.StructLayout({field.name: field.bits for field in RUN_HEADER.fields})
NETWORK = data.StructLayout({"kind": Reg.INPUT.bits, "inputs": Reg.INPUTS.bits, "classes": Reg.CLASSES.bits})
"""Registers INPUT, INPUTS and CLASSES."""
GIVEN = data.StructLayout({"label": HEADER["label"].width, "last": 1})
"""A run that was given to the core: its label, and whether it is the last one of its sample."""


class SampleReader(wiring.Component):
    """Read the samples that ``place`` names and give their runs to the core.

    Golden twin: ``opzo.sim.golden.store.GoldenStore``. While the engine works on a run the next one is decoded; its
    events wait in the event buffer of the core. A reset of the unit begins a block.

    Parameters
    ----------
    limits : Limits
        Limits of the device.

    Members
    -------
    block : In(BLOCK), network : In(NETWORK)
        Stable from two cycles before ``set_network``.
    set_network : In(1)
        Strobe after a reset: ``network`` is valid.
    place : In(stream of PLACE)
    read : Out(ReadSignature)
    event, run, discard
        Input port of the core.
    given : Out(stream of GIVEN)
        The runs of the core, in order; ready in the cycle in which one is offered, or the run waits.
    ended : Out(1), status : Out
        All runs were given, or a sample was refused with ``status``; until the next reset.
    """

    block: Any
    network: Any
    set_network: Any
    place: Any
    read: Any
    event: Any
    run: Any
    discard: Any
    given: Any
    ended: Any
    status: Any

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "block": In(BLOCK),
                "network": In(NETWORK),
                "set_network": In(1),
                "place": In(stream.Signature(PLACE)),
                "read": Out(ReadSignature(limits.store_bits)),
                "event": Out(stream.Signature(EVENT)),
                "run": Out(stream.Signature(RUN)),
                "discard": Out(1),
                "given": Out(stream.Signature(GIVEN)),
                "ended": Out(1),
                "status": Out(STATUS_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        limits, block, network, read = self._limits, self.block, self.network, self.read
        m.submodules.to_bytes = to_bytes = WordsToBytes(WORD_BITS // 8)
        m.submodules.decoder = decoder = EventDecoder(limits)
        m.submodules.shift = shift = EventShift(limits)
        connect(m, to_bytes.o, decoder.data)
        connect(m, decoder.event, shift.i)
        connect(m, shift.o, flipped(self.event))
        kind = decode_input(network.kind)
        place: Any = Signal(PLACE)
        # The two words that were read last.
        pair = Signal(8 * ADDRESS_BYTES)
        header: Any = data.View(HEADER, pair)
        run: Any = Signal(HEADER)
        address = Signal(8 * ADDRESS_BYTES)
        words = Signal(HEADER["size"].width)
        end = Signal(len(address) + 1)
        beyond = Signal()
        bad_label = Signal()
        fresh = Signal()
        filled = Signal()
        begins = Signal()
        starts_entry, starts_header, starts_data = (
            Signal(name=f"starts_{name}") for name in ("entry", "header", "data")
        )
        m.d.comb += [
            decoder.kind.eq(network.kind),
            decoder.bound.eq(network.inputs),
            decoder.bound_en.eq(self.set_network),
            decoder.restart.eq(begins),
            shift.restart.eq(begins),
            shift.move.down.eq(place.down),
            shift.move.right.eq(place.right),
            *(shift.move[name].eq(block[name]) for name in ("height", "row", "pixel")),
            to_bytes.i.p.word.eq(read.data.p.word),
            # The last byte of an odd number of them is not there.
            to_bytes.i.p.last.eq(~(read.data.p.last & run.size[0])),
            read.start.eq(starts_entry | starts_header | starts_data),
            self.run.p.train.eq(block.train),
            self.run.p.fresh.eq(fresh),
            self.run.p.label.eq(run.label),
            self.given.p.label.eq(run.label),
            self.given.p.last.eq(run.last),
        ]
        with m.If(self.set_network):
            m.d.sync += shift.inputs.eq(Mux(network.inputs > limits.inputs, limits.inputs, network.inputs))
        with m.If(read.data.valid & read.data.ready):
            m.d.sync += pair.eq(Cat(pair[WORD_BITS:], read.data.p.word))
        with m.If(self.given.valid | self.discard):
            m.d.sync += filled.eq(0)
        with m.Elif(self.event.valid & self.event.ready):
            m.d.sync += filled.eq(1)
        table_place = (block.table >> 1) + (place.sample << 1)
        m.d.comb += [read.address.eq(address >> 1), read.words.eq(2)]
        with m.If(starts_entry):
            m.d.comb += read.address.eq(table_place)
        with m.If(starts_data):
            m.d.comb += read.words.eq(words)
        m.d.sync += [
            # Of what is read at ``address``.
            end.eq(address + (words << 1)),
            beyond.eq(address[0] | (end > limits.store)),
            bad_label.eq((run.label >= network.classes) | (run.label >= limits.classes)),
        ]
        errors = {
            Status.BAD_EVENT: decoder.bad_event,
            Status.FULL: decoder.full,
            Status.BAD_STEPS: decoder.bad_steps & kind.events,
            Status.BAD_LABEL: bad_label,
        }

        def fail(status: Status) -> None:
            m.d.sync += self.status.eq(status)
            m.next = "END"

        with m.FSM():
            with m.State("SAMPLE"):
                m.d.comb += self.place.ready.eq(1)
                m.d.sync += [place.eq(self.place.p), fresh.eq(1)]
                with m.If(self.place.valid):
                    m.next = "ENTRY"
            with m.State("ENTRY"):
                m.d.comb += starts_entry.eq(1)
                m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.d.comb += read.data.ready.eq(1)
                with m.If(read.data.valid & read.data.p.last):
                    m.next = "TAKE_ADDRESS"
            with m.State("TAKE_ADDRESS"):
                m.d.sync += [address.eq(pair), words.eq(RUN_HEADER.size // 2)]
                m.next = "SUM_HEADER"
            # Registers follow each other: the end of what is read, then whether it is in the store.
            with m.State("SUM_HEADER"):
                m.next = "CHECK_HEADER"
            with m.State("CHECK_HEADER"):
                m.next = "HEADER"
            with m.State("HEADER"):
                with m.If(beyond):
                    fail(Status.BAD_ADDRESS)
                with m.Else():
                    m.d.comb += starts_header.eq(1)
                    m.next = "SIZE"
            with m.State("SIZE"):
                m.d.comb += read.data.ready.eq(1)
                with m.If(read.data.valid & read.data.p.last):
                    m.next = "TAKE_SIZE"
            with m.State("TAKE_SIZE"):
                m.d.comb += begins.eq(1)
                m.d.sync += [
                    run.eq(header),
                    address.eq(address + RUN_HEADER.size),
                    words.eq((header.size >> 1) + header.size[0]),
                ]
                m.next = "SUM_DATA"
            with m.State("SUM_DATA"):
                m.next = "CHECK_DATA"
            with m.State("CHECK_DATA"):
                m.next = "DATA"
            with m.State("DATA"):
                with m.If(beyond):
                    fail(Status.BAD_ADDRESS)
                with m.Elif(kind.values & run.size[0]):
                    fail(Status.BAD_LENGTH)
                with m.Elif(words == 0):
                    m.next = "FINISH"
                with m.Else():
                    m.d.comb += starts_data.eq(1)
                    m.next = "DECODE"
            with m.State("DECODE"):
                m.d.comb += [to_bytes.i.valid.eq(read.data.valid), read.data.ready.eq(to_bytes.i.ready)]
                with m.If(read.data.valid & read.data.ready & read.data.p.last):
                    m.next = "FINISH"
            with m.State("FINISH"):
                with m.If(~to_bytes.o.valid & ~decoder.busy & ~decoder.event.valid & ~shift.busy):
                    m.next = "JUDGE"
            with m.State("JUDGE"):
                m.next = "SUBMIT"
                # The first of several errors counts.
                for error, found in reversed(errors.items()):
                    with m.If(found):
                        fail(error)
            with m.State("SUBMIT"):
                m.d.comb += [
                    self.run.valid.eq(self.given.ready),
                    self.given.valid.eq(self.given.ready & self.run.ready),
                ]
                with m.If(self.given.ready & self.run.ready):
                    m.d.sync += [address.eq(end), words.eq(RUN_HEADER.size // 2), fresh.eq(0)]
                    m.next = "SUM_HEADER"
                    with m.If(run.last[0]):
                        m.next = "SAMPLE"
                        with m.If(place.last):
                            m.next = "END"
            with m.State("END"):
                m.d.comb += self.ended.eq(1)
                # Without events the core may have no half of its buffer open.
                m.d.comb += self.discard.eq(filled & (self.status != Status.OK))
        return m
