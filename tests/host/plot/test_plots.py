"""Pictures show the numbers that they are about."""

import doctest
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

import opzo
from opzo.spec.errors import OpzoError

matplotlib.use("agg")
RNG = np.random.default_rng(0)
Y = np.arange(30) % 3
X = np.kron(np.eye(3), np.ones((1, 3)))[Y] * 200 + RNG.integers(0, 55, (30, 9))


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    pyplot.close("all")


def model(net: str = "9-12-5-3") -> opzo.Model:
    network = opzo.Network(net, steps=5)
    one = opzo.Model(network, opzo.connect("golden", network, lanes=4), epochs=2)
    one.weights = [np.random.default_rng(1).uniform(-1, 2, matrix.shape) for matrix in one.weights]
    return one


@pytest.fixture(scope="module")
def trained() -> tuple[opzo.Model, list[dict[str, Any]]]:
    one = model()
    frames = opzo.Frames.of(X, Y)
    named = opzo.Frames(frames.x, frames.y, names=("left", "middle", "right"))
    return one, one.fit(named, test=(X[:9], Y[:9]), progress=False)


def test_raster_has_a_mark_for_each_spike(trained: tuple[opzo.Model, Any]) -> None:
    recording = trained[0].record(X, Y)
    axes = opzo.plot.raster(recording, 4)
    first, second = (line for line in axes.lines if line.get_marker() == "|")
    for line, spikes, begin in ((first, recording.spikes[0][4], 0), (second, recording.spikes[1][4], 12)):
        steps, neurons = np.nonzero(spikes)
        np.testing.assert_array_equal(line.get_data(), [steps, neurons + begin])
        assert len(steps)
    assert first.get_label() == "hidden layer 1"
    predicted = ("left", "middle", "right")[recording.predictions[4]]
    assert axes.get_title() == f"sample 4, class 1 (middle), predicted {recording.predictions[4]} ({predicted})"
    figure = Figure()
    mine = figure.subplots()
    assert opzo.plot.raster(recording, layers=[1], ax=mine) is mine
    np.testing.assert_array_equal(mine.lines[0].get_data(), np.nonzero(recording.spikes[1][0]))


def test_raster_of_maps_numbers_neurons_channel_by_channel() -> None:
    recording = model("1x3x3-4c3-3").record(X.reshape(-1, 1, 3, 3))
    (line, *_) = opzo.plot.raster(recording).lines
    np.testing.assert_array_equal(line.get_data(), np.nonzero(recording.spikes[0][0].reshape(5, -1)))


def test_potentials_have_the_threshold_and_the_spikes(trained: tuple[opzo.Model, Any]) -> None:
    recording = trained[0].record(X, Y)
    axes = opzo.plot.potentials(recording, 2, layer=1, neurons=[3, 0])
    lines, dots, (threshold,) = axes.lines[0:4:2], axes.lines[1:4:2], axes.lines[4:]
    for line, dot, neuron in zip(lines, dots, (3, 0), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), recording.potentials[1][2, :, neuron])
        np.testing.assert_array_equal(dot.get_xdata(), np.flatnonzero(recording.spikes[1][2, :, neuron]))
        assert line.get_color() == dot.get_color()
    assert list(np.asarray(threshold.get_ydata())) == [1, 1]
    most = [line.get_label() for line in opzo.plot.potentials(recording, 2).lines[::2]][:-1]
    counts = recording.spikes[0][2].sum(axis=0)
    shown = [int(str(label).removeprefix("neuron ")) for label in most]
    assert len(shown) == 6
    assert counts[shown].min() >= np.delete(counts, shown).max()


def pictures(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def test_weights_are_receptive_fields_kernels_or_a_matrix() -> None:
    one = model()
    fields = pictures(opzo.plot.weights(one))
    assert len(fields) == 12
    np.testing.assert_array_equal(fields[7], one.weights[0][:-1, 7].reshape(3, 3))
    assert len(pictures(opzo.plot.weights(one, count=5))) == 5
    row = pictures(opzo.plot.weights(one, shape=(3, 1, 3)))[2]
    np.testing.assert_array_equal(np.delete(row, [3, 7], axis=1), one.weights[0][:-1, 2].reshape(1, 9))
    assert np.isnan(row[:, [3, 7]]).all()
    figure = Figure()
    assert opzo.plot.weights(one, 1, figure=figure) is figure
    # Titles number hidden layers from 1, as those of rasters and reports do.
    titles = [opzo.plot.weights(one, layer).get_suptitle().split(", ")[1] for layer in range(3)]
    assert titles == ["weights of hidden layer 1", "weights of hidden layer 2", "weights of the readout"]
    np.testing.assert_array_equal(pictures(figure)[0], one.weights[1][:-1])
    image = figure.axes[0].images[0]
    assert image.get_clim() == (-np.abs(one.weights[1][:-1]).max(), np.abs(one.weights[1][:-1]).max())
    maps = model("2x4x4-3c3-2c1-3")
    kernels = pictures(opzo.plot.weights(maps))
    assert len(kernels) == 3
    # Row (y, x, channel below) of the matrix.
    expected = maps.weights[0][:-1].reshape(3, 3, 2, 3)
    np.testing.assert_array_equal(kernels[2][:, :3], expected[:, :, 0, 2])
    np.testing.assert_array_equal(kernels[2][:, 4:], expected[:, :, 1, 2])


def test_confusion_counts_labels_and_predictions(trained: tuple[opzo.Model, Any]) -> None:
    one = trained[0]
    expected = confusion_matrix(Y, one.predict(X), labels=range(3))
    frames = opzo.Frames.of(X, Y)
    mine = Figure().subplots()
    data = opzo.Data("mine", frames[:3], frames)
    for axes in (
        opzo.plot.confusion(one, X, Y),
        opzo.plot.confusion(one, frames, ax=mine),
        opzo.plot.confusion(one, data),
    ):
        np.testing.assert_array_equal(axes.images[0].get_array(), expected)
        assert [text.get_text() for text in axes.get_yticklabels()] == ["0 (left)", "1 (middle)", "2 (right)"]
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "class")
        assert {text.get_text() for text in axes.texts} == {str(count) for count in expected.reshape(-1)}
    assert mine.images
    plain = opzo.plot.confusion([[3, 1], [0, 2]])
    assert [text.get_text() for text in plain.get_xticklabels()] == ["0", "1"]


