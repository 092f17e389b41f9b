"""Walk over the lanes of a group: one lane a cycle enters the pipeline of the neurons."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lanes.lane_command import AfterWord, word_command
from opzo.hw.lib.check import check
from opzo.hw.lib.record import record
from opzo.hw.neurons.neuron_state import step_address
from opzo.hw.timing import NEURON_CYCLES
from opzo.spec.limits import Limits


def neuron_stage(limits: Limits, size: int) -> data.StructLayout:
    """Layout of a pipeline stage of the neurons of ``size`` lanes.

    - ``valid``: a neuron is in the stage.
    - ``load``: only its potential is read, for the shift chain.
    - ``lane``: its lane in the group.
    - ``command``: command of its word.
    """
    return data.StructLayout({"valid": 1, "load": 1, "lane": range(size), "command": word_command(limits)})


class StagesSignature(wiring.Signature):
    """Pipeline stages of the neurons: ``at[n]`` is stage n, 0 to NEURON_CYCLES, in the layout ``neuron_stage``."""

    def __init__(self, limits: Limits, size: int) -> None:
        super().__init__({"at": Out(neuron_stage(limits, size)).array(NEURON_CYCLES + 1)})


class WordSignature(wiring.Signature):
    """Start of a word, seen from its source.

    Members
    -------
    start : Out(1)
        Strobe: the sums of a word leave the lanes in the next ``size`` cycles, lane after lane.
    load : Out(1)
        Strobe: read the potentials of the word. Not with ``start``, nor within ``size`` cycles of either.
    command : Out(word_command)
        With the strobes.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__({"start": Out(1), "load": Out(1), "command": Out(word_command(limits))})


class LaneWalk(wiring.Component):
    """Send the neurons of a word through the pipeline, from the first lane of the group to the last.

    Parameters
    ----------
    limits : Limits
    size : int
        Lanes of the group.

    Members
    -------
    number : In
        Number of the group in the device; constant.
    word : In(WordSignature)
    next : Out(step_address)
        Place of the neuron that will be in stage 0 in the next cycle; only in a device that learns.
    stages : Out(StagesSignature)
        The first lane is in stage 0 one cycle after ``word.start`` or ``word.load``.
    exists : Out(1)
        At stage 3: the lane holds a neuron of the word.
    """

    number: Signal
    word: Any
    next: data.View
    stages: Any
    exists: Signal

    def __init__(self, limits: Limits, size: int) -> None:
        self._limits, self._size = limits, size
        super().__init__(
            {
                "number": In(range(limits.lanes // size)),
                "word": In(WordSignature(limits)),
                "stages": Out(StagesSignature(limits, size)),
                "exists": Out(1),
                **({"next": Out(step_address(size, limits.words))} if limits.learning else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # A reset ends the walk, but leaves the commands.
        place = data.StructLayout({"valid": 1, "load": 1, "lane": range(self._size)})
        words = [record(word_command(self._limits), f"word_{n}", reset_less=True) for n in range(NEURON_CYCLES + 1)]
        lanes = [record(place, f"lane_{n}") for n in range(NEURON_CYCLES + 1)]
        word, lane = words[0], lanes[0]
        starts = self.word.start | self.word.load
        next_lane = Mux(starts, 0, lane.lane + 1)[: len(lane.lane)]
        with m.If(starts):
            m.d.sync += [word.eq(self.word.command), lane.valid.eq(1), lane.load.eq(self.word.load), lane.lane.eq(0)]
        with m.Elif(lane.valid):
            m.d.sync += [lane.lane.eq(next_lane), lane.valid.eq(lane.lane != self._size - 1)]
        check(m, "strobes", ~(self.word.start & self.word.load), "a word is started and loaded at once")
        check(
            m,
            "words",
            ~(starts & lane.valid & (lane.lane != self._size - 1)),
            "a word starts before the last lane of the word ahead of it",
        )
        for registers in (words, lanes):
            m.d.sync += [after.eq(before) for after, before in zip(registers[1:], registers[:-1], strict=True)]
        for stage, at_lane, at_word in zip(self.stages.at, lanes, words, strict=True):
            m.d.comb += [
                stage.valid.eq(at_lane.valid),
                stage.load.eq(at_lane.load),
                stage.lane.eq(at_lane.lane),
                stage.command.eq(at_word),
            ]
        if self._limits.learning:
            m.d.comb += [
                self.next.lane.eq(next_lane),
                self.next.word.eq(Mux(starts, self.word.command.word, word.word)),
                self.next.step.eq(Mux(starts, self.word.command.step, word.step)),
            ]
        exists = Signal(reset_less=True)
        m.d.sync += exists.eq(Cat(lanes[2].lane, self.number) < words[2].valid_lanes)
        m.d.comb += self.exists.eq(exists)
        return m


def is_use(stage: Any, use: AfterWord) -> Value:
    """Whether the neuron in ``stage`` is there for ``use`` of its sum, as a value of the gateware."""
    result: Value = stage.valid & ~stage.load & (stage.command.after_word == use)
    return result


def set_address(address: data.View, stage: Any) -> list[Any]:
    """Assignments to the fields of ``address`` that make it the place of the neuron in ``stage``."""
    return _set_place(address, stage, stage.command.word)


def set_block_address(address: data.View, stage: Any) -> list[Any]:
    """The same for a memory of block words, which are the words of the neurons without convolutions."""
    command = stage.command
    by_block = "block_word" in dict(command.shape())
    return _set_place(address, stage, command.block_word if by_block else command.word)


def _set_place(address: data.View, stage: Any, word: Any) -> list[Any]:
    # A device that only infers has no memories by time step.
    place = {"lane": stage.lane, "word": word}
    return [address[name].eq(place[name] if name in place else stage.command[name]) for name, _ in address.shape()]
