"""Error path: from the sums of the lanes to the errors of the readouts."""

from typing import Any

from amaranth import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, Signature

from opzo.hw.counters import counted
from opzo.hw.error.error_unit import CLOSING_CYCLES, ErrorUnit
from opzo.hw.error.local_readout import LocalReadout
from opzo.hw.error.ports import AnswerSignature, ErrorProgressSignature, ErrorReadSignature
from opzo.hw.error.readout_shifter import ReadoutShifter
from opzo.hw.lanes.lane_command import SUM
from opzo.hw.lanes.lane_ports import local_width
from opzo.hw.lib.saturate import Saturate
from opzo.hw.neurons.word_credits import error_command
from opzo.hw.registers import layers_layout
from opzo.hw.run_control import RunSignature
from opzo.hw.schedule.passes import tag_layout
from opzo.hw.timing import ACCUMULATED, ISSUE_CYCLES, READOUT_RESTART, local_stage, require
from opzo.spec.formats import MEMBRANE
from opzo.spec.geometry import CELL_BITS
from opzo.spec.limits import Limits
from opzo.spec.registers import Counter


class LaneSumsSignature(Signature):
    """What the lanes have summed up for readouts.

    Members
    -------
    soon : Out(1)
        Strobe: in the next cycle the chain is loaded with a word of readouts.
    chain : Out(signed)
        Sum at the end of the chain.
    tag : Out(tag_layout)
        Tag of the command at stage ACCUMULATED, at whose end the chain is loaded.
    local_sum : Out(signed), local_tag : Out(tag_layout)
        Sum over the lanes of a word of a local readout, and its tag.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            {
                "soon": Out(1),
                "chain": Out(SUM["value"].shape),
                "tag": Out(tag_layout(limits)),
                "local_sum": Out(signed(local_width(limits) + limits.lane_bits)),
                "local_tag": Out(tag_layout(limits)),
            }
        )


class ErrorPath(wiring.Component):
    """Take the network's readouts from the chain, or add up a layer's local one, and compute their errors.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    run : In(RunSignature), layers : In(layers_layout)
    sums : In(LaneSumsSignature), shift : Out(1)
        ``shift`` moves the lanes' chain on.
    error : Out(error_command)
        Errors of the network's readouts, one a cycle.
    progress : Out(ErrorProgressSignature), read : In(ErrorReadSignature), answer : Out(AnswerSignature)
        As those of `ErrorUnit`.
    counted : Out
        Increment of STEPS.
    """

    run: Any
    layers: data.View
    sums: Any
    shift: Signal
    error: data.View
    progress: Any
    read: Any
    answer: Any
    counted: data.View

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "run": In(RunSignature()),
                "layers": In(layers_layout(limits)),
                "sums": In(LaneSumsSignature(limits)),
                "shift": Out(1),
                "error": Out(error_command(limits)),
                "progress": Out(ErrorProgressSignature(limits)),
                "read": In(ErrorReadSignature(limits)),
                "answer": Out(AnswerSignature()),
                "counted": Out(counted(Counter.STEPS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        # A readout whose pass starts when the error unit has announced room must not get there earlier.
        require(
            CLOSING_CYCLES <= READOUT_RESTART + ISSUE_CYCLES + min(ACCUMULATED, local_stage(self._limits)),
            "the next readout reaches the error unit before there is room",
        )
        m = Module()
        limits, run, tag, local_tag = self._limits, self.run, self.sums.tag, self.sums.local_tag
        m.submodules.error = error = ErrorUnit(self._limits)
        m.submodules.shifter = shifter = ReadoutShifter(self._limits)
        m.submodules.saturate = saturate = Saturate(len(self.sums.chain), MEMBRANE.width)
        wiring.connect(m, error.progress, wiring.flipped(self.progress))
        wiring.connect(m, wiring.flipped(self.read), error.read)
        wiring.connect(m, error.answer, wiring.flipped(self.answer))
        readout_layer = self.layers[limits.layers]
        total = self.sums.chain
        if limits.gradients:
            # Behind a pool the sum counts quarters.
            total = Mux(readout_layer.pool, self.sums.chain >> CELL_BITS, self.sums.chain)
        local_start, local_valid, local_value = self._add_up(m) if limits.learning else (Const(0),) * 3
        m.d.comb += [
            shifter.soon.eq(self.sums.soon),
            shifter.lanes.eq(Mux(tag.last_word, readout_layer.tail, limits.lanes)),
            self.shift.eq(shifter.shift),
            saturate.i.eq(total),
            error.step.start.eq((shifter.load & tag.first_word) | local_start),
            error.step.source.eq(Mux(local_start, local_tag.layer, limits.layers)),
            error.step.step.eq(Mux(local_start, local_tag.step, tag.step)),
            error.step.last.eq(tag.step + 1 == run.config.steps),
            error.step.odd.eq(error.step.step[0] ^ run.phase),
            error.step.restart.eq(run.decision & (tag.step == 0)),
            error.readout.valid.eq(shifter.valid | local_valid),
            error.readout.value.eq(Mux(local_valid, local_value, saturate.o)),
            error.settings.label.eq(run.sample.label),
            error.settings.learn.eq(run.sample.train),
            self.error.valid.eq(error.error.valid),
            self.error.class_.eq(error.error.class_),
            self.error.value.eq(error.error.value),
            self.error.step.eq(error.error.step),
            self.counted.steps.eq(error.step.start & (error.step.source == limits.layers)),
        ]
        # Constant during a run, and far away: not within the cycle.
        m.d.sync += [
            error.settings.classes.eq(run.config.classes),
            error.settings.rate.eq(run.config.rate),
            error.settings.mse_shift.eq(run.config.mse_shift),
            error.settings.intermediate.eq(run.config.intermediate),
        ]
        return m

    def _add_up(self, m: Module) -> tuple[Value, Value, Value]:
        """Local readouts: whether one starts, whether one of a class is there, and which."""
        tag = self.sums.local_tag
        m.submodules.local = local = LocalReadout(self._limits)
        m.d.comb += [
            local.valid.eq(tag.local),
            local.first.eq(tag.first),
            local.last.eq(tag.last),
            local.sum.eq(self.sums.local_sum),
        ]
        if self._limits.gradients:
            # The readout of a class comes one cycle after its last word.
            layer = Signal.like(tag.layer)
            m.d.sync += layer.eq(tag.layer)
            m.d.comb += local.block_shift.eq(self.layers[layer].block_shift)
        return tag.local & tag.first & tag.first_word, local.o_valid, local.o
