"""Training on the golden model: it learns, stops between any two samples, and goes on bit for bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from opzo.host.data.data_sets import Frames
from opzo.host.driver.device import open_device
from opzo.host.driver.state import State
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Hyperparameters
from opzo.host.training.reports import EpochProgress, EpochReport, Watcher
from opzo.host.training.trainer import Trainer
from opzo.spec.errors import OpzoError
from opzo.spec.network import Network
from opzo.spec.registers import Counter, Reg
from opzo.spec.rules import Rule

NETWORK = Network((9, 14, 6, 3))
LANES = 4


def frames(count: int, seed: int) -> Frames:
    """Three noisy patterns."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    patterns = np.kron(np.eye(3), np.ones(3)) * 200
    return Frames.of(np.clip(patterns[labels] + rng.integers(0, 55, (count, 9)), 0, 255), labels)


TRAIN, TEST = frames(150, 0), frames(30, 1)


class Recorder(Watcher):
    """Keeps what it hears; stops after so many looks; keeps the checkpoints it is asked for."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.looks = 0
        self.stop_after = stop_after
        self.reports: list[EpochReport] = []
        self.heard: list[EpochProgress] = []
        self.saved: list[Checkpoint] = []

    def stop(self) -> bool:
        self.looks += 1
        return self.stop_after is not None and self.looks > self.stop_after

    def progress(self, progress: EpochProgress) -> None:
        self.heard.append(progress)

    def epoch(self, report: EpochReport) -> None:
        self.reports.append(report)

    def save(self, trainer: Trainer) -> None:
        self.saved.append(trainer.checkpoint())


def trainer(hyper: Hyperparameters, checkpoint: Checkpoint | None = None, lanes: int = LANES) -> Trainer:
    return Trainer(open_device("golden", NETWORK, lanes), NETWORK, hyper, checkpoint)


def assert_equal_states(a: State, b: State) -> None:
    for name in ("weights", "feedback"):
        for x, y in zip(getattr(a, name), getattr(b, name), strict=True):
            np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(a.feedback_shift, b.feedback_shift)
    np.testing.assert_array_equal(a.lfsr, b.lfsr)
    assert a.samples == b.samples


@pytest.fixture(scope="module")
def whole() -> Callable[[str], tuple[State, list[EpochReport]]]:
    """Final state and reports of an undisturbed run, by rule."""
    kept: dict[str, tuple[State, list[EpochReport]]] = {}

    def run(rule: str) -> tuple[State, list[EpochReport]]:
        if rule not in kept:
            one, watcher = trainer(Hyperparameters(rule=rule, epochs=3)), Recorder()
            assert one.fit(TRAIN, TEST, watcher)
            kept[rule] = State.read(one.device, one.rule), watcher.reports
        return kept[rule]

    return run


@pytest.mark.parametrize("rule", ["opzo", "dfa", "zo", "readout"])
def test_every_rule_trains(rule: str, whole: Callable[[str], tuple[State, list[EpochReport]]]) -> None:
    state, reports = whole(rule)
    assert state.samples == 450
    assert [report.epoch for report in reports] == [1, 2, 3]
    assert reports[-1].test.accuracy > 0.6
    before = State.initial(NETWORK, Rule.parse(rule), 0, NETWORK.limits(LANES))
    moved = [bool((a != b).any()) for a, b in zip(state.weights, before.weights, strict=True)]
    assert moved == ([False, False, True] if rule == "readout" else [True, True, True])


@pytest.mark.parametrize(
    ("rule", "stop_after", "store"),
    [
        *(("opzo", n, False) for n in (1, 70, 170, 300)),
        ("dfa", 130, False),
        *(("opzo", n, True) for n in (1, 2, 5, 6, 9, 14)),
        ("dfa", 7, True),
    ],
)
def test_stopped_run_goes_on_to_the_same_state_on_a_fresh_device(
    rule: str, stop_after: int, store: bool, whole: Callable[[str], tuple[State, list[EpochReport]]]
) -> None:
    """Sent one by one it stops between any two samples, from the store between two blocks."""
    hyper = Hyperparameters(rule=rule, epochs=3)
    first, watcher = trainer(hyper), Recorder(stop_after)
    assert not first.fit(TRAIN, TEST, watcher, store=store)
    second, rest = trainer(hyper, first.checkpoint()), Recorder()
    assert second.fit(TRAIN, TEST, rest)
    state, reports = whole(rule)
    assert_equal_states(State.read(second.device, second.rule), state)
    for report, expected in zip(watcher.reports + rest.reports, reports, strict=True):
        for part in ("train", "test"):
            a, b = getattr(report, part), getattr(expected, part)
            assert (a.samples, a.correct, a.loss) == (b.samples, b.correct, b.loss)
            np.testing.assert_array_equal(a.counters, b.counters)


def test_every_checkpoint_within_an_epoch_leads_to_the_same_state(
    whole: Callable[[str], tuple[State, list[EpochReport]]],
) -> None:
    hyper = Hyperparameters(epochs=3)
    watcher = Recorder()
    trainer(hyper).fit(TRAIN, TEST, watcher, checkpoint_every=50)
    places = [(checkpoint.epoch, checkpoint.position) for checkpoint in watcher.saved]
    assert places == [(0, 64), (0, 128), (1, 0), (1, 106), (2, 0), (2, 84), (2, 148), (3, 0)]
    for checkpoint in watcher.saved[3:-1]:
        again = trainer(hyper, checkpoint)
        again.fit(TRAIN, TEST)
        assert_equal_states(State.read(again.device, again.rule), whole("opzo")[0])


@pytest.mark.parametrize("rule", [Rule.OPZO, Rule.DFA])
def test_device_begins_with_what_the_seed_stands_for(rule: Rule) -> None:
    one = trainer(Hyperparameters(rule=rule.name, seed=4))
    assert_equal_states(State.read(one.device, rule), State.initial(NETWORK, rule, 4, NETWORK.limits(LANES)))


def test_every_epoch_has_every_sample_once_in_an_order_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[int] = []
    real = Frames.samples

    def samples(self: Frames, order: np.ndarray | None = None, **options: Any) -> object:
        orders.extend(() if order is None else order.tolist())
        return real(self, order, **options)

    monkeypatch.setattr(Frames, "samples", samples)
    trainer(Hyperparameters(epochs=2)).fit(TRAIN, TEST, store=False)
    first, second = orders[:150], orders[150:]
    assert sorted(first) == sorted(second) == list(range(150))
    assert first != second
    assert first != sorted(first)


def test_other_seeds_give_other_weights() -> None:
    states = []
    for seed in (0, 1):
        one = trainer(Hyperparameters(seed=seed, epochs=1))
        one.fit(TRAIN, TEST)
        states.append(State.read(one.device, one.rule))
    assert (states[0].weights[2] != states[1].weights[2]).any()


def test_test_samples_leave_the_state_as_it_is() -> None:
    one = trainer(Hyperparameters(epochs=1))
    one.fit(TRAIN, None)
    before = State.read(one.device, one.rule)
    tally = one.evaluate(TEST)
    assert_equal_states(State.read(one.device, one.rule), before)
    assert tally.samples == 30
    assert tally.counters[Counter.TEST_RUNS] == 30
    assert tally.counters[Counter.TRAIN_RUNS] == 0
    assert one.predict(TEST).shape == (30,)
    assert (one.predict(TEST) == TEST.y).mean() == tally.accuracy


def test_registers_change_at_multiples_of_64_samples_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    one = trainer(Hyperparameters(epochs=2))
    rates: list[tuple[int, int]] = []
    real = one.device.write_registers

    def record(values: dict[int, int]) -> None:
        if Reg.ALPHA in values:
            rates.append((one.epoch * len(TRAIN) + one.position, values[Reg.ALPHA]))
        real(values)

    monkeypatch.setattr(one.device, "write_registers", record)
    one.fit(TRAIN, TEST, store=False)
    assert [sample for sample, _ in rates] == [0, 64, 128, 192, 256]
    assert rates[0][1] == 410
    assert rates[-1][1] == round((0.1 - 0.05 * 256 / 300) * 4096)


def test_checkpoint_needs_a_device_of_as_many_lanes() -> None:
    checkpoint = trainer(Hyperparameters()).checkpoint()
    with pytest.raises(OpzoError, match="began with 4 lanes and golden has 8; use a device with 4 lanes"):
        trainer(Hyperparameters(), checkpoint, lanes=8)


def test_checkpoint_of_another_network_or_rule_is_refused() -> None:
    checkpoint = trainer(Hyperparameters()).checkpoint()
    with pytest.raises(OpzoError, match="the checkpoint is of 9-14-6-3"):
        trainer(Hyperparameters(rule="dfa"), checkpoint)
    other = Network((9, 5, 3))
    with pytest.raises(OpzoError, match="not 9-5-3"):
        Trainer(open_device("golden", other, LANES), other, Hyperparameters(), checkpoint)


def test_figures_are_those_of_the_counters() -> None:
    one = trainer(Hyperparameters(epochs=1))
    watcher = Recorder()
    one.fit(TRAIN, TEST, watcher)
    figures = watcher.reports[0].row(NETWORK, one.device.identity)["train"]
    counters = one.device.counters()
    assert figures["cycles_per_sample"] == counters[Counter.TRAIN_CYCLES] / 150
    assert figures["cycles"] == "modelled"
    assert figures["weight_updates_per_sample"] == counters[Counter.LEARN] * LANES / 150
    assert len(figures["firing_rates"]) == 2
    assert all(0 < rate < 1 for rate in figures["firing_rates"])
    assert watcher.heard[-1].position == 150
