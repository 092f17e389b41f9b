"""Event samples: what they hold, how they are cut into chunks, and how a network trains on them through the driver."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from opzo.host.api.model import Model
from opzo.host.data.data_sets import Data
from opzo.host.data.events.event_sample import EventSample, chunks
from opzo.host.data.events.event_samples import Events
from opzo.host.data.recipes import recipe
from opzo.host.driver.device import Device, open_device
from opzo.host.driver.state import State
from opzo.host.training.config import Hyperparameters
from opzo.host.training.reports import Watcher
from opzo.host.training.trainer import Trainer
from opzo.spec.errors import OpzoError
from opzo.spec.events import Chunk, decode_steps
from opzo.spec.network import Network
from opzo.spec.registers import Counter
from opzo.spec.rules import Input

SHAPE = (2, 3, 5)
STEPS = 19
NETWORK = Network((30, 12, 3), STEPS, 0, Input.SPIKES)


def sample(rng: np.random.Generator, label: int, *, graded: bool = False, density: float = 0.15) -> EventSample:
    """A third of the addresses is busier than the others; which one is the class."""
    chance = np.where(np.arange(30) // 10 == label, density, density / 8)
    lists = [np.flatnonzero(rng.random(30) < chance) for _ in range(STEPS)]
    addresses = np.concatenate(lists).astype(np.uint16)
    values = rng.integers(150, 256, len(addresses)).astype(np.uint8) if graded else None
    return EventSample(addresses, np.cumsum([0, *map(len, lists)]), values, label)


def events(count: int, seed: int = 0, *, graded: bool = False) -> Events:
    rng = np.random.default_rng(seed)
    return Events.of([sample(rng, n % 3, graded=graded) for n in range(count)], SHAPE)


def test_samples_come_back_as_they_were_given() -> None:
    rng = np.random.default_rng(1)
    given = [sample(rng, n, graded=True) for n in range(3)]
    together = Events.of(given, SHAPE)
    assert (len(together), together.steps, together.inputs, together.graded) == (3, STEPS, 30, True)
    for before, after in zip(given, together, strict=True):
        for name in ("addresses", "offsets", "values"):
            np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
        assert after.label == before.label


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"addresses": np.array([1, 1, 2], np.uint16)}, "addresses that do not ascend within a time step"),
        ({"addresses": np.array([1, 30, 2], np.uint16)}, "address 30 outside"),
        ({"offsets": np.array([[0, 2, 4]])}, "offsets that do not cover"),
        ({"offsets": np.array([[0, 2, 1]])}, "offsets that do not cover"),
        ({"y": np.zeros(2, np.uint8)}, "1 samples, but labels"),
        ({"values": np.array([1, 0, 2], np.uint8)}, "values outside 1..255"),
        ({"addresses": np.array([1, 3, 2], np.int64)}, "addresses of type int64"),
    ],
)
def test_inconsistent_arrays_are_refused(change: dict[str, Any], message: str) -> None:
    arrays = {"addresses": np.array([1, 3, 2], np.uint16), "offsets": np.array([[0, 2, 3]]), "y": np.zeros(1, np.uint8)}
    Events(**arrays, shape=SHAPE)
    with pytest.raises(OpzoError, match=message):
        Events(**(arrays | change), shape=SHAPE)


@pytest.mark.parametrize("graded", [False, True])
def test_chunks_put_together_are_the_sample(graded: bool) -> None:
    rng = np.random.default_rng(2)
    for density in (0.0, 0.1, 1.0):
        whole = sample(rng, 0, graded=graded, density=density)
        parts = list(chunks(whole, 30))
        np.testing.assert_array_equal(np.concatenate([part.addresses for part in parts]), whole.addresses)
        lengths = [len(part.ends) for part in parts]
        assert sum(lengths) == STEPS
        assert lengths == ([1] * STEPS if graded else lengths)
        counts = np.concatenate([np.diff(part.ends, prepend=0) for part in parts])
        np.testing.assert_array_equal(counts, np.diff(whole.offsets))
        if not graded and density < 1:
            assert lengths == [8, 8, 3]


def test_full_time_steps_make_shorter_chunks() -> None:
    whole = EventSample(np.tile(np.arange(30, dtype=np.uint16), 5), np.arange(0, 180, 30))
    # 32 events fit, and a time step has 30.
    assert [len(part.ends) for part in chunks(whole, 30)] == [1] * 5
    assert [len(part.ends) for part in chunks(whole, 100)] == [4, 1]


def test_what_travels_decodes_to_the_chunks() -> None:
    data = events(4)
    for number, travelling in enumerate(data.samples(np.array([3, 1]))):
        expected = list(chunks(data[(3, 1)[number]], 30))
        assert travelling.label == data.y[(3, 1)[number]]
        for payload, chunk in zip(travelling.runs, expected, strict=True):
            decoded, _ = decode_steps(payload, graded=False)
            assert_equal(decoded, chunk)


def assert_equal(actual: Chunk, expected: Chunk) -> None:
    for name in ("addresses", "values", "ends"):
        np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Network((30, 12, 3), STEPS), "the network takes frame input: --input spikes, in Python "),
        (Network((30, 12, 3), STEPS, 0, Input.GRADED), "the network takes graded input"),
        (Network((31, 12, 3), STEPS, 0, Input.SPIKES), r"x has 30 addresses \(2 x 3 x 5\); network 31-12-3 has 31"),
        (Network((30, 12, 3), STEPS + 1, 0, Input.SPIKES), "x has 19 time steps per sample; the network has 20"),
        (Network((30, 12, 2), STEPS, 0, Input.SPIKES), "x has label 2"),
    ],
)
def test_network_that_does_not_fit_is_told(network: Network, message: str) -> None:
    with pytest.raises(OpzoError, match=message):
        events(3).check(network, "x")


@pytest.fixture(params=["golden", "fast"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    with open_device(request.param, NETWORK, 4) as opened:
        yield opened


def test_network_learns_from_events(device: Device) -> None:
    trainer = Trainer(device, NETWORK, Hyperparameters(epochs=10, rate=200, kappa=0.0))
    assert trainer.fit(events(90), None)
    tested = trainer.evaluate(events(60, seed=1))
    assert tested.accuracy > 0.9
    assert tested.counters[Counter.STEPS] == 60 * STEPS
    assert tested.counters[Counter.TEST_RUNS] == 60 * 3
    assert tested.counters[Counter.DROPPED] == 0


def test_stopped_run_goes_on_to_the_same_state() -> None:
    hyper = Hyperparameters(epochs=2, rate=200)

    class Stop(Watcher):
        calls = 0

        def stop(self) -> bool:
            self.calls += 1
            return self.calls > 50

    def state(device: Device) -> State:
        return State.read(device, trainer.rule)

    with open_device("golden", NETWORK, 4) as whole, open_device("fast", NETWORK, 4) as first:
        trainer = Trainer(whole, NETWORK, hyper)
        assert trainer.fit(events(40), None)
        stopped = Trainer(first, NETWORK, hyper)
        assert not stopped.fit(events(40), None, Stop(), store=False)
        checkpoint = stopped.checkpoint()
        with open_device("golden", NETWORK, 4) as second:
            resumed = Trainer(second, NETWORK, hyper, checkpoint)
            assert resumed.fit(events(40), None)
            resumed_state = state(second)
            for name, expected in vars(state(whole)).items():
                actual = getattr(resumed_state, name)
                pairs = zip(actual, expected, strict=True) if isinstance(expected, list) else [(actual, expected)]
                for one, other in pairs:
                    np.testing.assert_array_equal(one, other, err_msg=name)


def test_graded_events_train_too() -> None:
    network = Network((30, 12, 3), STEPS, 0, Input.GRADED)
    with open_device("fast", network, 4) as device:
        trainer = Trainer(device, network, Hyperparameters(epochs=20, rate=200, kappa=0.0))
        assert trainer.fit(events(90, graded=True), None)
        assert trainer.evaluate(events(60, seed=1, graded=True)).accuracy > 0.9


def test_model_takes_events() -> None:
    with open_device("fast", NETWORK, 4) as device:
        model = Model(NETWORK, device, epochs=3, rate=200)
        model.fit(events(60), progress=False)
        test = events(30, seed=1)
        figures = model.evaluate(test)
        assert figures["accuracy"] == np.mean(model.predict(test) == test.y)
        with pytest.raises(OpzoError, match="images without labels"):
            model.evaluate(np.zeros((1, 30)))


def test_augmentation_of_events_is_refused() -> None:
    with open_device("fast", NETWORK, 4) as device:
        trainer = Trainer(device, NETWORK, Hyperparameters(rotate=5.0))
        with pytest.raises(OpzoError, match="events, which cannot be augmented"):
            trainer.fit(events(3), None)


def test_recipe_takes_steps_and_input_from_the_data() -> None:
    data = Data("mine", events(3), events(3, seed=1))
    assert recipe(data) == {"net": "30-128-128-3", "steps": STEPS, "input": "spikes"}
    assert data.digest == events(3).digest != events(3, seed=1).digest
