"""Filler of the credit filters: sends the credits of the next word to the lanes while Learn works on this one."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lane_command import filter_command
from opzo.hw.registers import CONFIG, LAYERS
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.network import MAX_HIDDEN, Input, Limits, Rule
from opzo.spec.registers import READOUT_LAYER


class FilterFiller(wiring.Component):
    """Command the filters through the words in the order in which Learn takes them: read-out, then layers L .. 1.

    Within a word lane after lane of a group (all groups alike), within a lane from the last time step to the first.

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
        self._size = limits.group
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
        m = Module()
        depth = self.config.hidden_layers
        learning = Signal(range(MAX_HIDDEN + 1))
        read_out = Signal()
        layer = Signal(range(MAX_HIDDEN + 1))
        settings = Array(self.layers[n] for n in range(MAX_HIDDEN + 1))[layer]
        # Of the layer that WAIT comes to.
        words, base, frame = Signal.like(settings.words), Signal.like(self.command.word), Signal()
        last_step = Signal(range(HISTORY_STEPS))
        word = Signal.like(self.command.word)
        step = Signal(range(HISTORY_STEPS))
        lane = Signal.like(self.command.lane)
        last_word = Signal()
        last_layer = Signal()
        m.d.comb += [
            read_out.eq(learning == depth),
            layer.eq(Mux(read_out, READOUT_LAYER, learning)),
            last_word.eq(word == words - 1),
            self.command.read_out.eq(read_out),
            self.command.word.eq(base + word),
            self.command.step.eq(step),
            self.command.lane.eq(lane),
            self.command.frame.eq(frame),
            self.command.first.eq(step == last_step),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [learning.eq(depth), word.eq(0)]
                with m.If(self.start):
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.sync += [
                    step.eq(self.config.steps - 1),
                    last_step.eq(self.config.steps - 1),
                    lane.eq(0),
                    words.eq(settings.words),
                    base.eq(Mux(read_out, 0, settings.word_base)),
                    frame.eq((learning == 0) & (self.config.input == Input.FRAME)),
                    last_layer.eq((learning == 0) | (self.config.rule == Rule.READOUT)),
                ]
                with m.If(read_out | self.hidden_ready):
                    m.next = "FILL"
            with m.State("FILL"):
                m.d.comb += self.command.valid.eq(1)
                m.d.sync += step.eq(step - 1)
                with m.If(step == 0):
                    m.d.sync += [step.eq(last_step), lane.eq(lane + 1)]
                    with m.If(lane == self._size - 1):
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
