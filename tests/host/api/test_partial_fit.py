"""Online training: constant steps, nothing but registers written, the same on all devices."""

from typing import Any

import numpy as np
import pytest

import opzo
from opzo.host.driver.device import Device
from opzo.host.driver.state import State
from opzo.host.training.schedule_registers import stream_registers
from opzo.host.training.trainer import Trainer
from opzo.spec.formats import ALPHA_BITS, MAGNITUDE_MAX
from opzo.spec.registers import Reg

RNG = np.random.default_rng(0)
Y = np.arange(60) % 3
X = np.kron(np.eye(3), np.ones(3))[Y] * 200 + RNG.integers(0, 55, (60, 9))
NETWORK = opzo.Network("9-12-3")
CONVOLUTIONS = opzo.Network("1x3x3-4c3-3")


def model(network: opzo.Network = NETWORK, **hyper: Any) -> opzo.Model:
    return opzo.Model(network, opzo.connect("golden", network, lanes=4), **hyper)


def assert_same_state(a: opzo.Model, b: opzo.Model) -> None:
    states = [vars(State.read(one.device, one._trainer.rule)) for one in (a, b)]
    for name in states[0]:
        np.testing.assert_equal(states[0][name], states[1][name], err_msg=name)


def test_calls_of_one_sample_are_as_good_as_one_call() -> None:
    for network in (NETWORK, CONVOLUTIONS):
        one, many = model(network), model(network)
        figures = one.partial_fit(X, Y)
        parts = [many.partial_fit(X[i : i + 1], Y[i : i + 1]) for i in range(60)]
        assert_same_state(one, many)
        assert figures["samples"] == 60
        assert figures["accuracy"] == np.mean([part["accuracy"] for part in parts])
        assert one.score(X, Y) == one.evaluate(X, Y)["accuracy"]


def test_it_learns() -> None:
    one = model()
    for _ in range(3):
        one.partial_fit(X, Y, rate=140)
    assert one.score(X, Y) > 0.6


def test_only_registers_of_learning_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    one = model(CONVOLUTIONS, conv_rate=1400, rate=140, alpha=0.2)
    one.partial_fit(X[:1], Y[:1])
    written = []
    monkeypatch.setattr(Device, "write_memory", None)
    monkeypatch.setattr(Device, "write_registers", lambda self, values: written.append(values))
    one.partial_fit(X[:1], Y[:1])
    one.partial_fit(X[:1], Y[:1], rate=10, alpha=0.5)
    assert written[0] == stream_registers(one.hyper, 20)
    assert (written[0][Reg.RATE], written[0][Reg.CONVOLUTION_RATE], written[0][Reg.ALPHA]) == (20, 200, 819)
    assert (written[1][Reg.RATE], written[1][Reg.ALPHA]) == (10, 1 << ALPHA_BITS >> 1)
    assert len(written) == 2


def test_convolutions_begin_with_small_steps_where_the_step_size_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    one = model(CONVOLUTIONS, epochs=1)
    begins = []

    def train(trainer: Trainer, *arguments: Any, original: Any = Trainer._train) -> None:
        begins.append(trainer.device.read_magnitudes().max())
        original(trainer, *arguments)

    one.fit(X, Y, progress=False)
    monkeypatch.setattr(Trainer, "_train", train)
    for rate in (20, 20, 5, 20, 21, 21):
        one.partial_fit(X, Y, rate=rate)
    one.weights = one.weights
    one.partial_fit(X, Y, rate=5)
    assert [begin == MAGNITUDE_MAX for begin in begins] == [True, False, False, False, True, False, True]
    assert max(begin for begin in begins if begin != MAGNITUDE_MAX) < MAGNITUDE_MAX // 2
    monkeypatch.undo()
    one.fit(X, Y, progress=False)
    # Too large by the ratio of the step sizes if the sums of the end of fit had stayed.
    before = one.weights[0]
    one.partial_fit(X[:1], Y[:1])
    assert np.abs(one.weights[0] - before).max() < 0.01


