"""The golden model on events: its chunked sums and its training against floating point, and what cuts and flags do."""

import numpy as np
import pytest
from baselines.ottt import ottt_sum
from chunked import CUTS, LENGTHS, core, cut, still

from opzo.sim.golden.core import GoldenCore, RunResult
from opzo.sim.golden.credit import filter_credit, spike_update, trace_update
from opzo.sim.golden.feedback_scale import feedback_shift
from opzo.sim.golden.lfsr import LaneLFSRs
from opzo.sim.golden.traces import Traces
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.formats import (
    CREDIT,
    FEEDBACK_ENTRY,
    HISTORY_STEPS,
    INPUT_BITS,
    MEMBRANE,
    SPIKE_INPUT,
    UPDATE_FRAC_BITS,
    WEIGHT,
)
from opzo.spec.network import Network
from opzo.spec.registers import LayerReg, Reg, layer_register
from opzo.spec.rules import Input, Rule


@pytest.mark.parametrize("scale", [20, 1 << (CREDIT.width - 1)])
@pytest.mark.parametrize("length", CUTS)
@pytest.mark.parametrize("steps", LENGTHS)
def test_chunked_sum_is_the_ottt_sum_up_to_stated_rounding(steps: int, length: int | None, scale: int) -> None:
    rng = np.random.default_rng(steps)
    rows, lanes = 12, 4
    spikes = rng.random((steps, rows)) < rng.choice((0.05, 0.5, 1.0), rows)
    credits = rng.integers(-scale, scale, (steps, lanes))
    traces = Traces(np.zeros(rows, np.uint8), np.zeros(rows, np.uint8))
    total, bound = np.zeros((2, rows, lanes))
    last = 0
    for part in cut(steps, length, seed=steps):
        traces.begin(last, fresh=False)
        for step, fired in enumerate(spikes[part]):
            traces.mark(np.flatnonzero(fired), step)
        last = part.stop - part.start
        filtered = filter_credit(credits[part][:, None])
        # Rows that are not in the list have neither trace nor history.
        active = traces.active
        total[active] += spike_update(filtered, traces.history[active].astype(np.int64))[0]
        total[active] += trace_update(filtered, traces.trace[active].astype(np.int64))[0]
        # Each half that the filter takes is off by 1/2 at most, and that error is halved from step to step: an E is off
        # by less than 1. Of them a row sums one a spike, and the first one times half its trace, which is less than 1;
        # the product rounds by 1/2.
        bound += spikes[part].sum(axis=0)[:, None] + 1.5
        # A trace holds 8 steps; the spikes before them amount to less than 2**-7, halved at the begin of the chunk.
        if part.start > HISTORY_STEPS:
            bound += 2.0**-8 * (np.abs(filtered[0, 0]) + 1)
    exact = ottt_sum(credits, spikes)
    error = np.abs(total - exact)
    assert (error <= bound).all(), f"{(error - bound).max()} beyond the bound"
    if scale > 20:
        assert bound.max() < 0.02 * np.abs(exact).max()


@pytest.mark.parametrize("steps", LENGTHS)
def test_graded_sum_is_the_ottt_sum_up_to_stated_rounding(steps: int) -> None:
    rng = np.random.default_rng(steps)
    rows, lanes = 12, 4
    values = rng.integers(1, 256, (steps, rows)) * (rng.random((steps, rows)) < rng.choice((0.05, 0.5, 1.0), rows))
    values[:, 0] = 255
    credits = rng.integers(CREDIT.min, CREDIT.max + 1, (steps, lanes))
    traces = Traces(np.zeros(rows, np.uint8), np.zeros(rows, np.uint8))
    total, bound = np.zeros((2, rows, lanes))
    for step in range(steps):
        traces.begin(1, fresh=False, graded=True)
        some = np.flatnonzero(values[step])
        traces.mark_graded(some, values[step, some])
        both = traces.trace.astype(np.int64) + traces.history
        total += trace_update(credits[step : step + 1, None], both)[0]
        # The trace rounds down by 1/2 as it is halved, and up by 1/2 as half a value is added: what is left of both
        # over the steps is less than 1 of 2**-7, halved. The product rounds by 1/2.
        bound += 0.5 + 2.0**-8 * np.abs(credits[step])
    exact = ottt_sum(credits, values / (1 << INPUT_BITS))
    assert (np.abs(total - exact) <= bound).all()