def test_curves_and_rates_are_those_of_the_history(trained: tuple[opzo.Model, list[dict[str, Any]]]) -> None:
    history = trained[1]
    accuracy, rates = opzo.plot.curves(history).axes
    for line, part in zip(accuracy.lines, ("train", "test"), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), [100 * row[part]["accuracy"] for row in history])
    for axes in (rates, opzo.plot.firing_rates(history)):
        for layer, line in enumerate(axes.lines):
            np.testing.assert_array_equal(
                line.get_data(), [[1, 2], [row["test"]["firing_rates"][layer] for row in history]]
            )
        assert len(axes.lines) == 2
    untested = trained[0].fit(X, Y, progress=False)
    accuracy, rates = opzo.plot.curves(untested).axes
    assert len(accuracy.lines) == 1
    np.testing.assert_array_equal(rates.lines[0].get_ydata(), [row["train"]["firing_rates"][0] for row in untested])


def test_rates_of_a_recording_are_by_time_step() -> None:
    recording = model("1x3x3-4c3-5-3").record(X.reshape(-1, 1, 3, 3))
    mine = Figure().subplots()
    assert opzo.plot.firing_rates(recording, ax=mine) is mine
    for line, spikes in zip(mine.lines, recording.spikes, strict=True):
        expected = spikes.reshape(30, 5, -1).mean(axis=(0, 2))
        np.testing.assert_allclose(np.asarray(line.get_ydata(), float), expected)


def test_bad_arguments_are_refused(trained: tuple[opzo.Model, list[dict[str, Any]]]) -> None:
    one, history = trained
    recording = one.record(X)
    for call, message in (
        (lambda: opzo.plot.raster(history), "is not a recording; give one of model.record"),
        (lambda: opzo.plot.raster(recording, 30), r"sample must be in 0\.\.29, not 30"),
        (lambda: opzo.plot.raster(recording, layers=[2]), r"layer must be in 0\.\.1"),
        (lambda: opzo.plot.potentials(recording, neurons=[12]), r"a neuron must be in 0\.\.11"),
        (lambda: opzo.plot.weights(one, 3), r"layer must be in 0\.\.2"),
        (lambda: opzo.plot.weights(one, shape=(1, 2, 3)), r"sees 9 inputs, which is not the shape \(1, 2, 3\)"),
        (lambda: opzo.plot.weights(one, 1, shape=(1, 3, 4)), "shape is that of the samples"),
        (lambda: opzo.plot.weights(recording), "is not a model"),
        (lambda: opzo.plot.confusion(one, X), "x has samples without labels; give y"),
        (lambda: opzo.plot.confusion([[1, 2]]), r"whole numbers \(classes, classes\), not int64 \(1, 2\)"),
        (lambda: opzo.plot.curves([]), "is not a history"),
        (lambda: opzo.plot.firing_rates(history[0]), "is not a history"),  # type: ignore[arg-type]
    ):
        with pytest.raises(OpzoError, match=message):
            call()


def test_the_example_of_the_module_works() -> None:
    assert doctest.testmod(import_module("opzo.plot")).failed == 0


def test_a_picture_in_a_figure_of_the_user_needs_no_pyplot() -> None:
    code = (
        "import sys, numpy as np, opzo; from matplotlib.figure import Figure; network = opzo.Network('9-4-3');"
        "model = opzo.Model(network, opzo.connect('golden', network, lanes=4)); figure = Figure();"
        "opzo.plot.raster(model.record(np.zeros((1, 9))), ax=figure.subplots());"
        "opzo.plot.weights(model, figure=Figure());"
        "assert 'matplotlib.pyplot' not in sys.modules; from opzo.plot import raster; import opzo.plot;"
        "assert opzo.plot.raster is raster"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
