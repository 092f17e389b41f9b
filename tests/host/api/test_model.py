"""The Python API of a notebook."""

import doctest
import pydoc
import re
import subprocess
import sys
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import opzo
from opzo import plot
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.trainer import Trainer
from opzo.spec.formats import MAGNITUDE_MAX
from opzo.spec.registers import LayerReg, layer_register


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    pixels = np.kron(np.eye(3), np.ones((1, 3)))[labels].reshape(-1, 3, 3) * 200 + rng.integers(0, 55, (120, 3, 3))
    return pixels, labels


NETWORK = opzo.Network((9, 12, 3))


def model(**hyper: object) -> opzo.Model:
    return opzo.Model(NETWORK, opzo.connect("golden", NETWORK, lanes=4), **hyper)


def test_example_of_the_package_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(opzo).failed == 0


def test_fit_evaluate_predict(images: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = images
    one = model(epochs=3)
    history = one.fit(x, y, test=(x[:30], y[:30]), progress=False)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert history[-1]["test"]["samples"] == 30
    figures = one.evaluate(x, y)
    assert figures["accuracy"] == (one.predict(x) == y).mean() > 0.6
    assert [matrix.shape for matrix in one.weights] == [(10, 12), (13, 3)]


def test_save_and_load_keep_the_network(images: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    x, y = images
    one = model(seed=2, kappa=4)
    one.fit(x, y, epochs=1, progress=False)
    one.save(tmp_path / "one.npz")
    again = opzo.Model.load(tmp_path / "one.npz", "golden")
    assert (again.network, again.hyper.seed, again.hyper.kappa) == (NETWORK, 2, 4)
    np.testing.assert_array_equal(again.predict(x), one.predict(x))
    for a, b in zip(again.weights, one.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    # Both train on alike: also noise, M and rounding go on where they were.
    for both in (one, again):
        both.fit(x, y, epochs=1, progress=False)
    for a, b in zip(again.weights, one.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_second_fit_goes_on_from_the_first(images: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = images
    one = model(epochs=1)
    one.fit(x, y, progress=False)
    before = one.weights
    assert len(one.fit(x, y, epochs=2, progress=False)) == 2
    assert any((a != b).any() for a, b in zip(before, one.weights, strict=True))


def test_convolutions_begin_with_small_steps_whenever_the_step_size_begins_anew(
    images: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = images
    network = opzo.Network("1x3x3-4c3-3")
    one = opzo.Model(network, opzo.connect("golden", network, lanes=4), epochs=1)
    starts = []

    def fit(trainer: Trainer, *arguments: Any, original: Any = Trainer.fit, **options: Any) -> bool:
        starts.append(trainer.device.read_magnitudes().tolist())
        return bool(original(trainer, *arguments, **options))

    monkeypatch.setattr(Trainer, "fit", fit)
    for _ in range(2):
        one.fit(x, y, progress=False)
        # The sums follow the gradients meanwhile, which are small at the end.
        assert (one.device.read_magnitudes() < MAGNITUDE_MAX // 2).all()
    assert starts == [[MAGNITUDE_MAX]] * 2
    events = opzo.Network("1x3x3-4c3-3", input="spikes")
    two = opzo.Model(events, opzo.connect("golden", events, lanes=4))
    two._trainer._device.write_registers({layer_register(0, LayerReg.MAGNITUDE): 1})
    two._trainer._writes = two._trainer._device.writes
    two.stream()
    assert two.device.read_magnitudes().tolist() == [MAGNITUDE_MAX]


def test_wrong_use_is_an_opzo_error(images: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    x, y = images
    with pytest.raises(
        opzo.OpzoError, match=r"there is no hyper-parameter 'kapa' \(did you mean 'kappa'\?\); there are rule, seed"
    ):
        model(kapa=8)
    one = model()
    with pytest.raises(opzo.OpzoError, match="8 pixels per frame"):
        one.fit(x.reshape(120, 9)[:, :8], y)
    with pytest.raises(opzo.OpzoError, match="has label 3"):
        one.evaluate(x, y + 1)
    with pytest.raises(opzo.OpzoError, match="pixels are numbers from 0 to 255"):
        one.predict(x * 2)
    with pytest.raises(opzo.OpzoError, match="there is no file"):
        opzo.Model.load(tmp_path / "none.npz", "golden")
    with pytest.raises(opzo.NetworkError, match="1 to 5 hidden layers"):
        opzo.Network((9, 3))


def test_import_is_light_and_offers_what_it_says() -> None:
    code = (
        "import sys, opzo; heavy = {'torch', 'amaranth', 'sklearn', 'matplotlib', 'serial'} & set(sys.modules);"
        "assert not heavy, heavy; [getattr(opzo, name) for name in opzo.__all__ if name != 'Classifier'];"
        "import logging;"
        "assert not logging.getLogger().handlers and not logging.getLogger('opzo').handlers;"
        "import opzo.host.cli.main; heavy = {'torch', 'amaranth', 'sklearn', 'matplotlib', 'opzo.sim', 'opzo.hw'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules); opzo.Classifier"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert set(opzo.__all__) <= set(dir(opzo))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = opzo.nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [*opzo.__all__, *(f"plot.{name}" for name in plot.__all__)])
def test_help_has_the_types_that_the_source_has(name: str) -> None:
    text = pydoc.render_doc(attrgetter(name)(opzo), renderer=pydoc.plaintext)
    # What stands behind ArrayLike and NDArray takes several lines.
    assert not re.search(r"numpy\._typing|numpy\.ndarray\[tuple", text)


def test_a_checkpoint_without_settings_keeps_its_rule(tmp_path: Path) -> None:
    model(rule="dfa").save(tmp_path / "one.npz")
    checkpoint = Checkpoint.load(tmp_path / "one.npz")
    replace(checkpoint, settings={}).save(tmp_path / "bare.npz")
    assert opzo.Model.load(tmp_path / "bare.npz", "golden").hyper.rule == "dfa"
