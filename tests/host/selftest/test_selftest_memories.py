"""The self-test finds faults of memories and random generators."""

from typing import Any

import numpy as np
import pytest
from faulty_device import dut_of, failure
from small_chip import NARROW_CHIP, SMALL_CHIP

from opzo.host.selftest.steps.lfsr import lfsr_step
from opzo.host.selftest.steps.memory import keep_weights, memory_step
from opzo.host.selftest.steps.neurons import neurons_step
from opzo.sim.golden.core import GoldenCore
from opzo.sim.golden.lfsr import LaneLFSRs
from opzo.sim.model_transport import ModelTransport
from opzo.spec.formats import DRAW_BITS
from opzo.spec.lfsr import step
from opzo.spec.limits import Limits
from opzo.spec.memories import Space


class StuckBit(GoldenCore):
    """Bit 5 of lane 2 is always 1 in the second half of the weight memory."""

    def write_row(self, space: Space, row: int, data: np.ndarray) -> None:
        if space is Space.WEIGHTS and row >= 512:
            data = data | np.array([0, 0, 1 << 5, 0], np.uint16)
        super().write_row(space, row, data)


class AliasedRows(GoldenCore):
    """An address line is stuck: rows 256 and following are rows 0 and following."""

    def read_row(self, space: Space, row: int) -> np.ndarray:
        return super().read_row(space, row & ~256 if space is Space.WEIGHTS else row)

    def write_row(self, space: Space, row: int, data: np.ndarray) -> None:
        super().write_row(space, row & ~256 if space is Space.WEIGHTS else row, data)


class DeafLFSR(GoldenCore):
    """The LFSR of lane 3 does not take bit 31."""

    def write_row(self, space: Space, row: int, data: np.ndarray) -> None:
        if space is Space.LFSR and row == 1:
            data = data & np.array([0xFFFF] * 3 + [0x7FFF], np.uint16)
        super().write_row(space, row, data)


class LateTraces(GoldenCore):
    """The presynaptic trace of input 6 is not cleared."""

    def clear_traces(self) -> None:
        super().clear_traces()
        self.input_trace[1, 2] = 0x80


@pytest.mark.parametrize("limits", [SMALL_CHIP, NARROW_CHIP])
def test_memory_faults_are_found(limits: Limits) -> None:
    where, expected, got = failure(memory_step, StuckBit(limits))
    assert "WEIGHTS" in where
    assert where.endswith("lane 2")
    assert int(got.split()[0], 16) ^ int(expected, 16) == 1 << 5
    where, expected, got = failure(memory_step, AliasedRows(limits))
    assert where.startswith("WEIGHTS, pattern 'address")
    assert "of 4096 entries differ" in got
    assert failure(memory_step, DeafLFSR(limits)) == (
        *("LFSR, pattern 'checkerboard, inverted', row 1, lane 3", "0xaaaa", "0x2aaa"),
    )
    assert failure(memory_step, LateTraces(limits)) == (
        *("INPUT_HISTORY after a clear, row 1, lane 2", "0x0000", "0x8000"),
    )


def test_narrow_memory_keeps_what_the_golden_model_keeps() -> None:
    words = np.arange(1 << 16, dtype=np.uint16).reshape(-1, 4)
    for limits in (SMALL_CHIP, NARROW_CHIP):
        core = GoldenCore(limits)
        kept = keep_weights(words, limits)
        for row in range(0, len(words), 37):
            core.write_row(Space.WEIGHTS, 0, words[row])
            np.testing.assert_array_equal(kept[row], core.read_row(Space.WEIGHTS, 0))


class WrongTap:
    """LFSRs of which that of lane 2 has tap 11 in the place of tap 10."""

    def __init__(self, states: np.ndarray) -> None:
        self.states = np.array(states, np.uint32)

    def draw(self, count: int) -> np.ndarray:
        draws = np.zeros((count, len(self.states)), np.uint16)
        for row in draws:
            for lane, state in enumerate(self.states.tolist()):
                for _ in range(DRAW_BITS):
                    state = step(state) ^ ((state >> 10 ^ state >> 11) & 1) << 31 if lane == 2 else step(state)
                self.states[lane] = state
                row[lane] = state >> DRAW_BITS
        return draws


class WrongTapCore(GoldenCore):
    lfsr_type: type[Any] = WrongTap


class RightTap(WrongTap):
    def draw(self, count: int) -> np.ndarray:
        lfsrs = LaneLFSRs(self.states)
        draws = lfsrs.draw(count)
        self.states = lfsrs.states
        return draws


def test_lfsr_fault_is_found() -> None:
    where, expected, got = failure(lfsr_step, WrongTapCore(SMALL_CHIP))
    assert where == "LFSR after 1 training runs, lane 2"
    assert len(expected) == 10
    assert got.split()[0] != expected
    # It is the tap that makes the difference, not the stand-in.
    right = type("RightTapCore", (GoldenCore,), {"lfsr_type": RightTap})
    assert "4 lanes" in lfsr_step(dut_of(ModelTransport(right(SMALL_CHIP))))


class AliasedWords(GoldenCore):
    """Potentials of odd words are kept with those of even ones."""

    def read_row(self, space: Space, row: int) -> np.ndarray:
        return super().read_row(space, row & ~2 if space is Space.MEMBRANE else row)


class LosesTraceBit(GoldenCore):
    """The traces of inputs 252 and following have no bit 3."""

    def read_row(self, space: Space, row: int) -> np.ndarray:
        data = super().read_row(space, row)
        return data & 0xF7FF if space is Space.INPUT_HISTORY and row == 63 else data


class LosesSign(GoldenCore):
    """Potentials of lane 3 lose their sign in the last word."""

    def read_row(self, space: Space, row: int) -> np.ndarray:
        data = super().read_row(space, row)
        return data & np.array([0xFFFF] * 3 + [0x7], np.uint16) if space is Space.MEMBRANE and row == 15 else data


def test_faults_of_neuron_memories_are_found() -> None:
    assert failure(neurons_step, AliasedWords(SMALL_CHIP))[0] == "MEMBRANE after a run, row 2, lane 0"
    where, expected, got = failure(neurons_step, LosesTraceBit(SMALL_CHIP))
    assert where.startswith("INPUT_HISTORY after a run, row 63, lane ")
    assert int(got.split()[0], 16) ^ int(expected, 16) == 0x0800
    where, expected, got = failure(neurons_step, LosesSign(SMALL_CHIP))
    assert where == "MEMBRANE after a run, row 15, lane 3"
    assert (expected, got) == ("0xffff", "0x0007")
