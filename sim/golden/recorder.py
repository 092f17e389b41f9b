"""A golden core that records what happens inside its runs, step by step."""

from dataclasses import dataclass

import numpy as np

from opzo.sim.golden.core import GoldenCore, RunResult
from opzo.sim.golden.error import error_step
from opzo.sim.golden.run import Run, complete
from opzo.sim.golden.traces import advance
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.limits import Limits
from opzo.spec.registers import Reg


@dataclass(frozen=True)
class RunRecord:
    """What happened in one run.

    Attributes
    ----------
    spikes, potentials, traces, credits : list of int64 (steps, words, lanes)
        Of each hidden layer, words in the order of the chip. Potentials after the reset, MEMBRANE; traces with the
        spike of the step, TRACE_FRAC_BITS; credits, CREDIT, are 0 without learning.
    readouts, errors : int64 (steps, classes)
        MEMBRANE; ERROR, before the step size.
    losses : int64 (steps,)
        LOSS_FRAC_BITS fraction bits.
    """

    spikes: list[np.ndarray]
    potentials: list[np.ndarray]
    traces: list[np.ndarray]
    credits: list[np.ndarray]
    readouts: np.ndarray
    errors: np.ndarray
    losses: np.ndarray


class _RecordedRun(Run):
    """A run that keeps the potentials of all steps."""

    def __init__(self, core: GoldenCore, chunk: Chunk, label: int, flags: RunFlag) -> None:
        super().__init__(core, chunk, label, flags)
        self.potentials = [np.zeros_like(hidden.credits) for hidden in self.hidden]

    def _fire(self, index: int, step: int, current: np.ndarray, saturated: np.ndarray) -> None:
        super()._fire(index, step, current, saturated)
        self.potentials[index][step] = self.hidden[index].v

    def record(self) -> RunRecord:
        """Record of the run, once it is complete."""
        mse_shift = self.core[Reg.MSE_SHIFT]
        outputs = self.network.outputs
        return RunRecord(
            [hidden.spikes.astype(np.int64) for hidden in self.hidden],
            self.potentials,
            [self._traces(index) for index in range(len(self.hidden))],
            [hidden.credits for hidden in self.hidden],
            outputs,
            np.stack([error_step(output, self.label, mse_shift=mse_shift)[0] for output in outputs]),
            np.array(self.losses),
        )

    def _traces(self, index: int) -> np.ndarray:
        hidden = self.hidden[index]
        # That of the steps before the run.
        trace = self.core.traces[index].trace.reshape(hidden.v.shape).astype(np.int64)
        traces = np.zeros_like(hidden.credits)
        for step, spikes in enumerate(hidden.spikes.astype(np.int64)):
            traces[step] = trace = advance(trace, spikes, 1)
        return traces


class RecordingCore(GoldenCore):
    """A golden core with a record of each of its runs.

    Attributes
    ----------
    records : list of RunRecord
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.records: list[RunRecord] = []

    def run(self, chunk: Chunk, label: int, flags: RunFlag) -> RunResult:
        """Run a frame or a chunk of events, and record it."""
        run = _RecordedRun(self, chunk, label, flags)
        answer = complete(run)
        self.records.append(run.record())
        return RunResult(*answer)
