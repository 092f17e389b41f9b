"""Stream mode: labels, learning, decisions and resets at any time step, against runs cut by hand."""

from collections.abc import Iterator

import numpy as np
import pytest
from golden_device import GoldenDevice

from opzo.host.data.events.event_sample import EventSample
from opzo.host.data.events.event_samples import Events
from opzo.host.driver.device import Device, open_device
from opzo.host.driver.state import State
from opzo.host.stream.stream import Stream
from opzo.host.training.config import Hyperparameters
from opzo.host.training.schedule_registers import schedule_registers
from opzo.sim.golden.core import GoldenCore
from opzo.spec.commands import RunFlag
from opzo.spec.errors import OpzoError
from opzo.spec.events import Chunk
from opzo.spec.network import Network
from opzo.spec.registers import TIMING_COUNTERS
from opzo.spec.rules import Input, Rule

NETWORK = Network((30, 12, 7, 3), 20, 0, Input.SPIKES)
HYPER = Hyperparameters(rate=200)


def time_steps(count: int, seed: int = 0, inputs: int = 30) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.flatnonzero(rng.random(inputs) < rng.choice((0.0, 0.1, 1.0))) for _ in range(count)]


def prepared(device: GoldenDevice, network: Network = NETWORK) -> GoldenDevice:
    device.configure(network, Rule.OPZO)
    State.initial(network, Rule.OPZO, 3, device.limits).write(device)
    device.write_registers(schedule_registers(HYPER, 0, 1))
    return device


@pytest.fixture
def device() -> Iterator[GoldenDevice]:
    with GoldenDevice(NETWORK.limits(4)) as opened:
        yield prepared(opened)


def run_by_hand(runs: list[tuple[list[np.ndarray], int, RunFlag]]) -> GoldenCore:
    """A golden core after runs of (time steps, label, flags)."""
    with GoldenDevice(NETWORK.limits(4)) as other:
        core = prepared(other).core
        for steps, label, flags in runs:
            core.run(Chunk.of_steps([step.tolist() for step in steps]), label, flags)
    return core


def assert_same(actual: GoldenCore, expected: GoldenCore) -> None:
    for name in ("memory", "membrane", "trace", "history", "input_trace", "input_history", "output_sums"):
        np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name), err_msg=name)
    assert actual.lfsrs.states.tolist() == expected.lfsrs.states.tolist()
    assert actual.loss_sum == expected.loss_sum


def test_runs_end_where_label_or_learning_change(device: Device) -> None:
    steps = time_steps(24)
    stream = Stream(device, NETWORK)
    stream.learning, stream.label = True, 1
    for number, step in enumerate(steps):
        if number == 5:
            stream.label = 2
        if number == 8:
            stream.learning = False
        if number == 10:
            stream.learning = True
            stream.reset()
        stream.step(step)
    stream.decision()
    learn, anew = RunFlag.TRAIN, RunFlag.DECISION
    # 30 inputs: 32 events a run, so full steps make runs shorter; by hand the same cuts.
    expected: list[tuple[list[np.ndarray], int, RunFlag]] = []
    for begin, end, label, flags in (
        (0, 5, 1, learn | RunFlag.FRESH | anew),
        (5, 8, 2, learn | anew),
        (8, 10, 2, RunFlag(0)),
        (10, 24, 2, learn | RunFlag.FRESH),
    ):
        part: list[np.ndarray] = []
        for step in steps[begin:end]:
            if len(part) == 8 or sum(map(len, part)) + len(step) > 32:
                expected.append((part, label, flags))
                part, flags = [], flags & learn
            part.append(step)
        expected.append((part, label, flags))
    assert_same(device.core, run_by_hand(expected))
    assert (stream.steps, stream.events) == (24, sum(map(len, steps)))
    assert stream.lag <= 8 * 3


def test_cuts_do_not_matter_without_learning(device: Device) -> None:
    steps = time_steps(30)
    stream = Stream(device, NETWORK)
    for number, step in enumerate(steps):
        stream.step(step)
        if number % 3 == 1:
            stream.decision()
    decision = stream.decision()
    by_hand = run_by_hand(
        [([step], 0, RunFlag.FRESH if number == 0 else RunFlag(0)) for number, step in enumerate(steps)]
    )
    np.testing.assert_array_equal(device.core.membrane, by_hand.membrane)
    np.testing.assert_array_equal(device.core.output_sums, by_hand.output_sums)
    assert decision.steps == 30
    assert decision.prediction == by_hand.output_sums[:3].argmax()
    np.testing.assert_allclose(decision.outputs, by_hand.output_sums[:3] / 4096 / 30)


def test_unknown_label_is_not_learned_from(device: Device) -> None:
    before = State.read(device, Rule.OPZO)
    stream = Stream(device, NETWORK)
    stream.learning = True
    for step in time_steps(20):
        stream.step(step)
    stream.decision()
    for weights, old in zip(State.read(device, Rule.OPZO).weights, before.weights, strict=True):
        np.testing.assert_array_equal(weights, old)
    assert stream.loss == 0


