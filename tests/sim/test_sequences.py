"""One chip, many networks: golden model, compiled model and gateware agree in all readable state."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
from small_chip import SMALL_CHIP
from wires import Snapshot, Wire, compare, run_on_wires

from opzo.sim.benches.sequences import Rows, Run, Sequence, Settings, Step
from opzo.sim.fast.core import FastCore
from opzo.sim.golden.core import GoldenCore, RunResult
from opzo.sim.model_transport import ModelTransport
from opzo.sim.rtl.transport import RtlTransport
from opzo.spec.limits import Limits
from opzo.spec.registers import Counter

"""The chip that other tests have compiled."""
MODELS = [
    SMALL_CHIP,
    Limits(lanes=16, rows=600, inputs=9, words=3, classes=40, steps=6, weight_bits=12, layers=5),
    Limits(lanes=4, rows=4096, inputs=256, words=256, classes=12, layers=4, gradients=1024, blocks=128, block=4),
]
CONVOLUTIONS = [
    MODELS[-1],
    Limits(8, 2000, 300, 300, 20, 5, 12, 5, gradients=700, blocks=300, block=32),
    Limits(
        lanes=16, rows=4000, inputs=200, words=200, classes=33, steps=8, layers=3, gradients=2000, blocks=60, block=2
    ),
]
CHIPS = [
    SMALL_CHIP,
    Limits(lanes=4, rows=300, inputs=3, words=5, classes=10, steps=7, weight_bits=12, layers=5, lanes_per_group=4),
    Limits(lanes=8, rows=400, inputs=2, words=4, classes=64, steps=8, weight_bits=16, layers=1, lanes_per_group=8),
    Limits(lanes=16, rows=500, inputs=40, words=4, classes=20, steps=5, weight_bits=16, lanes_per_group=4),
    Limits(lanes=32, rows=300, inputs=20, words=3, classes=64, steps=8, weight_bits=12, lanes_per_group=8),
    Limits(lanes=64, rows=200, inputs=7, words=3, classes=64, steps=3, weight_bits=16, lanes_per_group=8),
]
CORES = {"golden": GoldenCore, "fast": FastCore}


def snapshot_of(core: GoldenCore) -> Snapshot:
    """All that can be read of a model, and what is kept for the next run."""
    values = {
        name: getattr(core, name)
        for name in ("memory", "gradients", "membrane", "negative", "trace", "history", "input_trace", "input_history")
    }
    counters = [core.counters[counter] for counter in Counter]
    values |= {"LFSRs": core.lfsrs.states, "registers": list(core.registers.values()), "counters": counters}
    return {name: np.array(value) for name, value in values.items()}


def do(core: GoldenCore, step: Step) -> RunResult | None:
    """A step on a model."""
    if isinstance(step, Settings):
        for address in sorted(step.values):
            core.write_register(address, step.values[address])
    elif isinstance(step, Rows):
        for row, data in enumerate(step.data, step.first):
            core.write_row(step.space, row, data)
    elif isinstance(step, Run):
        return core.run(step.chunk, step.label, step.flags)
    return None


def fill_empty_lanes(core: GoldenCore, rng: np.random.Generator | None) -> None:
    """Noise, or 0, in the memories' lanes that hold no neuron of the network."""
    *hidden, readout = core.layers()
    for layer in (*hidden, readout):
        empty = np.arange(layer.words * core.limits.lanes).reshape(layer.words, 1, -1) >= layer.neurons
        for rows in [core.weights(layer), *([] if layer is readout else [core.entries(layer)])]:
            places = np.broadcast_to(empty, rows.shape)
            rows[places] = 0 if rng is None else rng.integers(-32768, 32768, places.sum())


def run_on_models(limits: Limits, seed: int, networks: int) -> None:
    """The same steps on golden model and compiled model."""
    golden, fast = GoldenCore(limits), FastCore(limits)
    sequence = Sequence(seed, limits)
    for number, step in enumerate(sequence):
        if sequence.networks > networks:
            break
        where = f"seed {seed}, step {number}, network {sequence.network}"
        answers = [do(core, step) for core in (golden, fast)]
        assert answers[0] == answers[1], f"{where}: answers {answers}, {step}"
        compare("fast", snapshot_of(fast), snapshot_of(golden), where, step)


@pytest.fixture
def wires(request: pytest.FixtureRequest) -> Iterator[list[Wire]]:
    """Golden model, compiled model and gateware of a chip."""
    limits: Limits = request.param
    rtl = RtlTransport(limits)
    models = [Wire(name, ModelTransport(core(limits)), limits) for name, core in CORES.items()]
    yield [*models, Wire("rtl", rtl, limits)]
    rtl.close()


@pytest.mark.parametrize("limits", MODELS, ids=str)
def test_models_agree_whatever_came_before(limits: Limits) -> None:
    for seed in range(5):
        run_on_models(limits, seed, 20)


@pytest.mark.parametrize("wires", [SMALL_CHIP], ids=str, indirect=True)
def test_chip_agrees_whatever_came_before(wires: list[Wire]) -> None:
    for seed in range(3):
        run_on_wires(wires, seed, 40)


@pytest.mark.slow
@pytest.mark.parametrize("limits", CHIPS + CONVOLUTIONS, ids=str)
def test_models_agree_whatever_came_before_for_long(limits: Limits) -> None:
    for seed in range(100, 150):
        run_on_models(limits, seed, 40)


@pytest.mark.slow
@pytest.mark.parametrize("wires", CHIPS, ids=str, indirect=True)
def test_chip_agrees_whatever_came_before_for_long(wires: list[Wire]) -> None:
    for seed in range(100, 110):
        run_on_wires(wires, seed, 40)


def test_lanes_that_hold_no_neuron_do_not_matter() -> None:
    empty, noisy = GoldenCore(SMALL_CHIP), GoldenCore(SMALL_CHIP)
    rng = np.random.default_rng(6)
    for number, step in enumerate(islice(Sequence(6, SMALL_CHIP), 600)):
        if isinstance(step, Run):
            fill_empty_lanes(empty, None)
            fill_empty_lanes(noisy, rng)
        where = f"seed 6, step {number}"
        assert do(empty, step) == do(noisy, step), f"answers, {where}, {step}"
        if isinstance(step, Run):
            fill_empty_lanes(empty, None)
            fill_empty_lanes(noisy, None)
        states = [snapshot_of(core) for core in (noisy, empty)]
        for state in states:
            del state["membrane"]
        compare("with noise", *states, where, step)


def test_what_differs_first_is_named() -> None:
    expected = {"WEIGHTS": np.zeros((3, 4)), "LFSR": np.zeros((2, 4))}
    actual = {name: values.copy() for name, values in expected.items()}
    compare("rtl", actual, expected, "step 7")
    actual["LFSR"][0] = 1
    actual["WEIGHTS"][2, 1:3] = 5
    with pytest.raises(
        AssertionError, match=r"step 7: WEIGHTS, address 2, lane 1: rtl has 5.0, golden 0.0; 2 of 12 differ"
    ):
        compare("rtl", actual, expected, "step 7")
