"""Credits of the neurons: those of hidden neurons from feedback sums, those of readout neurons from the error unit."""

from typing import Any

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from opzo.hw.lanes.accumulator import SUM_SHIFT
from opzo.hw.lanes.lane_command import SUM, AfterWord
from opzo.hw.lib.saturate import Saturate
from opzo.hw.neurons.credit import Credit
from opzo.hw.neurons.neuron_state import STEP_BITS, StateSignatures, step_address
from opzo.hw.neurons.walk import StagesSignature, is_use, set_block_address
from opzo.spec.formats import ACTIVITY_BITS, BLOCK_SUM, BLOCK_SUM_SHIFT, CREDIT, SCALED_ERROR
from opzo.spec.limits import MAX_CLASSES, Limits


def error_command(limits: Limits) -> data.StructLayout:
    """Layout of the error of one class and step, on its way from the error unit to the lane of the readout neuron.

    - ``valid``: there is an error.
    - ``class_``: number of the class, which is the number of the readout neuron.
    - ``step``: time step.
    - ``value``: scaled error, SCALED_ERROR.
    """
    return data.StructLayout(
        {"valid": 1, "class_": range(MAX_CLASSES), "step": STEP_BITS, "value": signed(SCALED_ERROR.width)}
    )


class FeedbackCredits(wiring.Component):
    """Turn feedback sums into the credits of hidden neurons (CREDIT), one neuron a cycle.

    With convolutions, SHARE stores the feedback sums of a block instead, saturated to BLOCK_SUM. Golden twins:
    ``opzo.sim.golden.feedback.credit``, ``Run._feedback`` of ``opzo.sim.golden.run``.

    Parameters
    ----------
    limits : Limits
    size : int
        Lanes of the group.

    Members
    -------
    next : In(step_address)
        Place of the neuron that will be in stage 0 in the next cycle: its code is read early.
    stages : In(StagesSignature)
    sum : In(SUM)
        At stage 1: feedback sum of the lane.
    exists : In(1)
        At stage 3: the lane holds a neuron of the word.
    activity : In
        Activity cost; constant during a sample.
    code : Out(ReadSignature), credit : Out(WriteSignature)
        Memories of `NeuronState`.
    saturated : Out(1)
        At stage 4: the credit saturated.
    """

    next: data.View
    stages: Any
    sum: data.View
    exists: Signal
    activity: Signal
    code: Any
    credit: Any
    saturated: Signal

    def __init__(self, limits: Limits, size: int) -> None:
        state = StateSignatures(limits, size)
        self._shares = limits.gradients > 0
        super().__init__(
            {
                "next": In(step_address(size, limits.words)),
                "stages": In(StagesSignature(limits, size)),
                "sum": In(SUM),
                "exists": In(1),
                "activity": In(ACTIVITY_BITS),
                "code": Out(state.code.read),
                "credit": Out(state.credit.write),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.credit = credit = Credit()
        credits = is_use(self.stages.at[4], AfterWord.CREDIT)
        # The code comes at stage 1, the spike is used two cycles later.
        spikes = Signal(2, reset_less=True)
        m.d.sync += spikes.eq(Cat(self.code.data.spike, spikes))
        m.d.comb += [
            self.code.address.eq(self.next),
            credit.sum.eq(self.sum.value),
            credit.surrogate.eq(self.code.data.surrogate),
            credit.spike.eq(spikes[1]),
            credit.valid.eq(self.exists),
            credit.activity.eq(self.activity),
            self.credit.en.eq(credits),
            *set_block_address(self.credit.address, self.stages.at[4]),
            self.credit.data.eq(credit.credit),
            self.saturated.eq(credits & credit.saturated),
        ]
        if self._shares:
            self._share(m)
        return m

    def _share(self, m: Module) -> None:
        """Store the sum of a block, three cycles after stage 1."""
        sum_ = self.sum.value
        m.submodules.share = share = Saturate(len(sum_) - (BLOCK_SUM_SHIFT - SUM_SHIFT), BLOCK_SUM.width)
        stages = [Signal(signed(BLOCK_SUM.width), name=f"shared_{n}", reset_less=True) for n in range(2, 5)]
        m.d.comb += share.i.eq(sum_ >> (BLOCK_SUM_SHIFT - SUM_SHIFT))
        m.d.sync += [after.eq(before) for after, before in zip(stages, [share.o, *stages], strict=False)]
        with m.If(is_use(self.stages.at[4], AfterWord.SHARE)):
            m.d.comb += [self.credit.en.eq(1), self.credit.data.eq(stages[-1])]


class ReadoutCredits(wiring.Component):
    """Store errors of the group's readout neurons, saturated to CREDIT, as their credits. Combinational.

    Parameters
    ----------
    limits : Limits
    size : int
        Lanes of the group.

    Members
    -------
    number : In
        Number of the group in the device; constant.
    error : In(error_command)
    credit : Out(WriteSignature)
        Memory ``readout_credit`` of `NeuronState`.
    """

    number: Signal
    error: data.View
    credit: Any

    def __init__(self, limits: Limits, size: int) -> None:
        self._limits, self._size = limits, size
        super().__init__(
            {
                "number": In(range(limits.lanes // size)),
                "error": In(error_command(limits)),
                "credit": Out(StateSignatures(limits, size).readout_credit.write),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        error, credit = self.error, self.credit
        m.submodules.saturate = saturate = Saturate(SCALED_ERROR.width, CREDIT.width)
        word, lane = error.class_ >> self._limits.lane_bits, error.class_[: self._limits.lane_bits]
        m.d.comb += [
            saturate.i.eq(error.value),
            credit.en.eq(error.valid & (lane >> exact_log2(self._size) == self.number)),
            credit.address.lane.eq(lane),
            credit.address.word.eq(word),
            credit.address.step.eq(error.step),
            credit.data.eq(saturate.o),
        ]
        return m
