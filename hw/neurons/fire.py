"""Fire: one time step of a leaky integrate-and-fire neuron."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.saturate import Saturate
from opzo.spec.formats import ALPHA_BITS, MEMBRANE, SURROGATE_OFF, SURROGATE_SHIFT, THRESHOLD
from opzo.spec.neurons import LEAK_BITS, Leak


class Fire(wiring.Component):
    """Leak, integrate, add noise for the comparison, reset by subtraction or to zero (paper eq. 1).

    Latency FIRE_CYCLES, one neuron per cycle. Golden twin: ``opzo.sim.golden.fire.fire``.

    Members
    -------
    v, current : In(signed)
        Membrane potential after the last reset, and input current, MEMBRANE.
    leak : In
        With ``v``: number of the leak.
    alpha : In
        Noise amplitude; constant during a sample.
    noise, negative : In(1)
        One cycle after ``v``: noise is added, and it is negative.
    valid : In(1)
        One cycle after ``v``: the lane holds a neuron. If not, ``spike`` and ``saturated`` are 0.
    to_zero : In(1)
        One cycle after ``v``: a spike sets the potential to 0.
    v_next : Out(signed)
        Membrane potential after the reset, MEMBRANE.
    spike, saturated : Out(1)
        With ``v_next``.
    surrogate : Out
        With ``v_next``: code 0..8 of the surrogate derivative.
    """

    v: In(signed(MEMBRANE.width))
    current: In(signed(MEMBRANE.width))
    leak: In(LEAK_BITS)
    alpha: In(ALPHA_BITS)
    noise: In(1)
    negative: In(1)
    valid: In(1)
    to_zero: In(1)
    v_next: Out(signed(MEMBRANE.width))
    spike: Out(1)
    surrogate: Out(range(SURROGATE_OFF + 1))
    saturated: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.saturate = saturate = Saturate(MEMBRANE.width + 1, MEMBRANE.width)
        u = Signal(signed(MEMBRANE.width), reset_less=True)
        saturated = Signal(reset_less=True)
        # Potential after the leak: difference of two terms, so that one subtraction serves all leaks.
        whole = Signal(signed(MEMBRANE.width))
        part = Signal(signed(MEMBRANE.width - 1))
        decayed = Signal(signed(MEMBRANE.width))
        m.d.comb += whole.eq(self.v)
        with m.Switch(self.leak):
            for leak in Leak:
                with m.Case(leak):
                    if leak is Leak.HALF:
                        m.d.comb += whole.eq(self.v >> 1)
                    elif leak.shift:
                        m.d.comb += part.eq(self.v >> leak.shift)
        m.d.comb += [decayed.eq(whole - part), saturate.i.eq(decayed + self.current)]
        m.d.sync += [u.eq(saturate.o), saturated.eq(saturate.saturated)]

        # Both differences at once, so that the magnitude does not take two subtractions.
        distance = Signal(signed(MEMBRANE.width + 1))
        opposite = Signal(signed(MEMBRANE.width + 1))
        noisy = Signal(signed(MEMBRANE.width + 2))
        magnitude = Signal(MEMBRANE.width + 1)
        quarters = Signal(MEMBRANE.width + 1 - SURROGATE_SHIFT)
        spike = Signal()
        amplitude = Mux(self.noise, self.alpha, 0)
        m.d.comb += [
            distance.eq(u - THRESHOLD),
            opposite.eq(THRESHOLD - u),
            noisy.eq(Mux(self.negative, distance - amplitude, distance + amplitude)),
            spike.eq((noisy >= 0) & self.valid),
            magnitude.eq(Mux(distance < 0, opposite, distance)),
            quarters.eq(magnitude >> SURROGATE_SHIFT),
        ]
        m.d.sync += [
            self.v_next.eq(Mux(spike, Mux(self.to_zero, 0, distance), u)),
            self.spike.eq(spike),
            self.surrogate.eq(Mux(quarters >= SURROGATE_OFF, SURROGATE_OFF, quarters)),
            self.saturated.eq(saturated & self.valid),
        ]
        return m
