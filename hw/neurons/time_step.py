"""Time step of a neuron: input current, noise sign and firing, with what is stored of them."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lanes.lane_command import SUM, AfterWord
from opzo.hw.lib.check import check
from opzo.hw.lib.saturate import Saturate
from opzo.hw.neurons.fire import Fire
from opzo.hw.neurons.neuron_state import StateSignatures
from opzo.hw.neurons.walk import StagesSignature, is_use, set_address
from opzo.spec.formats import ALPHA_BITS, MEMBRANE
from opzo.spec.geometry import CELL_BITS
from opzo.spec.limits import Limits
from opzo.spec.neurons import LEAK_BITS


class TimeStep(wiring.Component):
    """Advance neurons by one time step (FIRE), or store their input currents (STORE), one neuron a cycle.

    Stages: 0 state is read; 1 sum and state; 2 input current and potential; 3 potential before the reset; 4 spike. The
    sign of the noise is drawn in even steps and negated in odd ones; without noise the stored sign stays as it is.
    Behind a pool (``pool``) the sum counts quarters. A device that only infers has no noise and no spike codes. Golden
    twin: ``opzo.sim.golden.fire.fire``.

    Parameters
    ----------
    limits : Limits
    size : int
        Lanes of the group.

    Members
    -------
    stages : In(StagesSignature)
    sum : In(SUM)
        At stage 1: sum of the lane, and sign drawn in it.
    exists : In(1)
        At stage 3: the lane holds a neuron of the word.
    alpha : In
        Noise amplitude, MEMBRANE without a sign; constant during a sample.
    membrane, current : Out(MemorySignature), code : Out(WriteSignature)
        Memories of `NeuronState`.
    spike, negative, saturated : Out(1)
        At stage 4: spike, noise sign of the pair's even step, whether current or potential saturated.
    """

    stages: Any
    sum: data.View
    exists: Signal
    alpha: Signal
    membrane: Any
    current: Any
    code: Any
    spike: Signal
    negative: Signal
    saturated: Signal

    def __init__(self, limits: Limits, size: int) -> None:
        state = StateSignatures(limits, size)
        self._convolutions, self._learning = limits.gradients > 0, limits.learning
        members = {
            "stages": In(StagesSignature(limits, size)),
            "sum": In(SUM),
            "exists": In(1),
            "membrane": Out(state.membrane),
            "current": Out(state.current),
            "spike": Out(1),
            "saturated": Out(1),
        }
        if limits.learning:
            members |= {"alpha": In(ALPHA_BITS), "code": Out(state.code.write), "negative": Out(1)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        stages, membrane = self.stages.at, self.membrane.read.data
        commands = [stage.command for stage in stages]
        m.submodules.current = current = Saturate(SUM["value"].width, MEMBRANE.width)
        m.submodules.fire = fire = Fire()
        i, v = (Signal(signed(MEMBRANE.width), name=name, reset_less=True) for name in ("i", "v"))
        # Bit n is that of stage n + 2.
        saturated = Signal(3, reset_less=True)
        fires = is_use(stages[4], AfterWord.FIRE)
        m.d.comb += [
            *set_address(self.membrane.read.address, stages[0]),
            *set_address(self.current.read.address, stages[0]),
            current.i.eq(self._average(commands[1])),
        ]
        m.d.sync += [
            i.eq(Mux(commands[1].kept, self.current.read.data, current.o)),
            v.eq(Mux(commands[1].fresh, 0, membrane.v)),
            saturated.eq(Cat(current.saturated & ~commands[1].kept, saturated[0], saturated[1] & self.exists)),
        ]
        m.d.comb += [
            self.current.write.en.eq(is_use(stages[2], AfterWord.STORE)),
            *set_address(self.current.write.address, stages[2]),
            self.current.write.data.eq(i),
            fire.v.eq(v),
            fire.current.eq(i),
            fire.leak.eq(commands[2].neuron[:LEAK_BITS]),
            fire.to_zero.eq(commands[3].neuron[LEAK_BITS:]),
            fire.valid.eq(self.exists),
            self.membrane.write.en.eq(fires),
            *set_address(self.membrane.write.address, stages[4]),
            self.membrane.write.data.v.eq(fire.v_next),
            self.spike.eq(fire.spike),
            self.saturated.eq(
                (fires & (fire.saturated | saturated[2])) | (is_use(stages[4], AfterWord.READOUT) & saturated[2])
            ),
        ]
        if self._learning:
            self._learn(m, commands, fire, fires)
        reads, address = is_use(stages[0], AfterWord.FIRE), self.membrane.read.address
        pending = [
            is_use(stage, AfterWord.FIRE) & (stage.lane == address.lane) & (stage.command.word == address.word)
            for stage in stages[1:5]
        ]
        check(m, "membrane", ~(reads & Cat(pending).any()), "a potential is read while a new one is computed")
        return m

    def _learn(self, m: Module, commands: list[Any], fire: Fire, fires: Value) -> None:
        """Noise of the comparison, and what credits need of a spike."""
        # Bit n is that of stage n + 2.
        negatives = Signal(3, reset_less=True)
        drawn = commands[1].noise & ~commands[1].odd
        negative = Mux(drawn, self.sum.negative, self.membrane.read.data.negative & ~commands[1].fresh)
        m.d.sync += negatives.eq(Cat(negative, negatives))
        m.d.comb += [
            fire.alpha.eq(self.alpha),
            fire.noise.eq(commands[3].noise),
            fire.negative.eq(negatives[1] ^ commands[3].odd),
            self.membrane.write.data.negative.eq(negatives[2]),
            self.code.en.eq(fires),
            *set_address(self.code.address, self.stages.at[4]),
            self.code.data.surrogate.eq(fire.surrogate),
            self.code.data.spike.eq(fire.spike),
            self.negative.eq(negatives[2]),
        ]
        if self._convolutions:
            m.d.comb += self.code.data.negative.eq(negatives[2])

    def _average(self, command: Any) -> Value:
        """Sum of the lane, averaged over a cell where the layer is behind a pool."""
        value: Value = self.sum.value
        return Mux(command.pool, value >> CELL_BITS, value) if self._convolutions else value