NETWORK = Network((40, 13, 6, 3), 30, 0, Input.SPIKES)


def draw_steps(steps: int, seed: int = 1) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [np.flatnonzero(rng.random(40) < rng.choice((0, 0.1, 0.7))).tolist() for _ in range(steps)]


def run(golden: GoldenCore, steps: list[list[int]], parts: list[slice], flags: RunFlag) -> RunResult:
    """Run time steps in these parts, the first one FRESH; answer to the last one."""
    fresh = RunFlag.FRESH
    for part in parts:
        result = golden.run(Chunk.of_steps(steps[part]), 1, flags | fresh)
        fresh = RunFlag(0)
    return result


def assert_same_state(one: GoldenCore, other: GoldenCore) -> None:
    for name in (
        *("memory", "membrane", "trace", "history", "input_trace", "input_history", "bias_trace", "phase"),
        *("output_sums", "loss_sum", "last_outputs", "last_intermediate", "registers"),
    ):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_array_equal(one.lfsrs.states, other.lfsrs.states)


@pytest.mark.parametrize("length", CUTS[1:])
@pytest.mark.parametrize("steps", LENGTHS)
def test_without_learning_cuts_change_nothing(steps: int, length: int | None) -> None:
    given = draw_steps(steps)
    single, pieces = core(NETWORK, Rule.OPZO), core(NETWORK, Rule.OPZO)
    memory = pieces.memory.copy()
    result = run(single, given, cut(steps, 1), RunFlag(0))
    assert any(result.outputs)
    assert run(pieces, given, cut(steps, length), RunFlag(0)) == result
    np.testing.assert_array_equal(pieces.membrane, single.membrane)
    np.testing.assert_array_equal(pieces.memory, memory)
    # Traces after the last run, brought up to date by a further one.
    for golden in (single, pieces):
        golden.run(Chunk.of_steps([[]]), 1, RunFlag(0))
    assert_same_state(pieces, single)


def test_antithetic_pair_goes_on_across_a_cut() -> None:
    golden, steps = core(NETWORK, Rule.OPZO), draw_steps(12)
    for register in (Reg.RATE, Reg.DECAY_SHIFT, Reg.LEAK_SHIFT):
        golden.write_register(register, 0)
    entries = [golden.feedback(layer) for layer in golden.layers()[:-1]]
    for matrix in entries:
        matrix[...] = 0
    before = golden.run(Chunk.of_steps(steps[8:9]), 1, RunFlag.TRAIN)
    signs = [np.where(golden.negative[layer.word_base :][: layer.words], -1, 1) for layer in golden.layers()[:-1]]
    assert not any(matrix.any() for matrix in entries)
    after = golden.run(Chunk.of_steps(steps[9:10]), 1, RunFlag.TRAIN)
    o = np.array([before.outputs, np.subtract(after.outputs, before.outputs)])
    assert (o[0] != o[1]).any()
    for matrix, sign in zip(entries, signs, strict=True):
        exact = sign[:, None] * (o[0] - o[1])[:, None] * 2.0 ** (FEEDBACK_ENTRY.frac_bits - MEMBRANE.frac_bits)
        neurons = np.abs(matrix).sum(axis=1, keepdims=True) > 0
        assert (np.abs(matrix - exact)[np.broadcast_to(neurons, matrix.shape)] < 1).all()


@pytest.mark.parametrize("rule", list(Rule))
def test_fresh_forgets_all_but_what_was_learned(rule: Rule) -> None:
    steps = draw_steps(23)
    used, new = core(NETWORK, rule), core(NETWORK, rule)
    # An odd number of steps, so that the next one would be the second of a pair.
    run(used, steps, cut(9), RunFlag.TRAIN)
    assert (used.memory != new.memory).any()
    assert used.membrane.any()
    new.memory[...] = used.memory
    new.registers |= used.registers
    new.lfsrs = LaneLFSRs(used.lfsrs.states)
    # A new core's first run is fresh without being told.
    for flags, part in ((RunFlag.FRESH, slice(9, 16)), (RunFlag(0), slice(16, 23))):
        chunk = Chunk.of_steps(steps[part])
        assert used.run(chunk, 2, RunFlag.TRAIN | flags) == new.run(chunk, 2, RunFlag.TRAIN)
        assert_same_state(used, new)


