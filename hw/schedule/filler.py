"""Filler of the credit filters: sends the credits of the next word to the lanes while Learn works on this one."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.decode import decode_input, decode_rule
from opzo.hw.lanes.lane_command import filter_command
from opzo.hw.lanes.selector import ENTRIES
from opzo.hw.registers import CONFIG, LAYERS
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.network import MAX_HIDDEN, Limits
from opzo.spec.registers import READOUT_LAYER

SETTLE = 4
"""Cycles from the last command of a word until it counts as filled in: what is issued from then on comes to the lanes
after the last entry of their tables."""


class FilterFiller(wiring.Component):
    """Command the filters through the words in the order in which Learn takes them: read-out, then layers L .. 1.

    Within a word lane after lane of a group (all groups alike), within a lane from the last time step to the first. A
    lane takes ENTRIES cycles, as long as its tables take to be written: a cycle for each step that a history may have.

    Members
    -------
    config, layers : In
        Settings; constant during a sample.
    start : In(1)
        Strobe: the credits of the read-out are complete.
    hidden_ready : In(1)
        The credits of the hidden layers are complete.
    loaded : In(1)
        Strobe: the lanes have taken the word into use; the next word may be filled in.
    filled : Out(1)
        The lanes hold a word that is not in use, or will before a command issued now gets to them. Falls with
        ``loaded``.
    command : Out(filter_command)
    """

    def __init__(self, limits: Limits) -> None:
        self._size = limits.lanes_per_group
        super().__init__(
            {
                "config": In(CONFIG),
                "layers": In(LAYERS),
                "start": In(1),
                "hidden_ready": In(1),
                "loaded": In(1),
                "filled": Out(1),
                "command": Out(filter_command(limits)),
            }
        )

    config: data.View
    layers: data.View
    start: Signal
    hidden_ready: Signal
    loaded: Signal
    filled: Signal
    command: data.View

    def elaborate(self, platform: object) -> Module:
        if ENTRIES < HISTORY_STEPS:
            raise AssertionError("a lane's credits take longer than its tables")
        m = Module()
        depth = self.config.hidden_layers
        learning = Signal(range(MAX_HIDDEN + 1))
        read_out = Signal()
        layer = Signal(range(MAX_HIDDEN + 1))
        settings = Array(self.layers[n] for n in range(MAX_HIDDEN + 1))[layer]
        # Of the layer that WAIT comes to.
        words, base, frame = Signal.like(settings.words), Signal.like(self.command.word), Signal()
        valid, last_step = Signal(), Signal(range(HISTORY_STEPS))
        word = Signal.like(self.command.word)
        step, next_step = Signal(range(ENTRIES)), Signal(range(ENTRIES))
        lane = Signal.like(self.command.lane)
        last_word = Signal()
        last_layer = Signal()
        m.d.comb += [
            read_out.eq(learning == depth),
            layer.eq(Mux(read_out, READOUT_LAYER, learning)),
            last_word.eq(word == words - 1),
            next_step.eq(step - 1),
            self.command.valid.eq(valid),
            self.command.read_out.eq(read_out),
            self.command.word.eq(base + word),
            self.command.step.eq(step),
            self.command.lane.eq(lane),
            self.command.frame.eq(frame),
            self.command.first.eq(step == last_step),
        ]
        m.d.sync += step.eq(next_step)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [learning.eq(depth), word.eq(0)]
                with m.If(self.start):
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += next_step.eq(ENTRIES - 1)
                m.d.sync += [
                    last_step.eq(self.config.steps - 1),
                    lane.eq(0),
                    words.eq(settings.words),
                    base.eq(Mux(read_out, 0, settings.word_base)),
                    frame.eq((learning == 0) & ~decode_input(self.config.input).events),
                    last_layer.eq((learning == 0) | ~decode_rule(self.config.rule).learns_hidden),
                ]
                with m.If(read_out | self.hidden_ready):
                    m.d.sync += valid.eq(next_step < self.config.steps)
                    m.next = "FILL"
            with m.State("FILL"):
                m.d.sync += valid.eq(next_step <= last_step)
                with m.If(step == 0):
                    m.d.sync += lane.eq(lane + 1)
                    with m.If(lane == self._size - 1):
                        m.d.sync += valid.eq(0)
                        m.next = "SETTLE"
            with m.State("SETTLE"):
                with m.If(step == ENTRIES - SETTLE + 1):
                    m.d.sync += self.filled.eq(1)
                    m.next = "FULL"
            with m.State("FULL"):
                with m.If(self.loaded):
                    m.d.sync += [self.filled.eq(0), word.eq(word + 1)]
                    m.next = "WAIT"
                    with m.If(last_word):
                        m.d.sync += [word.eq(0), learning.eq(learning - 1)]
                        with m.If(last_layer):
                            m.next = "IDLE"
        return m
