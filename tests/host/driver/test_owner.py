"""A device holds one model at a time: whoever lost it is told, and never sees the weights of another."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import opzo
from opzo.host.selftest.device_under_test import prepare
from opzo.spec.registers import Reg

NETWORK = opzo.Network((9, 8, 3))
EVENTS = opzo.Network((9, 8, 3), steps=4, input="spikes")
X = np.random.default_rng(0).integers(0, 256, (30, 9))
Y = np.arange(30) % 3

USES: dict[str, Callable[[opzo.Model, Path], object]] = {
    "fit": lambda model, path: model.fit(X, Y, epochs=1, progress=False),
    "evaluate": lambda model, path: model.evaluate(X, Y),
    "predict": lambda model, path: model.predict(X),
    "save": lambda model, path: model.save(path / "lost.npz"),
    "weights": lambda model, path: model.weights,
    "new weights": lambda model, path: setattr(model, "weights", [np.zeros((10, 8)), np.zeros((9, 3))]),
    "device": lambda model, path: model.device,
}
"""All that a model does with its device."""

TAKERS: dict[str, Callable[[opzo.Model, Path], object]] = {
    "same network": lambda model, path: opzo.Model(NETWORK, model.device, seed=1),
    "same seed": lambda model, path: opzo.Model(NETWORK, model.device),
    "other network": lambda model, path: opzo.Model(opzo.Network((9, 4, 4, 2)), model.device),
    "load": lambda model, path: opzo.Model.load(path / "other.npz", model.device),
    "configure": lambda model, path: model.device.configure(NETWORK, opzo.Rule.OPZO),
    "write": lambda model, path: model.device.write_weights(0, np.zeros((10, 8), np.int16)),
    "self-test": lambda model, path: prepare(model.device, NETWORK, opzo.Rule.OPZO, 3),
}
"""All that puts something else onto it."""


def model(device: opzo.Device | None = None, network: opzo.Network = NETWORK, **hyper: object) -> opzo.Model:
    return opzo.Model(network, device or opzo.connect("golden", network, lanes=4), **hyper)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    model(seed=5).save(path / "other.npz")
    return path


@pytest.mark.parametrize("taker", TAKERS)
def test_a_model_that_lost_its_device_is_told_whatever_it_does(taker: str, folder: Path) -> None:
    first = model()
    for use in USES.values():
        use(first, folder)
    (folder / "lost.npz").unlink()
    device = first.device
    TAKERS[taker](first, folder)
    for use in USES.values():
        with pytest.raises(
            opzo.OpzoError, match=r"golden no longer holds this model: .* open a device for each with opzo\.con"
        ):
            use(first, folder)
    assert not (folder / "lost.npz").exists()
    assert "lost its device" in repr(first)
    # The device itself goes on.
    USES["evaluate"](model(device), folder)


def test_a_model_that_cannot_be_made_takes_nothing(folder: Path) -> None:
    first = model()
    before = first.weights
    for wrong in (
        lambda: opzo.Model(opzo.Network((9, 4000, 3)), first.device),
        lambda: opzo.Model(NETWORK, first.device, rate=0.1),
        lambda: opzo.Model.load(folder / "other.npz", opzo.connect("golden", NETWORK, lanes=8)),
        lambda: opzo.Model.load(folder / "none.npz", first.device),
    ):
        with pytest.raises(opzo.OpzoError):
            wrong()
    wide = model(opzo.connect("golden", NETWORK, lanes=8))
    with pytest.raises(opzo.OpzoError, match="began with 4 lanes and golden has 8"):
        opzo.Model.load(folder / "other.npz", wide.device)
    for one in (first, wide):
        assert one.evaluate(X, Y)["samples"] == 30
    for a, b in zip(before, first.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_settings_of_learning_and_reading_leave_the_model_in_place() -> None:
    first = model()
    first.device.write_registers({Reg.ALPHA: 100, Reg.RATE: 20})
    first.device.clear_counters()
    first.device.read_weights(0)
    first.device.reset()
    assert first.predict(X).shape == (30,)


def test_weights_are_written_and_read_in_units_of_the_threshold() -> None:
    first = model()
    changed = [matrix / 2 for matrix in first.weights]
    first.weights = changed
    for a, b in zip(first.weights, changed, strict=True):
        np.testing.assert_allclose(a, b, atol=1 / 4096)
    for wrong, message in (
        ([changed[0]], "9-8-3 has 2 matrices of weights, not 1"),
        ([changed[1], changed[0]], r"weights of layer 0 are float64 \(9, 3\); numbers of shape \(10, 8\)"),
        ([changed[0] + 10, changed[1]], r"weights of layer 0 must be in -8\.\."),
        ([changed[0] * np.nan, changed[1]], r"weights of layer 0 must be in -8\.\..*; replace NaN"),
    ):
        with pytest.raises(opzo.OpzoError, match=message):
            first.weights = wrong


def test_a_closed_device_is_a_sentence(folder: Path) -> None:
    first = model()
    device = first.device
    device.close()
    device.close()
    assert repr(device).endswith("closed>")
    assert repr(first).endswith("its device is closed>")
    for name in ("fit", "evaluate", "predict", "save", "weights"):
        with pytest.raises(opzo.OpzoError, match=r"golden is closed; open it again with opzo\.connect"):
            USES[name](first, folder)
    with pytest.raises(opzo.OpzoError, match="is closed"):
        model(device)


def test_a_device_without_a_network_says_so() -> None:
    device = opzo.connect("golden", NETWORK, lanes=4)
    assert repr(device) == "<Device 'golden': 4 lanes, 16-bit weights, holds no network>"
    with pytest.raises(opzo.OpzoError, match="there is no layer 0; golden holds no network"):
        device.read_weights(0)
    device.configure(NETWORK, opzo.Rule.OPZO)
    with pytest.raises(opzo.OpzoError, match=r"there is no layer 2; golden has layers 0\.\.1"):
        device.read_weights(2)


def test_a_stream_needs_its_network_on_the_device() -> None:
    with pytest.raises(opzo.OpzoError, match="holds no network, not 9-8-3"):
        opzo.Stream(opzo.connect("golden", EVENTS, lanes=4), EVENTS)
    with pytest.raises(opzo.OpzoError, match="holds 9-8-3, not 9-4-3"):
        opzo.Stream(model(network=EVENTS).device, opzo.Network((9, 4, 3), input="spikes"))


def test_a_stream_that_lost_its_device_is_told() -> None:
    first = model(network=EVENTS)
    stream = opzo.Stream(first.device, EVENTS)
    stream.step(np.array([1, 2]))
    assert stream.decision().steps == 1
    model(first.device, EVENTS)
    stream.step(np.array([1, 2]))
    with pytest.raises(opzo.OpzoError, match="no longer holds the network of this stream"):
        stream.decision()
    with pytest.raises(opzo.OpzoError, match="no longer holds this model"):
        opzo.Stream(first.device, EVENTS)


def test_the_stream_of_a_model_learns_and_fit_goes_on_after_it() -> None:
    first = model(network=EVENTS)
    events = opzo.Events.of([_sample()] * 6, (1, 3, 3))
    first.fit(events, epochs=1, progress=False)
    before = first.weights
    # As at the end of a schedule.
    first.device.write_registers({Reg.RATE: 0, Reg.ACTIVITY: 0, Reg.DECAY_SHIFT: 0})
    for learns in (False, True):
        stream = first.stream(rate=200) if learns else opzo.Stream(first.device, EVENTS)
        stream.learning, stream.label = True, 1
        for _ in range(16):
            stream.step(np.array([1, 2, 5]))
        stream.decision()
        assert any((a != b).any() for a, b in zip(before, first.weights, strict=True)) is learns
    assert len(first.fit(events, epochs=1, progress=False)) == 1
    with pytest.raises(opzo.OpzoError, match=r"rate must be a whole number in 0\.\.255, not 0\.1"):
        first.stream(rate=0.1)  # type: ignore[arg-type]
    with pytest.raises(opzo.OpzoError, match="9-8-3 takes frames"):
        model().stream()


def test_a_stream_is_told_that_other_samples_ran_meanwhile() -> None:
    first = model(network=EVENTS)
    streams = [opzo.Stream(first.device, EVENTS) for _ in range(2)]
    for stream in streams:
        stream.step(np.array([1, 2]))
        stream.decision()
    streams[0].step(np.array([3]))
    with pytest.raises(opzo.OpzoError, match=r"ran other samples .* call reset\(\) to begin again"):
        streams[0].decision()
    streams[0].reset()
    streams[0].step(np.array([3]))
    assert streams[0].decision().steps == 1
    assert first.predict(opzo.Events.of([_sample()], (1, 3, 3))).shape == (1,)
    streams[0].step(np.array([3]))
    with pytest.raises(opzo.OpzoError, match="ran other samples"):
        streams[0].decision()


def _sample() -> opzo.EventSample:
    return opzo.EventSample(np.array([1, 2], np.uint16), np.array([0, 1, 2, 2, 2]))