def test_decision_restarts_the_sums_alone() -> None:
    steps = draw_steps(16)
    on, anew = core(NETWORK, Rule.DFA), core(NETWORK, Rule.DFA)
    first = [golden.run(Chunk.of_steps(steps[:8]), 1, RunFlag.TRAIN) for golden in (on, anew)]
    assert first[0] == first[1]
    second = on.run(Chunk.of_steps(steps[8:]), 1, RunFlag.TRAIN)
    restarted = anew.run(Chunk.of_steps(steps[8:]), 1, RunFlag.TRAIN | RunFlag.DECISION)
    assert restarted.outputs == tuple(np.subtract(second.outputs, first[0].outputs))
    assert restarted.loss == second.loss - first[0].loss
    on.output_sums[...], on.loss_sum = anew.output_sums, anew.loss_sum
    assert_same_state(on, anew)


def test_sums_of_a_decision_wrap_at_32_bits() -> None:
    golden, again = core(NETWORK, Rule.DFA), core(NETWORK, Rule.DFA)
    for one in (golden, again):
        # A negative readout too.
        one.weights(one.layers()[-1])[0, :, 1] *= -1
    step = Chunk.of_steps(draw_steps(1, seed=2))
    outputs = np.array(golden.run(step, 1, RunFlag.FRESH).outputs)
    assert (outputs > 0).any()
    assert (outputs < 0).any()
    first = np.where(outputs > 0, (1 << 31) - outputs, -(1 << 31) - outputs - 1)
    again.run(Chunk.of_steps([[]]), 1, RunFlag.FRESH)
    # Only the sums are left of the run before.
    again.membrane[...] = 0
    again.output_sums[:3] = first
    assert again.run(step, 1, RunFlag(0)).outputs == tuple(np.where(outputs > 0, -(1 << 31), (1 << 31) - 1).tolist())


def test_new_network_begins_fresh() -> None:
    told, new = core(NETWORK, Rule.DFA), core(NETWORK, Rule.DFA)
    for golden in (told, new):
        golden.run(Chunk.of_steps(draw_steps(8)), 1, RunFlag.TRAIN)
    assert new.input_history.any()
    new.write_register(Reg.HIDDEN_LAYERS, 2)
    for name in ("trace", "history", "input_trace", "input_history"):
        assert not getattr(new, name).any()
    for golden, flags in ((told, RunFlag.FRESH), (new, RunFlag(0))):
        golden.run(Chunk.of_steps(draw_steps(3)), 1, flags)
    np.testing.assert_array_equal(new.membrane, told.membrane)
    np.testing.assert_array_equal(new.output_sums, told.output_sums)


def test_three_neurons_by_hand() -> None:
    """Two inputs, one hidden neuron, two classes: two chunks, every number by hand."""
    golden = core(Network((2, 1, 2), 8, 0, Input.SPIKES), Rule.DFA)
    still(golden)
    golden.memory[...] = 0
    hidden, readout = (golden.weights(layer)[0] for layer in golden.layers())
    hidden[1, 0] = 4096
    # Factors -128 and 128.
    golden.feedback(golden.layers()[0])[0, :, 0] = (-128 << 2, 128 << 2)
    golden.write_register(layer_register(0, LayerReg.FEEDBACK_SHIFT), 2)
    golden.write_register(Reg.RATE, 128)
    golden.write_register(Reg.ACTIVITY, 1792)

    first = golden.run(Chunk.of_steps([[], [1], []]), 0, RunFlag.TRAIN | RunFlag.FRESH)
    # u = 0, 1, 0: a spike that leaves nothing. Read-outs 0: errors -1/2 and 1/2, credits -+16384 in every step.
    assert (first.prediction, first.outputs, first.loss) == (0, (0, 0), 3 * 256)
    assert golden.membrane[0, 0] == 0
    # E = 28672, 24576, 16384, in 2048ths of a unit: the hidden neuron spiked in step 1, the bias in all three.
    np.testing.assert_array_equal(readout[:2, :2], [[12, -12], [34, -34]])
    # M e = 2 x 128 x 128 x 128, over 512 is 8192; surrogates 1/16, 1, 1/16, and the cost of the spike:
    # credits 512, 9984, 512; E = 5632, 10240, 512.
    np.testing.assert_array_equal(hidden[:, 0], [0, 4096 - 5, -8])

    second = golden.run(Chunk.of_steps([[1]]), 0, RunFlag.TRAIN)
    # u = 4091 - 8: no spike, surrogate 1. Read-outs 34 and -34, of which the softmax is 129/256 and 127/256.
    assert (second.prediction, second.outputs) == (0, (34, -34))
    assert golden.membrane[0, 0] == 4083
    # Traces in 128ths, 64 a step after the spike and 224 of the bias; they count half of that.
    assert (golden.trace[0, 0], golden.input_trace.reshape(-1)[1], golden.bias_trace) == (64, 64, 224)
    # Credits -+16256: the hidden neuron's row gets a quarter of it, 1.98 units, the bias 1.875 times, 14.88.
    np.testing.assert_array_equal(readout[:2, :2], [[13, -14], [48, -49]])
    # Credit 2 x 128 x 127 x 128 / 512 = 8128, once and a quarter: 4.96; bias 1.875 times: 7.44.
    np.testing.assert_array_equal(hidden[:, 0], [0, 4086, -16])


