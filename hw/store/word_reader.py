"""Reads of any length from the memory of the sample store."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.store.memory import MOST_WORDS, WORD_BITS, command_layout

READ_WORD = data.StructLayout({"word": WORD_BITS, "last": 1})
"""A word, and whether it is the last one of its read."""


class ReadSignature(wiring.Signature):
    """A read of ``words`` words (1 or more) from ``address`` on, directions as its user sees them.

    ``start`` is a strobe, with address and words; the next one comes when ``data`` has given the last word.
    """

    def __init__(self, bits: int) -> None:
        super().__init__(
            {
                "start": Out(1),
                "address": Out(bits),
                "words": Out(bits + 1),
                "data": In(stream.Signature(READ_WORD)),
            }
        )


class WordReader(wiring.Component):
    """Read words by commands of up to MOST_WORDS.

    Parameters
    ----------
    bits : int
        Bits of an address.

    Members
    -------
    request : In(ReadSignature)
    command : Out(stream), words : In(stream)
        Commands and read words of `StoreMemorySignature`.
    """

    request: Any
    command: Any
    words: Any

    def __init__(self, bits: int) -> None:
        super().__init__(
            {
                "request": In(ReadSignature(bits)),
                "command": Out(stream.Signature(command_layout(bits))),
                "words": In(stream.Signature(WORD_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        request, command = self.request, self.command
        # Words that no command has asked for, and words that were not given to the user.
        unasked = Signal.like(request.words)
        missing = Signal.like(request.words)
        last = Signal()
        many = unasked > MOST_WORDS
        m.d.comb += [
            command.p.words.eq(Mux(many, MOST_WORDS, unasked)),
            request.data.valid.eq(self.words.valid),
            request.data.p.word.eq(self.words.p),
            request.data.p.last.eq(last),
            self.words.ready.eq(request.data.ready),
        ]
        with m.If(request.start):
            m.d.sync += [
                command.p.address.eq(request.address),
                command.valid.eq(1),
                unasked.eq(request.words),
                missing.eq(request.words),
                last.eq(request.words == 1),
            ]
        with m.Else():
            with m.If(command.valid & command.ready):
                m.d.sync += [
                    command.p.address.eq(command.p.address + MOST_WORDS),
                    unasked.eq(unasked - MOST_WORDS),
                    command.valid.eq(many),
                ]
            with m.If(request.data.valid & request.data.ready):
                m.d.sync += [missing.eq(missing - 1), last.eq(missing == 2)]
        return m
