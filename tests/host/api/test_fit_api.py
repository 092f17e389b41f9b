"""What fit, evaluate and predict take, by which recipe, what they say, and what a break leaves behind."""

import json
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import opzo
from opzo.host.cli.main import main
from opzo.host.data.images.frames import Frames
from opzo.host.data.recipes import RECIPES
from opzo.host.driver import link as link_module
from opzo.host.report.verbosity import messages
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.trainer import Trainer

NETWORK = opzo.Network("9-12-3")
RNG = np.random.default_rng(0)
Y = np.arange(60) % 3
X = np.kron(np.eye(3), np.ones(3))[Y] * 200 + RNG.integers(0, 55, (60, 9))
FRAMES = Frames.of(X, Y)
DATA = opzo.Data("mine", FRAMES, Frames.of(X[:30], Y[:30]))


@pytest.fixture(autouse=True)
def plain_logging() -> Iterator[None]:
    """As in a fresh process: other tests set up the log for the command line."""
    logger = logging.getLogger("opzo")
    before = logger.handlers, logger.level, logger.propagate
    logger.handlers, logger.level, logger.propagate = [], logging.NOTSET, True
    yield
    logger.handlers, logger.level, logger.propagate = before
    opzo.set_verbose(True)


def model(network: opzo.Network = NETWORK, **hyper: Any) -> opzo.Model:
    return opzo.Model(network, opzo.connect("golden", network, lanes=4), **hyper)


def trained(*samples: Any, **arguments: Any) -> list[np.ndarray]:
    one = model()
    one.fit(*samples, epochs=1, progress=False, **arguments)
    return one.weights


def assert_same(a: list[np.ndarray], b: list[np.ndarray]) -> None:
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def test_samples_come_as_arrays_frames_or_data() -> None:
    expected = trained(X, Y)
    for samples in ((FRAMES,), (DATA,), (X.tolist(), Y.tolist())):
        assert_same(trained(*samples), expected)
    for test in ((X, Y), [X, Y], FRAMES, DATA):
        assert_same(trained(FRAMES, test=test), expected)
    one = model()
    assert one.fit(DATA, epochs=1)[-1]["test"]["samples"] == 30
    assert one.fit(FRAMES, epochs=1)[-1]["test"]["samples"] == 0
    assert one.evaluate(DATA) == one.evaluate(DATA.test) == one.evaluate(X[:30], Y[:30])
    np.testing.assert_array_equal(one.predict(DATA), one.predict(X[:30]))
    np.testing.assert_array_equal(one.predict(FRAMES), one.predict(X))


def test_samples_that_cannot_be_are_refused() -> None:
    one = model()
    before = one.weights
    for call, message in (
        (lambda: one.fit(X), "x has images without labels; give y"),
        (lambda: one.evaluate(X), "x has images without labels; give y"),
        (lambda: one.fit(FRAMES, Y), "x is of type Frames, which includes labels; leave y out"),
        (lambda: one.fit(X, Y, test=X), r"test must be images and labels \(x, y\), Frames, Events or Data"),
        (lambda: one.fit(X, Y, test=(X,)), "test must be images and labels"),
        (lambda: one.fit(X, Y, test=(X, Y[:5])), "labels of test"),
        (lambda: one.fit(X, Y, epochs=0.5), "epochs must be a whole number"),  # type: ignore[arg-type]
        (lambda: one.fit(X, Y, epochs=0), r"epochs must be in 1\.\."),
        (lambda: one.fit("digits"), r"x is the string 'digits'; give samples, as from opzo\.load_data\('digits'\)"),
        (lambda: one.predict(None), "x is None; give images"),  # type: ignore[arg-type]
        (lambda: opzo.Data("mine", X, X), "Data takes Frames or Events, not array"),  # type: ignore
        (lambda: opzo.Model.load(5), "a checkpoint must be named by a string or Path, not 5"),  # type: ignore[arg-type]
        (lambda: one.save(5), "a checkpoint must be named by a string or Path, not 5"),  # type: ignore[arg-type]
        (lambda: opzo.Stream(one.device, "9-12-3"), "a stream needs an open device and its network"),  # type: ignore
        (lambda: opzo.connect("serial:/dev/ttyUSB0@" + "9" * 5000), "is not a baud rate"),
        (lambda: opzo.Model(one.device, NETWORK), "a model needs a network and an open device"),  # type: ignore
        (lambda: opzo.connect("fast"), r"built for a network; give one: opzo\.connect\('fast', network\)"),
        (lambda: opzo.connect("fats"), r"'fats' is not a device \(did you mean 'fast'\?\)"),
        (lambda: opzo.connect("/dev/ttyACM0"), r"did you mean 'serial:/dev/ttyACM0'\?"),
        (lambda: opzo.connect("fast", "9-12-3"), "network must be an opzo.Network, not '9-12-3'"),  # type: ignore
        (lambda: opzo.load_data("mnits"), r"no data set 'mnits' \(did you mean 'mnist'\?\)"),
        (lambda: opzo.set_verbose("off"), "set_verbose takes True or False, not 'off'"),  # type: ignore[arg-type]
        (lambda: opzo.load_data(5), "a data set must be named by a string or Path, not 5"),  # type: ignore[arg-type]
    ):
        with pytest.raises(opzo.OpzoError, match=message):
            call()
    assert_same(one.weights, before)
    assert one.hyper.epochs == 30


