"""Recordings show what happened on the device, on every device, in the order in which people think."""

from typing import Any

import numpy as np
import pytest
from golden_device import GoldenDevice

import opzo
from opzo.host.driver.state import State
from opzo.spec.formats import ERROR

RNG = np.random.default_rng(0)
Y = np.arange(6) % 3
X = RNG.integers(0, 256, (6, 1, 4, 6), np.uint8)
SPIKES = RNG.random((6, 12, 1, 4, 6)) < 0.3
POOLED = "1x4x6-2c3-p2-3c3-5-3"
LAYERS = ("spikes", "potentials", "traces", "credits")


def model(network: opzo.Network, **hyper: Any) -> opzo.Model:
    """A model whose layers all spike."""
    one = opzo.Model(network, opzo.connect("golden", network, lanes=4), rule="dfa", **hyper)
    one.weights = [np.random.default_rng(1).uniform(-1, 2, matrix.shape) for matrix in one.weights]
    return one


def arrays(recording: opzo.Recording) -> dict[str, Any]:
    return {name: value for name, value in vars(recording).items() if name not in ("network", "learn", "class_names")}


@pytest.mark.parametrize("kind", ["frame", "spikes"])
def test_a_recording_agrees_with_the_other_methods(kind: str) -> None:
    steps = 12 if kind == "spikes" else 6
    network = opzo.Network(POOLED, steps, input=kind)
    one = model(network)
    samples: Any = opzo.Events.from_frames(SPIKES, Y) if kind == "spikes" else opzo.Frames.of(X, Y)
    recording = one.record(samples)
    assert len(recording) == 6
    assert recording.steps == steps
    shapes = [(6, steps, 2, 4, 6), (6, steps, 3, 2, 3), (6, steps, 5)]
    for name in LAYERS:
        assert [values.shape for values in getattr(recording, name)] == shapes
    figures = one.evaluate(samples)
    np.testing.assert_allclose(recording.firing_rates, figures["firing_rates"])
    assert recording.losses is not None
    assert recording.losses.mean() == pytest.approx(figures["loss"], rel=1e-6)
    np.testing.assert_array_equal(recording.readouts.sum(axis=1, dtype=float), one.decision_function(samples))
    np.testing.assert_array_equal(recording.predictions, one.predict(samples))
    for layer, potentials in enumerate(recording.potentials):
        last = one.device.read_membranes(layer) / 4096
        values = potentials[-1, -1]
        np.testing.assert_array_equal(np.moveaxis(values, 0, -1).reshape(-1) if values.ndim == 3 else values, last)
    assert not any(credits.any() for credits in recording.credits)
    powers = np.exp(recording.readouts)
    errors = powers / powers.sum(axis=-1, keepdims=True) - np.eye(3)[Y][:, None]
    assert recording.errors is not None
    np.testing.assert_allclose(recording.errors, errors, atol=3 / ERROR.one)
    for spikes, traces in zip(recording.spikes, recording.traces, strict=True):
        expected = np.zeros(traces[:, 0].shape)
        for step in range(steps):
            expected = np.floor(expected * 64) / 128 + spikes[:, step]
            np.testing.assert_array_equal(traces[:, step], expected)


def test_maps_are_channels_rows_and_columns() -> None:
    network = opzo.Network("1x4x6-2c3-p2-3c3-3", steps=2)
    one = model(network)
    weights = [np.zeros_like(matrix) for matrix in one.weights]
    # Channel 1 of the first layer copies the image, channel 2 of the second one channel 1 of the pool.
    weights[0][4, 1] = 2
    weights[1][4 * 2 + 1, 2] = 2
    one.weights = weights
    image = np.zeros((1, 1, 4, 6))
    image[0, 0, 0, 5] = image[0, 0, 3, 2:4] = image[0, 0, 2, 2:4] = 255
    first, second = (spikes[0, 0] for spikes in one.record(image).spikes)
    np.testing.assert_array_equal(first, np.stack([np.zeros((4, 6)), image[0, 0] > 0]))
    assert np.argwhere(second).tolist() == [[2, 1, 1]]


def test_learning_is_that_of_partial_fit_and_shows_credits() -> None:
    network = opzo.Network(POOLED, local=1)
    one, two = model(network, mse=5), model(network, mse=5)
    recording = one.record(X, Y, learn=True, rate=80, alpha=0.2)
    figures = two.partial_fit(X, Y, rate=80, alpha=0.2)
    states = [vars(State.read(each.device, each._trainer.rule)) for each in (one, two)]
    for name in states[0]:
        np.testing.assert_equal(states[0][name], states[1][name], err_msg=name)
    assert (recording.predictions == Y).mean() == figures["accuracy"]
    assert recording.learn
    assert all(credits.any() for credits in recording.credits)
    # The bias of a dense layer changes by minus the filtered credits, but for decay and rounding.
    three = model(opzo.Network("24-5-3"), decay=0, kappa=500)
    three.weights = before = [matrix / 8 for matrix in three.weights]
    credits = three.record(X[:1].reshape(1, 24), Y[:1], learn=True, rate=255).credits[0][0]
    steps = np.arange(len(credits))
    factors = 2 - 2.0**-steps
    np.testing.assert_allclose(three.weights[0][-1] - before[0][-1], -(factors @ credits), atol=1.5 / 4096)
    assert np.abs(factors @ credits).max() > 4 / 4096


def test_without_labels_there_are_no_errors() -> None:
    one = model(opzo.Network("24-5-3"))
    recording = one.record(X.reshape(6, 24))
    assert (recording.labels, recording.losses, recording.errors) == (None, None, None)
    assert one.record(opzo.Frames.of(X, Y)).errors is not None
    with pytest.raises(opzo.OpzoError, match="x has images without labels; give y"):
        one.record(X.reshape(6, 24), learn=True)


@pytest.mark.parametrize("kind", ["frame", "spikes"])
def test_all_devices_record_the_same(kind: str) -> None:
    # The chip of test_rtl_chip, so that it is compiled once.
    network = opzo.Network("1x8x8-8c3-p2-16c3-10", steps=6, local=2, input=kind, intermediate=2)
    lit = np.random.default_rng(1).random((3, 6, 1, 8, 8)) < 0.3
    samples: Any = opzo.Events.from_frames(lit, Y[:3]) if kind == "spikes" else opzo.Frames.of(lit[:, 0] * 255, Y[:3])
    recordings = []
    for name in ("golden", "fast", "rtl"):
        one = opzo.Model(network, opzo.connect(name, network, lanes=8), seed=3)
        recordings.append([arrays(one.record(samples)), arrays(one.record(samples, learn=True))])
    for other in recordings[1:]:
        np.testing.assert_equal(other, recordings[0])


def test_a_device_that_answers_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    network = opzo.Network("24-5-3")
    with GoldenDevice(network.limits(4)) as device:
        one, run = opzo.Model(network, device), device.core.run
        monkeypatch.setattr(device.core, "run", lambda *given: run(*given)._replace(loss=7))
        with pytest.raises(opzo.OpzoError, match=r"golden differs from the golden model in its losses.*selftest"):
            one.record(X.reshape(6, 24))