def test_decision_begins_anew_after_the_window(device: Device) -> None:
    stream = Stream(device, NETWORK, window=6)
    for step in time_steps(16):
        stream.step(step)
    assert stream.decision().steps == 4
    stream.restart_decision()
    assert not stream.undecided
    stream.step(np.array([1]))
    assert stream.decision().steps == 1


def test_loss_is_the_mean_over_all_labelled_steps(device: Device) -> None:
    steps = time_steps(21)
    stream = Stream(device, NETWORK, window=9)
    total = 0
    core = run_by_hand([])
    stream.label = 1
    for number, step in enumerate(steps):
        stream.step(step)
        flags = RunFlag.DECISION | (RunFlag.FRESH if number == 0 else RunFlag(0))
        total += core.run(Chunk.of_steps([step.tolist()]), 1, flags).loss
    stream.label = None
    stream.step(steps[0])
    stream.decision()
    assert stream.loss == pytest.approx(total / 21 / 256)


def test_wrong_steps_and_labels_are_told(device: Device) -> None:
    stream = Stream(device, NETWORK)
    for addresses, message in (([3, 3], "do not ascend"), ([4, 2], "do not ascend"), ([30], "outside the 30 inputs")):
        with pytest.raises(OpzoError, match=message):
            stream.step(np.array(addresses))
    with pytest.raises(OpzoError, match="give values where they are graded only"):
        stream.step(np.array([1]), np.array([2]))
    with pytest.raises(OpzoError, match="label 3 is not a class"):
        stream.label = 3
    with pytest.raises(OpzoError, match=r"window must be in 0\.\.4095"):
        Stream(device, NETWORK, window=4096)
    with pytest.raises(OpzoError, match="takes frames"):
        Stream(device, Network((30, 12, 3)))
    assert stream.decision().steps == 0


def test_graded_stream_has_a_run_a_step() -> None:
    network = Network((30, 12, 3), 20, 0, Input.GRADED)
    with GoldenDevice(network.limits(4)) as device:
        stream = Stream(prepared(device, network), network)
        stream.step(np.array([1, 4]), np.array([255, 3]))
        stream.step(np.array([2]), np.array([7]))
        with pytest.raises(OpzoError, match=r"a value in 1\.\.255"):
            stream.step(np.array([2]), np.array([0]))
        assert stream.decision().steps == 2
        assert device.core.input_history.reshape(-1)[2] == 7
        assert device.core.input_trace.reshape(-1)[[1, 4]].tolist() == [128, 2]


@pytest.mark.parametrize("kind", [Input.SPIKES, Input.GRADED])
def test_chip_streams_like_the_golden_model(kind: Input) -> None:
    network = Network((30, 12, 7, 3), 20, 0, kind)
    seen = []
    for name in ("golden", "rtl"):
        with open_device(name, network, 4) as device:
            stream = Stream(prepared(device, network), network, window=9)
            rng = np.random.default_rng(7)
            decisions = []
            for addresses in time_steps(60, seed=5):
                dice = rng.random()
                if dice < 0.15:
                    stream.label = int(rng.integers(3)) if dice > 0.02 else None
                elif dice < 0.25:
                    stream.learning = not stream.learning
                elif dice < 0.3:
                    stream.reset()
                elif dice < 0.4:
                    decision = stream.decision()
                    decisions.append((decision.prediction, decision.steps, decision.loss, decision.outputs.tolist()))
                values = rng.integers(1, 256, len(addresses))
                stream.step(addresses, values if kind is Input.GRADED else None)
            stream.decision()
            state = State.read(device, Rule.OPZO)
            arrays = [*state.weights, *state.feedback, state.lfsr]
            arrays += [device.read_membranes(layer) for layer in range(2)]
            arrays += [device.read_traces(layer) for layer in range(2)]
            seen.append((decisions, [array.tolist() for array in arrays], stream.loss, stream.lag))
    assert seen[0] == seen[1]
    assert len(seen[0][0]) > 1


@pytest.mark.parametrize("steps", [1, 7, 8, 9, 16, 30, 100])
def test_chip_learns_event_samples_like_the_golden_model(steps: int) -> None:
    network = Network((30, 12, 7, 3), steps, 0, Input.SPIKES)
    samples = [EventSample(*sample_arrays(steps, seed), None, seed % 3) for seed in range(4)]
    data = Events.of(samples, (1, 5, 6))
    seen = []
    for name in ("golden", "rtl"):
        with open_device(name, network, 4) as device:
            results = [
                (result.prediction, result.loss, result.outputs.tolist())
                for train in (True, False)
                for result in prepared(device, network).run(data.samples(), train=train, outputs=True)
            ]
            state = State.read(device, Rule.OPZO)
            arrays = [array.tolist() for array in (*state.weights, *state.feedback, state.lfsr)]
            counters = {
                counter: count for counter, count in device.counters().items() if counter not in TIMING_COUNTERS
            }
            seen.append((results, arrays, counters))
    assert seen[0] == seen[1]


def sample_arrays(steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    lists = time_steps(steps, seed)
    return np.concatenate(lists).astype(np.uint16), np.cumsum([0, *map(len, lists)])
