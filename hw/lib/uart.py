"""UART: bytes on two wires."""

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

LEAST_CYCLES = 4
"""Fewest clock cycles of a bit: the receiver finds the middle of a bit to within a cycle."""
DATA_BITS = 8
LEAST_INCREMENT = 512
"""Least increment of the phase, for a rate exact to 0.1 %."""


class BaudRate:
    """Fractional divider: a phase of ``width`` bits that increases by ``increment`` a cycle and wraps once a bit.

    Parameters
    ----------
    clock : float
        Clock in Hz.
    baud : float
        Bits a second; ValueError where a bit lasts less than LEAST_CYCLES clock cycles.
    """

    def __init__(self, clock: float, baud: float) -> None:
        if not 0 < baud * LEAST_CYCLES <= clock:
            raise ValueError(f"a bit must last {LEAST_CYCLES} clock cycles, not {baud:,.0f} baud at {clock:,.0f} Hz")
        self.width = (int(LEAST_INCREMENT * clock / baud) - 1).bit_length()
        self.increment = round((1 << self.width) * baud / clock)

    def phase(self, m: Module) -> tuple[Signal, Signal]:
        """Add a phase to ``m``; returns it, and a strobe in the cycle in which it wraps."""
        phase = Signal(self.width, reset_less=True)
        wraps = Signal()
        m.d.sync += phase.eq(phase + self.increment)
        m.d.comb += wraps.eq((phase + self.increment)[-1])
        return phase, wraps


class UARTReceiver(wiring.Component):
    """Receive bytes, 8N1, least significant bit first.

    Each bit is sampled in its middle, counted from the start bit's edge. A start bit that ends before its middle is
    noise and ignored. After a framing error the line must go high before the next byte is received.

    Members
    -------
    rx : In(1)
        Line, asynchronous.
    o : Out(stream)
        Bytes; a byte is lost if the previous one was not taken in time.
    framing : Out(1)
        Strobe: a stop bit was low; the byte is dropped.
    overrun : Out(1)
        Strobe: a byte was lost.
    """

    rx: In(1, init=1)
    o: Out(stream.Signature(8))
    framing: Out(1)
    overrun: Out(1)

    def __init__(self, rate: BaudRate) -> None:
        self._rate = rate
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.line = FFSynchronizer(self.rx, line, init=1)
        phase, wraps = self._rate.phase(m)
        bits = Signal(DATA_BITS, reset_less=True)
        # A one that shifts down: it reaches bit 0 with the last data bit.
        remaining = Signal(DATA_BITS, reset_less=True)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += remaining.eq(1 << (DATA_BITS - 1))
                with m.If(~line):
                    m.d.sync += phase.eq((1 << (self._rate.width - 1)) + self._rate.increment)
                    m.next = "START"
            with m.State("START"):
                with m.If(wraps):
                    m.next = "DATA"
                    with m.If(line):
                        m.next = "IDLE"
            with m.State("DATA"):
                with m.If(wraps):
                    m.d.sync += [bits.eq(Cat(bits[1:], line)), remaining.eq(remaining >> 1)]
                    with m.If(remaining[0]):
                        m.next = "STOP"
            with m.State("STOP"):
                with m.If(wraps):
                    with m.If(line):
                        m.d.comb += self.overrun.eq(self.o.valid & ~self.o.ready)
                        with m.If(~self.overrun):
                            m.d.sync += [self.o.p.eq(bits), self.o.valid.eq(1)]
                        m.next = "IDLE"
                    with m.Else():
                        m.d.comb += self.framing.eq(1)
                        m.next = "BREAK"
            with m.State("BREAK"):
                with m.If(line):
                    m.next = "IDLE"
        return m


class UARTTransmitter(wiring.Component):
    """Send bytes, 8N1, least significant bit first, without a pause between bytes that arrive in time.

    Members
    -------
    i : In(stream)
        Bytes.
    tx : Out(1)
        Line.
    """

    i: In(stream.Signature(8))
    tx: Out(1, init=1)

    def __init__(self, rate: BaudRate) -> None:
        self._rate = rate
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        phase, wraps = self._rate.phase(m)
        # Data bits and stop bit, then zeros: all zeros once the stop bit is on the line.
        bits = Signal(DATA_BITS + 1)
        active = Signal()
        with m.If(wraps):
            m.d.sync += [self.tx.eq(bits[0] | ~bits.any()), bits.eq(bits >> 1), active.eq(bits.any())]
        with m.If(~active):
            m.d.sync += phase.eq(0)
        m.d.comb += self.i.ready.eq(~active | (wraps & ~bits.any()))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [self.tx.eq(0), bits.eq(Cat(self.i.p, 1)), active.eq(1)]
        return m


class UART(wiring.Component):
    """Bytes from and to a serial line, 8N1.

    Parameters
    ----------
    clock : float
        Clock in Hz.
    baud : float
        Bits a second; ValueError where a bit lasts less than LEAST_CYCLES clock cycles.

    Members
    -------
    rx_pin, tx_pin : In(1), Out(1)
        Lines; the first is asynchronous.
    rx, tx : Out(stream), In(stream)
        Bytes received, and to be sent.
    framing, overrun : Out(1)
        Strobes: a stop bit was missing; a byte was lost because the previous one was not taken.
    """

    rx_pin: In(1, init=1)
    tx_pin: Out(1, init=1)
    rx: Out(stream.Signature(8))
    tx: In(stream.Signature(8))
    framing: Out(1)
    overrun: Out(1)

    def __init__(self, clock: float, baud: float) -> None:
        self._rate = BaudRate(clock, baud)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = UARTReceiver(self._rate)
        m.submodules.transmitter = transmitter = UARTTransmitter(self._rate)
        wiring.connect(m, receiver.o, wiring.flipped(self.rx))
        wiring.connect(m, wiring.flipped(self.tx), transmitter.i)
        m.d.comb += [
            receiver.rx.eq(self.rx_pin),
            self.tx_pin.eq(transmitter.tx),
            self.framing.eq(receiver.framing),
            self.overrun.eq(receiver.overrun),
        ]
        return m
