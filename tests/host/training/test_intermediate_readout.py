"""Intermediate global learning through the driver: the compiled model ends as the golden model does."""

import numpy as np
import pytest

from opzo.host.data.data_sets import Frames
from opzo.host.data.events.event_sample import EventSample
from opzo.host.data.events.event_samples import Events
from opzo.host.driver.device import Device, open_device
from opzo.host.driver.state import State
from opzo.host.driver.statistics import counter_array
from opzo.host.stream.stream import Stream
from opzo.host.training.config import Hyperparameters
from opzo.host.training.trainer import Trainer
from opzo.spec.network import Network
from opzo.spec.registers import TIMING_COUNTERS
from opzo.spec.rules import Input, Rule

NET, SAMPLES = "1x4x4-5c3-6c3-4-3", 11


def network(kind: Input, intermediate: int = 2) -> Network:
    return Network(NET, 11 if kind.events else 6, 2, kind, intermediate=intermediate)


def samples(kind: Input, steps: int) -> Frames | Events:
    rng = np.random.default_rng(int(kind))
    if not kind.events:
        return Frames.of(rng.integers(0, 256, (SAMPLES, 4, 4)), np.arange(SAMPLES) % 3)
    recordings = []
    for number in range(SAMPLES):
        active = rng.random((steps, 16)) < 0.4
        counts = np.concatenate([[0], np.cumsum(active.sum(axis=1))])
        values = rng.integers(1, 256, counts[-1]).astype(np.uint8) if kind is Input.GRADED else None
        recordings.append(EventSample(np.nonzero(active)[1].astype(np.uint16), counts, values, number % 3))
    return Events.of(recordings, (1, 4, 4))


def trained(device: str, rule: Rule, kind: Input, intermediate: int = 2) -> tuple[Device, list[int]]:
    """A device after training, and its counters."""
    net = network(kind, intermediate)
    opened = open_device(device, net, 4)
    hyper = Hyperparameters(rule=rule.name.lower(), epochs=1, batch=3, rate=255, kappa=0)
    data = samples(kind, net.steps)
    trainer = Trainer(opened, net, hyper)
    assert trainer.fit(data, data)
    counters = np.delete(counter_array(opened.counters()), TIMING_COUNTERS).tolist()
    return opened, counters


def assert_equal(a: State, b: State) -> None:
    for name in ("weights", "feedback", "local", "intermediate", "gradients"):
        for x, y in zip(getattr(a, name), getattr(b, name), strict=True):
            np.testing.assert_array_equal(x, y, name)
    for name in ("feedback_shift", "lfsr", "magnitudes"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)


@pytest.mark.parametrize("kind", list(Input))
@pytest.mark.parametrize("rule", [Rule.OPZO, Rule.DFA, Rule.READOUT])
def test_models_end_in_the_same_state(rule: Rule, kind: Input) -> None:
    (golden, counters), (fast, others) = (trained(device, rule, kind) for device in ("golden", "fast"))
    state = State.read(golden, rule)
    assert_equal(State.read(fast, rule), state)
    assert counters == others
    assert all(matrix.any() for matrix in state.intermediate)


def test_the_intermediate_readout_teaches_the_layers_before_it() -> None:
    """With random matrices, which do not change."""
    (with_it, _), (without, _) = (trained("fast", Rule.DFA, Input.FRAME, layer) for layer in (2, 0))
    a, b = State.read(with_it, Rule.DFA), State.read(without, Rule.DFA)
    assert (a.gradients[0] != b.gradients[0]).any()
    np.testing.assert_array_equal(
        a.intermediate[0], State.initial(network(Input.FRAME), Rule.DFA, 0, with_it.limits).intermediate[0]
    )


def test_a_stream_learns_alike_on_both_models() -> None:
    states = []
    for device in ("golden", "fast"):
        opened, _ = trained(device, Rule.OPZO, Input.SPIKES)
        stream = Stream(opened, network(Input.SPIKES))
        stream.learning, stream.label = True, 1
        before = State.read(opened, Rule.OPZO).intermediate[0]
        rng = np.random.default_rng(3)
        for _ in range(29):
            stream.step(np.flatnonzero(rng.random(16) < 0.5))
        stream.decision()
        states.append(State.read(opened, Rule.OPZO))
        assert (states[-1].intermediate[0] != before).any()
    assert_equal(*states)
