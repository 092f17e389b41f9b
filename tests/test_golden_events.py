"""The golden model on events: its chunked sums against the plain OTTT sum, and what cuts, FRESH and DECISION do."""

import numpy as np
import pytest

from opzo.sim.golden.core import GoldenCore
from opzo.sim.golden.credit import filter_credit, spike_update, trace_update
from opzo.sim.golden.traces import Traces
from opzo.spec.events import Chunk
from opzo.spec.formats import CREDIT, FEEDBACK_ENTRY, HISTORY_STEPS, MEMBRANE, SPIKE_INPUT, WEIGHT
from opzo.spec.lfsr import lane_states
from opzo.spec.network import Input, Network, Rule
from opzo.spec.protocol import RunFlag, Space
from opzo.spec.registers import LayerReg, Reg, layer_register, network_registers

LENGTHS = (1, 7, 8, 9, 16, 30, 100)


def cut(rng: np.random.Generator, steps: int) -> list[slice]:
    """Chunks of random lengths."""
    slices, begin = [], 0
    while begin < steps:
        end = min(steps, begin + int(rng.integers(1, HISTORY_STEPS + 1)))
        slices.append(slice(begin, end))
        begin = end
    return slices


def ottt_sum(spikes: np.ndarray, credits: np.ndarray) -> np.ndarray:
    """Plain OTTT sum in floating point: sum_t a[t] c[t] with a[t] = a[t-1] / 2 + s[t]; (rows, neurons)."""
    trace = np.zeros(spikes.shape[1])
    total = np.zeros((spikes.shape[1], credits.shape[1]))
    for s, c in zip(spikes, credits, strict=True):
        trace = trace / 2 + s
        total += np.outer(trace, c)
    return total


