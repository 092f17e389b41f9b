"""Training of a convolution stops within a batch, and resumes with the same bits."""

from pathlib import Path

import numpy as np
import pytest
from command_line import error_of

from opzo.host.data.data_sets import Frames
from opzo.host.driver.device import open_device
from opzo.host.driver.state import State
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Hyperparameters
from opzo.host.training.reports import EpochProgress, EpochReport, Watcher
from opzo.host.training.trainer import Trainer
from opzo.spec.network import Network

NETWORK = Network("1x4x4-5c3-p2-6c3-3", 5, 2, intermediate=2)
BATCH, STOP_AFTER = 5, 8
TWO = ["--net", "1x4x4-3c3-3c3-3"]


SAMPLES = 23
PIXELS = np.random.default_rng(0).integers(0, 256, (SAMPLES + 3, 4, 4))
LABELS = np.arange(len(PIXELS)) % 3
TRAIN, TEST = Frames.of(PIXELS[:SAMPLES], LABELS[:SAMPLES]), Frames.of(PIXELS[SAMPLES:], LABELS[SAMPLES:])


class Stopping(Watcher):
    """Stops after some samples."""

    def __init__(self, stop_after: int | None = None) -> None:
        self._left = stop_after

    def stop(self) -> bool:
        if self._left is not None:
            self._left -= 1
        return self._left is not None and self._left < 0

    def progress(self, progress: EpochProgress) -> None:
        pass

    def epoch(self, report: EpochReport) -> None:
        pass


def trainer(checkpoint: Checkpoint | None = None) -> Trainer:
    hyper = Hyperparameters(epochs=2, batch=BATCH)
    return Trainer(open_device("golden", NETWORK, 4), NETWORK, hyper, checkpoint)


def assert_equal_states(a: State, b: State) -> None:
    for name in ("weights", "feedback", "local", "intermediate", "gradients"):
        for layer, (x, y) in enumerate(zip(getattr(a, name), getattr(b, name), strict=True)):
            np.testing.assert_array_equal(x, y, f"{name} of layer {layer + 1}")
    for name in ("feedback_shift", "lfsr", "magnitudes"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)
    assert (a.samples, a.pending) == (b.samples, b.pending)


def test_a_run_stopped_within_a_batch_resumes_with_the_same_bits(tmp_path: Path) -> None:
    whole = trainer()
    assert whole.fit(TRAIN, TEST, Stopping())
    first = trainer()
    assert not first.fit(TRAIN, TEST, Stopping(STOP_AFTER), store=False)
    saved = first.checkpoint()
    assert saved.state.samples % BATCH == saved.state.pending != 0
    assert saved.state.samples < SAMPLES
    assert all(gradients.any() for gradients in saved.state.gradients)
    assert saved.state.intermediate[0].any()
    saved.save(tmp_path / "checkpoint.npz")
    loaded = Checkpoint.load(tmp_path / "checkpoint.npz")
    assert (loaded.network, loaded.position) == (NETWORK, saved.position)
    assert_equal_states(loaded.state, saved.state)
    second = trainer(loaded)
    assert second.fit(TRAIN, TEST, Stopping())
    final = State.read(whole.device, whole.rule)
    assert_equal_states(State.read(second.device, second.rule), final)
    # 46 samples: the last batch is not full.
    assert (final.samples, final.pending) == (46, 1)
    assert (final.weights[0] != State.initial(NETWORK, whole.rule, 0, NETWORK.limits(4)).weights[0]).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--block", "3"], "block must be 1, 2, 4, 8, 16 or 32, not 3"),
        (["--block", "0"], "block must be 1, 2, 4, 8, 16 or 32, not 0"),
        (["--batch", "0"], "batch must be in 1..255, not 0"),
        (["--batch", "256"], "batch must be in 1..255, not 256"),
        (["--intermediate", "6"], "--intermediate must be in 0..5, not 6"),
        (["--intermediate", "1"], "intermediate is 1; it must be a hidden layer with a local readout (local is 0) and"),
        (
            [*TWO, "--local", "1", "--intermediate", "2"],
            "intermediate is 2; it must be a hidden layer with a local rea",
        ),
        (
            [*TWO, "--local", "2", "--intermediate", "2", "--rule", "zo"],
            "intermediate is 2; rule zo has no feedback matrices: set intermediate to 0 (--intermediate 0), or choose",
        ),
        (
            ["--net", "16-9-9-3", "--local", "2", "--intermediate", "2"],
            "intermediate global learning needs convolutions, and 16-9-9-3 has none",
        ),
        (
            ["--net", "1x4x4-3c3-3c3-22", "--local", "2", "--intermediate", "2"],
            "has 22 classes; intermediate global learning allows 21: set intermediate to 0 (--intermediate 0)",
        ),
        (["--net", "1x4x4-3c7-3"], "the kernel of '3c7' must be 1, 3 or 5, not 7"),
        (["--net", "1x5x4-3c3-p2-3"], "p2 needs an even height; the map 3x5x4 has 5"),
    ],
)
def test_options_that_do_not_work_are_refused(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x_train=PIXELS, y_train=LABELS, x_test=PIXELS[SAMPLES:], y_test=LABELS[SAMPLES:])
    arguments = ["train", "--data", str(path), "--out", str(tmp_path / "run"), "--net", "1x4x4-3c3-3"]
    assert message in error_of([*arguments, "--device", "golden", "--lanes", "4", *options], capsys)