def test_graded_value_is_a_share_of_a_spike() -> None:
    sizes = (40, 13, 3)
    golden = core(Network(sizes, 8, 0, Input.GRADED), Rule.DFA)
    chunk = [1, 5, 17]
    golden.run(Chunk.of_steps([chunk], [[255, 255, 128]]), 1, RunFlag.FRESH)
    weights = golden.weights(golden.layers()[0]).astype(np.int64)
    expected = sum((weights[:, row] * value >> 4) for row, value in ((1, 255), (5, 255), (17, 128), (40, SPIKE_INPUT)))
    u = (expected >> 4).reshape(-1)[:13]
    np.testing.assert_array_equal(golden.membrane.reshape(-1)[:13], np.where(u >= WEIGHT.one, u - WEIGHT.one, u))
    golden.run(Chunk.of_steps([[]], [[]]), 1, RunFlag(0))
    assert golden.input_trace.reshape(-1)[chunk].tolist() == [128, 128, 64]


def test_largest_value_is_nearly_a_spike() -> None:
    sizes = (40, 13, 3)
    graded, spikes = (core(Network(sizes, 30, 0, kind), Rule.DFA, seed=3) for kind in (Input.GRADED, Input.SPIKES))
    for golden in (graded, spikes):
        still(golden)
        golden.write_register(Reg.RATE, 255)
        golden.write_register(layer_register(0, LayerReg.FEEDBACK_SHIFT), 2)
    layer = graded.layers()[0]
    bound = np.zeros((layer.words, 4))
    for step in [*draw_steps(12, seed=4), [3, 8]]:
        graded.run(Chunk.of_steps([step], [[255] * len(step)]), 1, RunFlag(0))
        spikes.run(Chunk.of_steps([step]), 1, RunFlag(0))
        # A product lacks 1/256 and rounds down by up to 1/16 of a unit, the sum and half the potential by up to 1.
        bound = bound / 2 + np.abs(graded.weights(layer)[:, step]).sum(axis=1) / 256 + len(step) / 16 + 2
        np.testing.assert_array_equal(graded.history, spikes.history)
        assert (np.abs(graded.membrane - spikes.membrane)[: layer.words] <= bound).all()
    step = [3, 30]
    for golden, chunk in ((graded, Chunk.of_steps([step], [[255, 255]])), (spikes, Chunk.of_steps([step]))):
        golden.run(chunk, 1, RunFlag.TRAIN)
    np.testing.assert_array_equal(graded.input_trace, spikes.input_trace)
    # The update lacks 1/256 of a credit, which is less than a unit of the weight; both round down.
    assert (1 << (CREDIT.width - 1)) / 256 + 1 < 1 << UPDATE_FRAC_BITS
    before = core(Network(sizes, 30, 0, Input.SPIKES), Rule.DFA, seed=3).weights(layer)
    moved = [golden.weights(layer) - before for golden in (graded, spikes)]
    assert np.abs(moved[0] - moved[1]).max() <= 1
    assert np.abs(moved[1][:, step]).max() > 3


def test_feedback_shift_register_is_kept_per_layer() -> None:
    golden = core(NETWORK, Rule.DFA)
    golden.run(Chunk.of_steps(draw_steps(4)), 0, RunFlag.TRAIN)
    shifts = [golden.read_register(layer_register(index, LayerReg.FEEDBACK_SHIFT)) for index in range(2)]
    assert shifts == [feedback_shift(core(NETWORK, Rule.DFA).feedback(one)[:, :, 0]) for one in golden.layers()[:-1]]
    assert golden[Reg.SAMPLES] == 1