@pytest.mark.parametrize("steps", LENGTHS)
@pytest.mark.parametrize("seed", range(3))
def test_chunked_sum_is_the_ottt_sum_up_to_stated_rounding(steps: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, lanes = 12, 4
    spikes = rng.random((steps, rows)) < rng.choice((0.05, 0.5, 1.0), rows)
    credits = rng.integers(-(1 << (CREDIT.width - 1)), 1 << (CREDIT.width - 1), (steps, lanes))
    traces = Traces(np.zeros(rows, np.uint8), np.zeros(rows, np.uint8))
    total = np.zeros((rows, lanes))
    bound = np.zeros((rows, lanes))
    last = 0
    for part in cut(rng, steps):
        length = part.stop - part.start
        traces.begin(last, fresh=False)
        for step in range(length):
            traces.mark(np.flatnonzero(spikes[part][step]), step)
        filtered = filter_credit(credits[part][:, None])
        active = traces.active
        # Rows that are not in the list have neither trace nor history.
        total[active] += spike_update(filtered, traces.history[active].astype(np.int64))[0]
        total[active] += trace_update(filtered, traces.trace[active].astype(np.int64))[0]
        # A half rounds by less than one, which fades over the chunk: below 2 in each E. The product rounds by 1/2. What
        # the trace has forgotten is below 2**-7 (each spike of more than 8 steps ago), halved, times E[0].
        bound += 2 * length + 2 + 0.5 + np.abs(filtered[0, 0]) * 2.0**-7
        last = length
    error = np.abs(total - ottt_sum(spikes, credits))
    assert (error <= bound).all(), f"seed {seed}: {(error - bound).max()} beyond the bound"
    # Small beside the sum itself: 2**17 units are the largest credit.
    assert error.max() < 2.0**-6 * (1 << CREDIT.width) * steps


def core(network: Network, rule: Rule, seed: int = 0) -> GoldenCore:
    limits = network.limits(4)
    golden = GoldenCore(limits)
    rates = {Reg.ALPHA: 819, Reg.RATE: 200, Reg.ACTIVITY: 21, Reg.DECAY_SHIFT: 6, Reg.LEAK_SHIFT: 4}
    for address, value in (network_registers(network, limits, rule) | rates).items():
        golden.write_register(address, value)
    rng = np.random.default_rng(seed)
    for layer in golden.layers():
        golden.weights(layer)[..., :] = rng.integers(-3000, 3001, golden.weights(layer).shape)
        unused = np.arange(layer.words * limits.lanes).reshape(layer.words, 1, -1) >= layer.neurons
        golden.weights(layer)[np.broadcast_to(unused, golden.weights(layer).shape)] = 0
    states = lane_states(seed, limits.lanes)
    for half in range(2):
        golden.write_row(Space.LFSR, half, ((states >> np.uint32(16 * half)) & 0xFFFF).astype(np.uint16))
    return golden


NETWORK = Network((40, 13, 6, 3), 30, 0, Input.SPIKES)


def draw_steps(steps: int, seed: int = 1) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [np.flatnonzero(rng.random(40) < rng.choice((0, 0.1, 0.7))).tolist() for _ in range(steps)]


def run(golden: GoldenCore, steps: list[list[int]], parts: list[slice], flags: RunFlag) -> list[tuple[int, ...]]:
    """Run time steps in these parts, the first one FRESH; read-outs after each."""
    results, fresh = [], RunFlag.FRESH
    for part in parts:
        results.append(golden.run(Chunk.of_steps(steps[part]), 1, flags | fresh).outputs)
        fresh = RunFlag(0)
    return results


@pytest.mark.parametrize("steps", LENGTHS)
def test_without_learning_cuts_change_nothing(steps: int) -> None:
    given = draw_steps(steps)
    whole, pieces = core(NETWORK, Rule.OPZO), core(NETWORK, Rule.OPZO)
    outputs = run(whole, given, [slice(n, n + 1) for n in range(steps)], RunFlag(0))[-1]
    assert run(pieces, given, cut(np.random.default_rng(steps), steps), RunFlag(0))[-1] == outputs
    np.testing.assert_array_equal(pieces.membrane, whole.membrane)
    assert pieces.loss_sum == whole.loss_sum
    # Traces after the last run, brought up to date by a further one.
    for golden in (whole, pieces):
        golden.run(Chunk.of_steps([[]]), 1, RunFlag(0))
    np.testing.assert_array_equal(pieces.trace, whole.trace)
    np.testing.assert_array_equal(pieces.input_trace, whole.input_trace)


def test_antithetic_pair_goes_on_across_a_cut() -> None:
    golden, steps = core(NETWORK, Rule.OPZO), draw_steps(12)
    for register in (Reg.RATE, Reg.DECAY_SHIFT, Reg.LEAK_SHIFT):
        golden.write_register(register, 0)
    entries = [golden.feedback(layer) for layer in golden.layers()[:-1]]
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


def test_fresh_forgets_all_but_what_was_learned() -> None:
    steps = draw_steps(20)
    used, new = core(NETWORK, Rule.DFA), core(NETWORK, Rule.DFA)
    run(used, steps, cut(np.random.default_rng(0), 20), RunFlag(0))
    for golden in (used, new):
        run(golden, steps[3:11], [slice(0, 8)], RunFlag.TRAIN)
    for name in ("memory", "membrane", "trace", "history", "input_trace", "input_history", "output_sums"):
        np.testing.assert_array_equal(getattr(used, name), getattr(new, name), err_msg=name)


def test_decision_restarts_the_sums_alone() -> None:
    steps = draw_steps(16)
    on, anew = core(NETWORK, Rule.DFA), core(NETWORK, Rule.DFA)
    first = [golden.run(Chunk.of_steps(steps[:8]), 1, RunFlag.TRAIN) for golden in (on, anew)]
    assert first[0] == first[1]
    second = on.run(Chunk.of_steps(steps[8:]), 1, RunFlag.TRAIN)
    restarted = anew.run(Chunk.of_steps(steps[8:]), 1, RunFlag.TRAIN | RunFlag.DECISION)
    assert restarted.outputs == tuple(np.subtract(second.outputs, first[0].outputs))
    assert restarted.loss == second.loss - first[0].loss
    np.testing.assert_array_equal(on.memory, anew.memory)
    np.testing.assert_array_equal(on.membrane, anew.membrane)


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
    """One input spike, one hidden neuron, two classes: every number by hand."""
    network = Network((2, 1, 2), 8, 0, Input.SPIKES)
    golden = core(network, Rule.READOUT)
    golden.memory[...] = 0
    hidden, readout = golden.layers()
    golden.weights(hidden)[0, 1, 0] = 6000  # above the threshold of 4096
    golden.weights(readout)[0, 0, :2] = (1000, -1000)
    golden.write_register(Reg.DECAY_SHIFT, 0)
    golden.run(Chunk.of_steps([[], [1], []]), 0, RunFlag.TRAIN | RunFlag.FRESH)
    # Step 1: v = 6000, a spike, 1904 stay; step 2: 952.
    assert golden.membrane[0, 0] == 952
    assert (golden.history[0, 0], golden.trace[0, 0]) == (0b010, 0)
    assert golden.input_history.reshape(-1)[:2].tolist() == [0, 0b010]
    golden.run(Chunk.of_steps([[]]), 0, RunFlag(0))
    # A step lay between the spike and this run, so it counts half.
    assert (golden.history[0, 0], golden.trace[0, 0]) == (0, 64)
    assert golden.bias_trace == 0b11100000


def test_graded_value_is_a_share_of_a_spike() -> None:
    sizes = (40, 13, 3)
    graded, spikes = (core(Network(sizes, 8, 0, kind), Rule.DFA) for kind in (Input.GRADED, Input.SPIKES))
    for golden in (graded, spikes):
        golden.write_register(Reg.DECAY_SHIFT, 0)
    chunk = [1, 5, 17]
    graded.run(Chunk.of_steps([chunk], [[255, 255, 128]]), 1, RunFlag.FRESH)
    spikes.run(Chunk.of_steps([chunk]), 1, RunFlag.FRESH)
    weights = graded.weights(graded.layers()[0]).astype(np.int64)
    expected = sum((weights[:, row] * value >> 4) for row, value in ((1, 255), (5, 255), (17, 128), (40, SPIKE_INPUT)))
    u = (expected >> 4).reshape(-1)[:13]
    np.testing.assert_array_equal(graded.membrane.reshape(-1)[:13], np.where(u >= WEIGHT.one, u - WEIGHT.one, u))
    graded.run(Chunk.of_steps([[]], [[]]), 1, RunFlag(0))
    assert graded.input_trace.reshape(-1)[chunk].tolist() == [128, 128, 64]


def test_feedback_shift_register_is_kept_per_layer() -> None:
    golden = core(NETWORK, Rule.DFA)
    golden.write_register(Reg.SAMPLES, 0)
    golden.run(Chunk.of_steps(draw_steps(4)), 0, RunFlag.TRAIN)
    assert golden.read_register(layer_register(0, LayerReg.FEEDBACK_SHIFT)) == 0
    assert golden[Reg.SAMPLES] == 1
