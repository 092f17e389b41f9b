"""Images for a network that begins with a convolution: either order of axes, colours by contrast."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import opzo
from opzo.host.data.images.frames import encode_frame
from opzo.spec.errors import OpzoError

RNG = np.random.default_rng(0)
Y = np.arange(40) % 2
X = RNG.integers(0, 120, (40, 3, 6, 7), np.uint8)
X[Y == 1, 0] += 100
NETWORK = opzo.Network("3x6x7-4c3-2", steps=2)
CODED = opzo.Network("6x6x7-4c3-2", steps=2)


def model(network: opzo.Network, **hyper: Any) -> opzo.Model:
    return opzo.Model(network, opzo.connect("golden", network, lanes=4), epochs=1, **hyper)


@pytest.mark.parametrize("hyper", [{}, {"shift": 1.0, "flip": 1}])
def test_images_of_both_orders_train_alike(hyper: dict[str, Any]) -> None:
    results = []
    for given in (X, X.transpose(0, 2, 3, 1)):
        one = model(NETWORK, **hyper)
        one.fit(given, Y, progress=False)
        results.append([*one.weights, one.predict(given), one.evaluate(given, Y)["loss"]])
    for first, last in zip(*results, strict=True):
        np.testing.assert_array_equal(first, last)


def test_every_sample_is_sent_channel_last(monkeypatch: pytest.MonkeyPatch) -> None:
    one = model(NETWORK)
    sent = []
    run = type(one.device).run

    def spy(self: Any, samples: Any, **options: Any) -> Any:
        samples = list(samples)
        sent.extend(sample.runs[0] for sample in samples)
        return run(self, samples, **options)

    monkeypatch.setattr(type(one.device), "run", spy)
    expected = [encode_frame(image.transpose(1, 2, 0).reshape(-1)) for image in X]
    for use in (lambda: one.fit(X, Y, progress=False, store=False), lambda: one.evaluate(X, Y), lambda: one.predict(X)):
        sent.clear()
        use()
        assert sorted(sent) == sorted(expected)


def test_colours_of_a_model_by_contrast_are_coded(tmp_path: Path) -> None:
    frames = opzo.Frames.of(X, Y).by_contrast()
    one = model(CODED)
    with pytest.raises(OpzoError, match=r"x has samples of 3 x 6 x 7; .* takes 6 x 6 x 7.*frames.by_contrast"):
        one.predict(X)
    one.fit(frames, test=(X, Y), progress=False)
    expected = one.predict(frames)
    np.testing.assert_array_equal(one.predict(X), expected)
    # By the statistics of the training images, not by those of the given ones.
    np.testing.assert_array_equal(one.predict(X[:3].transpose(0, 2, 3, 1)), expected[:3])
    assert one.evaluate(X, Y)["accuracy"] == (expected == Y).mean()
    one.save(tmp_path / "model.npz")
    loaded = opzo.Model.load(tmp_path / "model.npz", "golden")
    np.testing.assert_array_equal(loaded.predict(X), expected)
    loaded.fit(X, Y, progress=False)
    one.fit(frames, progress=False)
    for a, b in zip(loaded.weights, one.weights, strict=True):
        np.testing.assert_array_equal(a, b)