def test_the_example_trains_as_the_command_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = opzo.load_data("digits")
    network = data.network()
    device = opzo.connect("fast", network, lanes=4)
    one = opzo.Model(network, device, rule="opzo", seed=0)
    history = one.fit(data, epochs=2)
    one.save(tmp_path / "one.npz")
    # A part of the data set trains alike.
    two = opzo.Model(network, device, seed=0)
    two.fit(data.train, epochs=2)
    two.save(tmp_path / "two.npz")
    command = ["train", "--epochs", "2", "--seed", "0", "--device", "fast", "--lanes", "4", "--json"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    files = [tmp_path / "one.npz", tmp_path / "two.npz", tmp_path / "run" / "checkpoint.npz"]
    first, *others = [Checkpoint.load(path) for path in files]
    for other in others:
        assert first.network == other.network
        assert_same(first.state.weights, other.state.weights)
        assert_same(first.state.feedback, other.state.feedback)
        np.testing.assert_array_equal(first.state.lfsr, other.state.lfsr)
    assert one.hyper.mse == RECIPES["digits"]["mse"] == 7
    figures = json.loads(capsys.readouterr().out)
    assert figures["test_accuracy"] == history[-1]["test"]["accuracy"] > 0.8


def test_what_is_given_wins_over_the_recipe(tmp_path: Path) -> None:
    images = Frames.of(X.reshape(-1, 3, 3), Y)
    data = opzo.Data("mnist", images, images)
    one = model(kappa=3, epochs=1, rotate=0, zoom=0)
    one.fit(data)
    assert (one.hyper.kappa, one.hyper.epochs, one.hyper.shift) == (3.0, 1, 0.7)
    one.save(tmp_path / "one.npz")
    # What was used once stays, also in a file.
    again = opzo.Model.load(tmp_path / "one.npz", "golden")
    again.fit(opzo.Data("digits", images, images))
    assert again.hyper == one.hyper
    plain = model(epochs=1)
    plain.fit(X, Y)
    assert (plain.hyper.kappa, plain.hyper.shift) == (10.0, 0.0)


def test_the_network_of_a_data_set_is_that_of_its_recipe() -> None:
    images = Frames.of(RNG.integers(0, 255, (20, 28, 28)), np.arange(20) % 10)
    data = opzo.Data("mnist", images, images)
    assert data.network() == opzo.Network("784-256-256-10", local=2)
    assert data.network("784-20-10") == opzo.Network("784-20-10", local=1)
    assert data.network((784, 20, 10), steps=4, local=0) == opzo.Network("784-20-10", 4)
    assert DATA.network() == opzo.Network("9-128-128-3")
    wanted = opzo.Network("1x28x28-3c3-3c3-10", local=2, intermediate=2)
    assert data.network("1x28x28-3c3-3c3-10", intermediate=2) == wanted
    with pytest.raises(opzo.OpzoError, match=r"local must be in -1\.\.5"):
        data.network(local=-2)


def test_epochs_and_warnings_are_told_on_stderr_unless_switched_off(capsys: pytest.CaptureFixture[str]) -> None:
    dim, wrong = X // 4, Y[::-1]
    model(rate=255, kappa=500).fit(dim, wrong, epochs=2, store=False)
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split()[0] for line in err.splitlines()] == ["test", "epoch", "1", "opzo:", "2"]
    assert "opzo: warning: hidden layer 1 hardly spikes" in err
    assert "lower kappa or raise alpha" in err
    model(rate=255, kappa=500).fit(dim // 9, wrong, epochs=1, progress=False)
    opzo.set_verbose(False)
    model(rate=255, kappa=500).fit(dim // 9, wrong, epochs=1)
    assert capsys.readouterr() == ("", "")
    model().fit(X, Y, epochs=1, progress=True)
    assert "epoch" in capsys.readouterr().err


def log() -> None:
    child = logging.getLogger("opzo.sim.anything")
    with messages():
        child.debug("a debug")
        child.info("compiling")
        child.warning("a warning")
    child.info("later")


def test_messages_of_the_log_are_told_once(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    log()
    assert capsys.readouterr().err == "opzo: compiling\nopzo: warning: a warning\n"
    logger = logging.getLogger("opzo")
    assert (logger.handlers, logger.level, logger.propagate) == ([], logging.NOTSET, True)
    opzo.set_verbose(False)
    log()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("level", "told"),
    [(logging.WARNING, "opzo: compiling\n<a warning>\n"), (logging.INFO, "<compiling>\n<a warning>\n<later>\n")],
)
@pytest.mark.parametrize("name", [None, "opzo"])
def test_logging_of_the_user_stays_in_charge(
    name: str | None, level: int, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger, handler = logging.getLogger(name), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("<%(message)s>"))
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "level", level)
    logging.getLogger("opzo").manager._clear_cache()  # type: ignore[attr-defined]
    log()
    # Who set up the log of opzo itself gets nothing else.
    expected = told if name is None else told.removeprefix("opzo: compiling\n")
    assert capsys.readouterr().err == expected


def test_ctrl_c_in_fit_leaves_the_model_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    one = model(epochs=3)
    real, calls = Trainer._train, []

    def interrupted(self: Trainer, *arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        real(self, *arguments)

    monkeypatch.setattr(Trainer, "_train", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        one.fit(X, Y, progress=False, store=False)
    assert signal.getsignal(signal.SIGINT) is before
    assert one.evaluate(X, Y)["samples"] == 60
    assert [row["epoch"] for row in one.fit(X, Y, epochs=2, progress=False)] == [1, 2]


@pytest.mark.parametrize("kind", [opzo.LinkError, KeyboardInterrupt])
def test_a_break_in_the_middle_of_a_sample_leaves_the_model_usable(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = model(epochs=1)
    real, calls = link_module.Link.finish, []

    def broken(self: link_module.Link, exchange: link_module.Request) -> bytes:
        calls.append(1)
        if len(calls) == 20:
            raise kind("no answer")
        return real(self, exchange)

    with monkeypatch.context() as patch:
        patch.setattr(link_module.Link, "finish", broken)
        with pytest.raises(kind):
            one.fit(X, Y, progress=False, store=False)
    assert 0 < one.device.read_samples() < 60
    assert one.predict(X).shape == (60,)
    assert one.fit(X, Y, progress=False)[-1]["train"]["samples"] == 60


def test_reprs_are_short_and_say_what_it_is() -> None:
    one = model(opzo.Network("9-12-3", 4, input="spikes"))
    sample = opzo.EventSample(np.array([1, 2], np.uint16), np.array([0, 1, 2, 2, 2]))
    events = opzo.Events.of([sample] * 5, (1, 3, 3))
    stream = opzo.Stream(one.device, one.network)
    stream.step(np.array([1]))
    expected = {
        "<Decision: class 0 after 1 time steps>": stream.decision(),
        "<Model Network('9-12-3', steps=4, input='spikes'), rule 'opzo', on golden with 4 lanes>": one,
        "<Device 'golden': 4 lanes, 16-bit weights, holds 9-12-3>": one.device,
        "<Frames: 60 images of 9 pixels, 3 classes>": FRAMES,
        "<Events: 5 samples of 4 time steps, spikes of 1 x 3 x 3 addresses, 1 classes>": events,
        "<EventSample: 2 spikes in 4 time steps, label 0>": sample,
        "<Stream of Network('9-12-3', steps=4, input='spikes') on golden: 1 time steps, 1 events, no label, "
        "learning off>": stream,
        "<Data 'mine': train <Frames: 60 images of 9 pixels, 3 classes>, "
        "test <Frames: 30 images of 9 pixels, 3 classes>>": DATA,
    }
    assert [repr(thing) for thing in expected.values()] == list(expected)
    assert repr(one.hyper).startswith("Hyperparameters(rule='opzo', seed=0, epochs=30, rate=140")


@pytest.mark.parametrize(
    ("bin_us", "text"),
    [
        (5, "10 time steps of 5 us cover 50 us, but half of the recordings last longer than 49000 us"),
        (5_000, None),
        (5_000_000, "cover 50000000 us, but half of the recordings last less than 49000 us"),
    ],
)
def test_time_steps_of_another_unit_are_warned_of(
    bin_us: int, text: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    events = np.zeros(50, [("x", int), ("y", int), ("t", int), ("p", int)])
    events["t"] = np.arange(50) * 1000
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    opzo.Events.from_recordings([events], sensor=(3, 3), steps=10, bin_us=bin_us)
    printed = capsys.readouterr().err
    assert text in printed if text else not printed
    assert printed.startswith("opzo: warning: the recordings: ") is bool(text)
    opzo.set_verbose(False)
    opzo.Events.from_recordings([events], sensor=(3, 3), steps=10, bin_us=bin_us)
    assert capsys.readouterr() == ("", "")
