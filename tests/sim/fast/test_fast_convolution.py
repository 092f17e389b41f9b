"""The compiled model with convolutions: every state equals the golden model's after any number of samples."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_twins import RATES, Case, assert_equal_states, run_case, twins

from opzo.sim.benches.stimuli import draw_chunk
from opzo.sim.golden.core import GoldenCore
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.formats import FEEDBACK_MEAN_MAX, GRADIENT
from opzo.spec.layers import BLOCKS, KERNELS, Convolution, Map, Pool
from opzo.spec.network import Network
from opzo.spec.neurons import Leak, Reset
from opzo.spec.registers import Counter, LayerReg, Reg, layer_register
from opzo.spec.rules import Input, Rule

NETWORKS = (
    *("1x6x5-3c3-4", "2x8x8-4c3-p2-5c1-3", "3x7x9-8c5-6c3-10", "1x8x8-8c3-p2-16c3-p2-10", "2x12x12-4c3-p2-8c3-6-4"),
    *("4x2x2-5c3-p2-3c3-6c1-3", "1x1x9-4c5-3"),
)
LANES = (4, 8, 16)
LEAKS, RESETS = list(Leak), list(Reset)
USUAL = (819, 84, 21, 6, 4, 7)


def registers(rng: np.random.Generator, network: Network, batch: int) -> dict[int, int]:
    """Rates, usual or extreme, and what convolutions have."""
    values = dict(zip(map(int, RATES), USUAL, strict=True))
    values[int(Reg.RATE)] = int(rng.choice((84, 84, 0, 255)))
    values[int(Reg.CONVOLUTION_RATE)] = int(rng.choice((84, 1500, 0, 4095)))
    values |= {int(Reg.BATCH): batch, int(Reg.PENDING): int(rng.integers(max(batch, 1)))}
    values[int(Reg.SAMPLES)] = int(rng.choice((0, 1, 62, 0xFFFFFFFE)))
    for layer in range(len(network.convolutions)):
        values[layer_register(layer, LayerReg.MAGNITUDE)] = int(2 ** rng.uniform(10, 32)) - 1
        values[layer_register(layer, LayerReg.FEEDBACK_SHIFT)] = int(rng.integers(16))
    return values


def draw_case(net: str, lanes: int, rule: Rule, kind: Input, batch: int, seed: int) -> Case:
    """Case of a seed."""
    rng = np.random.default_rng(seed)
    hidden = len(Network(net).hidden)
    network = Network(net, int(rng.integers(1, 9)), int(rng.integers(hidden + 1)), kind, int(rng.choice((1, 2, 4, 8))))
    if rule is not Rule.ZO:
        network = replace(network, intermediate=int(rng.choice(intermediates(network))))
    bits, firing = int(rng.choice((16, 16, 12))), bool(rng.random() < 0.2)
    scales = (3000,) if firing else (300, 3000, 32767)
    values = registers(rng, network, batch)
    leak, reset = ([choices[n] for n in rng.integers(len(choices), size=hidden)] for choices in (LEAKS, RESETS))
    network = replace(network, leak=leak, reset=reset)
    return Case(network, lanes, bits, rule, values, seed, firing, scales)


def intermediates(network: Network) -> list[int]:
    """Choices of `Network.intermediate`, most of them not 0."""
    return [*range(2, network.local + 1), 0]


def seed_of(net: str, lanes: int, rule: Rule) -> int:
    return NETWORKS.index(net) * 1000 + lanes * 10 + rule


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("net", NETWORKS)
def test_every_state_is_the_golden_models(net: str, lanes: int) -> None:
    for number, (rule, kind) in enumerate(product(Rule, Input)):
        run_case(draw_case(net, lanes, rule, kind, (1, 5)[number % 2], seed_of(net, lanes, rule) + 100_000 * kind), 2)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("rule", list(Rule))
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("net", NETWORKS)
def test_every_state_is_the_golden_models_for_long(net: str, lanes: int, rule: Rule, batch: int) -> None:
    for kind in Input:
        run_case(draw_case(net, lanes, rule, kind, batch, seed_of(net, lanes, rule) + 100_000 * kind), 200)


@st.composite
def shapes(draw: st.DrawFn) -> Network:
    """A network of one to three convolutions, with pools where they fit, and at most one dense hidden layer."""
    inputs = below = Map(draw(st.integers(1, 5)), draw(st.integers(1, 8)), draw(st.integers(2, 8)))
    parts: list[object] = []
    for _ in range(draw(st.integers(1, 3))):
        parts.append(Convolution(draw(st.integers(1, 18)), draw(st.sampled_from(KERNELS))))
        below = Map(parts[-1].channels, below.height, below.width)
        if not (below.height % 2 or below.width % 2) and draw(st.booleans()):
            parts.append(Pool())
            below = below.pooled()
    dense = draw(st.lists(st.integers(1, 20), max_size=1))
    sizes = (inputs, *parts, *dense, draw(st.integers(2, 12)))
    hidden = len(Network(sizes).hidden)
    local, block = draw(st.integers(0, hidden)), draw(st.sampled_from(BLOCKS))
    leak, reset = ([draw(st.sampled_from(choices)) for _ in range(hidden)] for choices in (LEAKS, RESETS))
    return Network(sizes, draw(st.integers(1, 8)), local, draw(st.sampled_from(Input)), block, leak, reset)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    network, seed = draw(shapes()), draw(st.integers(0, 1 << 30))
    values = {int(register): draw(st.integers(0, (1 << register.bits) - 1)) for register in RATES}
    batch = draw(st.sampled_from((0, 1, 2, 5, 255)))
    values = registers(np.random.default_rng(seed), network, batch) | values
    lanes, bits, rule = draw(st.sampled_from((4, 16))), draw(st.sampled_from((16, 12))), draw(st.sampled_from(Rule))
    if rule is not Rule.ZO:
        network = replace(network, intermediate=draw(st.sampled_from(intermediates(network))))
    return Case(network, lanes, bits, rule, values, seed, draw(st.booleans()))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=cases())
def test_every_state_is_the_golden_models_for_random_shapes(case: Case) -> None:
    run_case(case, 3)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=cases())
def test_every_state_is_the_golden_models_for_many_shapes(case: Case) -> None:
    run_case(case, 12)


def compare_filled(network: Network, lanes: int, rule: Rule, weights: int, filled: str, chunk: Chunk) -> GoldenCore:
    """Compare the models with the largest entries, but for ``weights`` in all those ``filled``: the golden one."""
    case = Case(network, lanes, 16, rule, {int(Reg.RATE): 255}, 1)
    golden, fast, _ = twins(case)
    for core in (golden, fast):
        core.memory[...] = 32767
        first, *_, readout = core.layers()
        entries = core.local(first) if filled == "local" else core.weights(first if filled == "first" else readout)
        entries[...] = weights
    for number in range(2):
        what = f"after run {number} of {case}"
        flags = RunFlag.TRAIN | RunFlag.FRESH
        assert fast.run(chunk, 0, flags) == golden.run(chunk, 0, flags), f"answer {what}"
        assert_equal_states(golden, fast, what, case.seed)
    return golden


@pytest.mark.parametrize("row", [0, 20, 53])
@pytest.mark.parametrize("end", [GRADIENT.min, GRADIENT.max])
def test_a_gradient_at_an_end_of_its_range_saturates(end: int, row: int) -> None:
    """Wherever it is: the compiled model adds without saturation where all gradients are small."""
    network = Network("6x6x6-4c3-3", 6)
    case = Case(network, 4, 16, Rule.DFA, dict(zip(map(int, RATES), USUAL, strict=True)) | {int(Reg.BATCH): 255}, 5)
    golden, fast, rng = twins(case)
    for core in (golden, fast):
        gradients = core.layer_gradients(core.layers()[0])
        assert gradients.shape[1] == 55
        gradients[...] = 0
        gradients[:, row] = end
    for number in range(3):
        chunk = draw_chunk(rng, network)
        assert fast.run(chunk, 0, RunFlag.TRAIN) == golden.run(chunk, 0, RunFlag.TRAIN)
        assert_equal_states(golden, fast, f"after run {number}", case.seed)
    assert golden.counters[Counter.GRADIENT_SATURATIONS]


@pytest.mark.parametrize("net", ["2x4x4-5c3-3", "9-6-3"])
def test_feedback_shifts_at_the_bounds_of_the_mean(net: str) -> None:
    """With one entry smaller by one, so is the shift."""
    network = Network(net, 1)
    case = Case(network, 4, 16, Rule.DFA, {}, 1)
    for lowered in (0, 1):
        golden, fast, _ = twins(case)
        for core in (golden, fast):
            entries = core.feedback(core.layers()[0])
            entries[...] = 4 * FEEDBACK_MEAN_MAX
            entries[0, 0, 0] -= lowered
            core.run(Chunk.frame([(address, 9) for address in range(network.inputs)]), 0, RunFlag.TRAIN)
            shift = core.read_register(layer_register(0, LayerReg.FEEDBACK_SHIFT))
            assert shift == 3 - lowered, type(core).__name__


@pytest.mark.parametrize("weights", [-32768, 32767])
@pytest.mark.parametrize("kind", [Input.FRAME, Input.GRADED])
@pytest.mark.parametrize("net", ["1024x4x4-2c3-2", "16384-3-2"])
def test_sums_of_the_largest_inputs(net: str, kind: Input, weights: int) -> None:
    network = Network(net, 1, input=kind)
    inputs, values = np.arange(network.inputs), np.full(network.inputs, 255)
    chunk = Chunk(inputs, values) if kind is Input.FRAME else Chunk.of_steps([inputs], [values])
    golden = compare_filled(network, 4, Rule.DFA, weights, "first", chunk)
    assert golden.counters[Counter.EVENTS] == 2 * network.inputs


@pytest.mark.parametrize("weights", [-32768, 32767])
def test_sum_of_the_largest_average(weights: int) -> None:
    network = Network("1x64x64-16c1-p2-2", 1)
    golden = compare_filled(network, 16, Rule.READOUT, weights, "readout", Chunk.frame([]))
    assert golden.counters[Counter.SPIKES_1] == 2 * 16 * 64 * 64


@pytest.mark.parametrize("weights", [-32768, 32767])
def test_local_readout_of_the_largest_block(weights: int) -> None:
    network = Network("1x32x32-128c1-p2-1c1-2", 1, 1, block=32)
    golden = compare_filled(network, 128, Rule.DFA, weights, "local", Chunk.frame([]))
    assert golden.counters[Counter.SPIKES_1] >= 128 * 32 * 32