def test_fit_goes_on_from_what_was_learned_online() -> None:
    one, two = model(epochs=1, init_rate=0.4), model(epochs=1)
    for each in (one, two):
        each.partial_fit(X, Y)
        each.fit(X, Y, progress=False)
    # Weights that have learned are not scaled to the firing rate.
    assert_same_state(one, two)
    fitted = model(epochs=1)
    fitted.fit(X, Y, progress=False)
    before = fitted.hyper
    fitted.partial_fit(X, Y)
    assert fitted.hyper == before


def test_probabilities_are_those_of_the_mean_readout() -> None:
    one = model()
    one.partial_fit(X, Y)
    sums, results = one.decision_function(X), one.device.run(opzo.Frames.of(X, Y).samples(), outputs=True)
    np.testing.assert_array_equal(sums * 4096, [result.outputs for result in results])
    expected = np.exp(sums / 6) / np.exp(sums / 6).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(one.predict_proba(X), expected, rtol=1e-12)
    np.testing.assert_array_equal(one.predict(X), sums.argmax(axis=1))


def test_hyper_parameters_change_from_the_next_fit_on() -> None:
    one = model(epochs=1)
    assert one.get_params() == vars(one.hyper)
    assert one.set_params(rate=100, kappa=3).hyper == opzo.Hyperparameters(epochs=1, rate=100, kappa=3)
    images = opzo.Frames.of(X.reshape(-1, 3, 3), Y)
    one.fit(opzo.Data("digits", images, images), progress=False)
    # What was set wins over the recipe.
    assert (one.hyper.kappa, one.hyper.rate, one.hyper.mse) == (3, 100, 7)
    for values, message in (
        ({"seed": 5}, "seed cannot change: the state of the model was made with it"),
        ({"rule": "dfa"}, "rule cannot change"),
        ({"kapa": 5}, r"no hyper-parameter 'kapa' \(did you mean 'kappa'"),
        ({"rate": 0.1}, "rate must be a whole number"),
    ):
        with pytest.raises(opzo.OpzoError, match=message):
            one.set_params(**values)  # type: ignore[arg-type]


def test_bad_calls_are_refused() -> None:
    one = model()
    before = one.weights
    for arguments, message in (
        ({"rate": 300}, r"rate must be in 0\.\.255, not 300"),
        ({"rate": 0.1}, "rate must be a whole number"),
        ({"alpha": 2}, r"alpha must be in 0\.\.0\.999"),
        ({"y": None}, "x has images without labels"),
        ({"y": Y + 1}, "x has label 3"),
    ):
        with pytest.raises(opzo.OpzoError, match=message):
            one.partial_fit(**{"x": X, "y": Y} | arguments)
    np.testing.assert_equal(one.weights, before)


@pytest.mark.parametrize("kind", ["frame", "spikes", "graded"])
def test_all_devices_end_in_the_same_state(kind: str) -> None:
    # The chip of test_rtl_chip, so that it is compiled once.
    network = opzo.Network("1x8x8-8c3-p2-16c3-10", steps=6, local=2, input=kind, intermediate=2)
    y = np.arange(8) % 10
    samples: Any = opzo.Frames.of(RNG.integers(0, 256, (8, 8, 8)), y)
    if kind != "frame":
        lit = RNG.random((8, 6, 1, 8, 8)) < 0.3
        values = lit * RNG.integers(1, 256, lit.shape) if kind == "graded" else lit
        samples = opzo.Events.from_frames(values, y, graded=kind == "graded")
    models = [opzo.Model(network, opzo.connect(name, network, lanes=8), batch=3) for name in ("golden", "fast", "rtl")]
    for one in models:
        one.partial_fit(samples[:4])
        one.partial_fit(samples[[4, 5]], rate=60)
        one.partial_fit(samples[6:], alpha=0.3)
        assert_same_state(one, models[0])
        np.testing.assert_array_equal(one.decision_function(samples), models[0].decision_function(samples))
        np.testing.assert_array_equal(one.predict(samples), one.predict_proba(samples).argmax(axis=1))
