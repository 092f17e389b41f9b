"""The classifier in the hands of scikit-learn."""

import copy
import gc
import pickle
import warnings
from dataclasses import fields
from inspect import signature
from typing import get_type_hints

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import opzo
from opzo.host.driver.device import Device
from opzo.spec.errors import OpzoError

PIXELS, DIGITS = load_digits(return_X_y=True)
X, Y = PIXELS[:400] * 15, DIGITS[:400]
NAMES = np.array(["zero", "one", "two", "three"])
FEW = Y[:200] < 4
X4, Y4 = X[:200][FEW], NAMES[Y[:200][FEW]]


def classifier(**values: object) -> opzo.Classifier:
    return opzo.Classifier("64-32-4", lanes=4, **{"epochs": 10} | values)  # type: ignore[arg-type]


def test_keywords_are_the_hyper_parameters_with_their_defaults() -> None:
    parameters, hints = signature(opzo.Classifier).parameters, get_type_hints(opzo.Classifier.__init__)
    for entry in fields(opzo.Hyperparameters):
        assert (parameters[entry.name].default, hints[entry.name]) == (entry.default, entry.type)
    others = ["net", "device", "lanes", "weight_bits", "progress"]
    assert list(parameters) == others + [entry.name for entry in fields(opzo.Hyperparameters)]
    values = {name: object() for name in parameters}
    assert opzo.Classifier(**values).get_params() == values  # type: ignore[arg-type]


def test_cross_validation_trains_a_network_for_each_fold() -> None:
    one = opzo.Classifier("64-32-10", lanes=4, epochs=10)
    scores = cross_val_score(one, X, Y, cv=2)
    assert (scores > 0.6).all()
    assert not hasattr(one, "classes_")
    np.testing.assert_array_equal(cross_val_score(one, X, Y, cv=2), scores)
    aucs = cross_val_score(opzo.Classifier(lanes=4, epochs=1), X[:100], Y[:100] % 2, cv=2, scoring="roc_auc")
    assert (aucs > 0.6).all()


def test_a_search_finds_the_network_and_its_hyper_parameters() -> None:
    pipeline = make_pipeline(MinMaxScaler((0, 255), clip=True), classifier())
    nets = [opzo.Network("64-8-4", steps=2), "64-32-4"]
    grid = {"classifier__net": nets, "classifier__rate": [0, 140]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X4 / 16, Y4)
    assert search.best_params_["classifier__rate"] == 140
    scores = dict(zip(map(str, search.cv_results_["params"]), search.cv_results_["mean_test_score"], strict=True))
    assert len(scores) == 4
    assert search.best_score_ == max(scores.values()) > 0.7
    assert set(search.predict(X4[:20] / 16)) <= set(NAMES)


def test_pixels_of_another_scale_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="X has no value above 16, where 255 is white; rescale it") as caught:
        opzo.Classifier(lanes=4, epochs=1).fit(PIXELS[:40], DIGITS[:40] % 2)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opzo.Classifier(lanes=4, epochs=1).fit(PIXELS[:40] > 8, DIGITS[:40] % 2)


def test_labels_may_be_names() -> None:
    one = classifier().fit(X4, Y4)
    assert one.classes_.tolist() == sorted(NAMES)
    assert len(one.history_) == 10
    predictions = one.predict(X4)
    assert one.score(X4, Y4) == (predictions == Y4).mean() > 0.8
    for method in (one.decision_function, one.predict_proba):
        np.testing.assert_array_equal(one.classes_[method(X4).argmax(axis=1)], predictions)
    two = Y4[np.isin(Y4, NAMES[:2])]
    pair = opzo.Classifier(lanes=4, epochs=1).fit(X4[np.isin(Y4, NAMES[:2])], two)
    assert str(pair.model_.network) == "64-128-128-2"
    decisions = pair.decision_function(X4)
    np.testing.assert_array_equal(pair.classes_[(decisions > 0).astype(int)], pair.predict(X4))


def test_copies_of_a_fitted_classifier_work_on() -> None:
    one = classifier().fit(X4, Y4)
    expected, weights = one.predict_proba(X4), one.model_.weights
    for other in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
        np.testing.assert_array_equal(other.predict_proba(X4), expected)
        assert other.model_.device is not one.model_.device
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(other)).model_.weights[0], weights[0])
    one.close()
    one.close()
    np.testing.assert_array_equal(one.predict_proba(X4), expected)
    assert clone(one).get_params() == one.get_params()
    assert not hasattr(clone(one), "classes_")


def test_devices_are_closed_with_their_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    monkeypatch.setattr(Device, "close", lambda self, close=Device.close: (closed.append(self), close(self)))
    one = classifier().fit(X4, Y4)
    first = one.model_.device
    one.fit(X4, Y4)
    assert closed[0] is first
    assert first.closed
    second = one.model_.device
    del one
    gc.collect()
    assert second.closed


def test_it_learns_online() -> None:
    one = classifier(seed=3)
    for _ in range(6):
        for begin in range(0, len(X4), 10):
            one.partial_fit(X4[begin : begin + 10], Y4[begin : begin + 10], NAMES, rate=140)
    assert one.score(X4, Y4) > 0.9
    # As the model does.
    network = opzo.Network("64-32-4")
    model = opzo.Model(network, opzo.connect("fast", network, lanes=4), seed=3)
    for _ in range(6):
        model.partial_fit(X4, np.unique(Y4, return_inverse=True)[1], rate=140)
    np.testing.assert_equal(one.model_.weights, model.weights)
    with pytest.raises(OpzoError, match="y has label 'nine', which is not among the classes"):
        one.partial_fit(X4[:1], ["nine"])


def test_spikes_are_samples_of_a_network_for_events() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    spikes = rng.random((60, 5, 2, 3, 4)) < 0.1
    spikes[y == 1, :, 0] |= rng.random((30, 5, 3, 4)) < 0.6
    network = opzo.Network("24-16-2", steps=5, input="spikes")
    assert cross_val_score(opzo.Classifier(network, lanes=4, epochs=5), spikes, y, cv=2).min() > 0.8
    model = opzo.Model(network, opzo.connect("fast", network, lanes=4), epochs=1)
    model.fit(spikes, y, progress=False)
    np.testing.assert_array_equal(model.predict(spikes), model.predict(opzo.Events.from_frames(spikes)))


def test_wrong_use_is_an_opzo_error() -> None:
    network = opzo.Network("64-32-4")
    model = opzo.Model(network, opzo.connect("golden", network, lanes=4))
    for call, message in (
        (lambda: classifier().fit(X, Y), "64-32-4 has 4 outputs, and the training data 10 classes; change net"),
        (lambda: classifier(kappa=-1).fit(X4, Y4), "kappa must be in"),
        (lambda: opzo.Classifier("64-8-4", device="fats").fit(X4, Y4), r"'fats' is not a device \(did you mean 'fast'"),
        (lambda: classifier().fit(X4, Y4[:, None]), "y has shape"),
        (lambda: classifier().fit(X4[0], Y4), "X has shape"),
        (lambda: classifier().fit(X4 / 255 / 16, Y4), "multiply it by 255"),
        (lambda: cross_val_score(model, X4, Y4), r"a model holds a device and cannot be cloned; use opzo\.Classifier"),
        (lambda: clone(model), r"a model holds a device and cannot be cloned; use opzo\.Classifier"),
    ):
        with pytest.raises(OpzoError, match=message):
            call()
