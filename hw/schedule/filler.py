"""Filler of the credit filters: filters the credits of the next word while Learn works on this one."""

from typing import Any

from amaranth import Array, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, Signature

from opzo.hw.decode import decode_input, decode_rule
from opzo.hw.lanes.lane_command import filter_command
from opzo.hw.lanes.selector import ENTRIES
from opzo.hw.lib.record import record
from opzo.hw.registers import CONFIG, LAYER, layers_layout
from opzo.hw.schedule.block_walk import BlockWalk
from opzo.hw.timing import TABLE_CYCLES, filled_cycles, require
from opzo.spec.formats import HISTORY_STEPS, SCALED_ERROR
from opzo.spec.limits import Limits

LOSSES = data.ArrayLayout(signed(SCALED_ERROR.width), HISTORY_STEPS)
"""Scaled losses by time step, as the zero-order rule uses them."""


class FillSignature(Signature):
    """Pace of the filler.

    Members
    -------
    start : Out(1)
        Strobe: the credits of the readout are complete.
    hidden_ready : Out(1)
        The credits of the hidden layers are complete.
    loaded : Out(1)
        Strobe: the lanes take the word into use; the next word may be filled.
    filled : In(1)
        The lanes hold a word that is not in use, or will before a command that is issued now gets to them. Falls with
        ``loaded``.
    """

    def __init__(self) -> None:
        super().__init__({"start": Out(1), "hidden_ready": Out(1), "loaded": Out(1), "filled": In(1)})


class FilterFiller(wiring.Component):
    """Command the filters to work on the words in the order of Learn: readout, then layers L to 1.

    Within a word the lanes of a group follow each other (all groups alike), within a lane the time steps from the last
    to the first. A lane takes TABLE_CYCLES cycles, in which its tables are filled, whatever the number of steps.

    Members
    -------
    config, layers : In
        Settings; constant during a sample.
    phase : In(1), losses : In(LOSSES)
        Of the run; only the credits of convolutions need them.
    fill : In(FillSignature)
    command : Out(filter_command)
    """

    def __init__(self, limits: Limits) -> None:
        self._limits, self._size = limits, limits.lanes_per_group
        super().__init__(
            {
                "config": In(CONFIG),
                "layers": In(layers_layout(limits)),
                "phase": In(1),
                "losses": In(LOSSES),
                "fill": In(FillSignature()),
                "command": Out(filter_command(limits)),
            }
        )

    config: data.View
    layers: data.View
    phase: Signal
    losses: data.View
    fill: Any
    command: data.View

    def elaborate(self, platform: object) -> Module:
        require(ENTRIES == TABLE_CYCLES, "a lane's tables are not filled in TABLE_CYCLES cycles")
        m = Module()
        fill, readout_layer = self.fill, self._limits.layers
        depth = self.config.hidden_layers
        learning = Signal(range(readout_layer + 1))
        readout = Signal()
        layer = Signal(range(readout_layer + 1))
        settings: Any = Array(self.layers[n] for n in range(readout_layer + 1))[layer]
        if self._limits.gradients:
            # Registered, one cycle behind ``learning``: from the number of layers to the block walk it took 25 ns.
            chosen, settings = settings, record(LAYER, "settings", reset_less=True)
            m.d.sync += settings.eq(chosen)
        # Settings of the layer that the filler waits for.
        words = Signal.like(settings.all_words)
        base = Signal.like(self.command.word)
        frame = Signal()
        valid = Signal()
        last_step = Signal(range(HISTORY_STEPS))
        word = Signal(max(self._limits.word_bits, self._limits.class_bits))
        block_word = Signal.like(settings.block_words)
        step = Signal(range(TABLE_CYCLES))
        next_step = Signal(range(TABLE_CYCLES))
        lane = Signal.like(self.command.lane)
        last_word = Signal()
        last_layer = Signal()
        m.d.comb += [
            readout.eq(learning == depth),
            layer.eq(Mux(readout, readout_layer, learning)),
            last_word.eq(word == words - 1),
            next_step.eq(step - 1),
            self.command.valid.eq(valid),
            self.command.readout.eq(readout),
            self.command.word.eq(base + (block_word if self._limits.gradients else word)),
            self.command.step.eq(step),
            self.command.lane.eq(lane),
            self.command.frame.eq(frame),
            self.command.first.eq(step == last_step),
        ]
        if self._limits.gradients:
            self._follow_blocks(m, settings, word, block_word, last_word, readout)
        m.d.sync += step.eq(next_step)
        # The settings of convolutions are there a cycle after their layer.
        begin_layer = "CHOOSE" if self._limits.gradients else "WAIT"
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [learning.eq(depth), word.eq(0)]
                with m.If(fill.start):
                    m.next = begin_layer
            if self._limits.gradients:
                with m.State("CHOOSE"):
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += next_step.eq(TABLE_CYCLES - 1)
                m.d.sync += [
                    last_step.eq(self.config.steps - 1),
                    lane.eq(0),
                    words.eq(settings.all_words),
                    base.eq(Mux(readout, 0, settings.block_base)),
                    frame.eq((learning == 0) & ~decode_input(self.config.input).events),
                    last_layer.eq((learning == 0) | ~decode_rule(self.config.rule).learns_hidden),
                ]
                with m.If(readout | fill.hidden_ready):
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
                with m.If(step == TABLE_CYCLES - filled_cycles(self._limits) + 1):
                    m.d.sync += fill.filled.eq(1)
                    m.next = "FULL"
            with m.State("FULL"):
                with m.If(fill.loaded):
                    m.d.sync += [fill.filled.eq(0), word.eq(word + 1)]
                    m.next = "WAIT"
                    with m.If(last_word):
                        m.d.sync += [word.eq(0), learning.eq(learning - 1)]
                        m.next = begin_layer
                        with m.If(last_layer):
                            m.next = "IDLE"
        return m

    def _follow_blocks(
        self, m: Module, settings: Any, word: Signal, block_word: Signal, last_word: Signal, readout: Signal
    ) -> None:
        """Fields of the command that convolutions need."""
        command, fill = self.command, self.fill
        m.submodules.walk = walk = BlockWalk()
        m.d.comb += [
            # It begins a layer in the cycle before ``learning`` changes; the settings follow before the next word.
            walk.layer.eq(settings),
            walk.next.eq(fill.loaded & fill.filled),
            walk.start.eq(walk.next & last_word),
            block_word.eq(walk.word),
            command.code_word.eq(settings.word_base + word),
            command.shared.eq((settings.kernel != 0) & ~readout),
            command.valid_lanes.eq(Mux(walk.ends_position, settings.tail, self._limits.lanes)),
            command.odd.eq(command.step[0] ^ self.phase),
        ]
        with m.If(decode_rule(self.config.rule).from_loss):
            m.d.comb += command.loss.eq(self.losses[command.step])
