"""The Python API: a network on a device, with fit, evaluate, predict, save and load."""

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opzo.host.checkpoint import Checkpoint
from opzo.host.config import Hyperparameters, meant
from opzo.host.data import Frames, check_pixels
from opzo.host.device import Device, open_device
from opzo.host.events import Events
from opzo.host.interrupt import Interrupt
from opzo.host.progress import TrainingBar
from opzo.host.run_folder import checkpoint_path
from opzo.host.state import State
from opzo.host.trainer import EpochReport, Progress, Trainer, Watcher
from opzo.spec.errors import OpzoError
from opzo.spec.formats import WEIGHT
from opzo.spec.network import Network

CLOCK = 100.0
"""MHz for which the progress bar turns simulated cycles into time."""
ELSEWHERE = {
    **dict.fromkeys(("net", "steps", "local", "input"), "opzo.Network(...)"),
    **dict.fromkeys(("device", "lanes", "weight_bits"), "opzo.connect(...)"),
    **dict.fromkeys(("data", "data_root"), "opzo.load_data(...)"),
}
"""Settings of the command line that the Python API takes in another place."""


def connect(
    device: str = "rtl", network: Network | None = None, *, lanes: int = 16, weight_bits: int = WEIGHT.width
) -> Device:
    """Open a device: ``fast``, ``golden``, ``rtl`` or ``serial:/dev/ttyUSB0[@baud]``.

    The simulated ones are built for ``network`` with ``lanes`` lanes and ``weight_bits`` (16 or 12) bits a weight; a
    board is what it is. Raises OpzoError where the device is absent, busy, of another version, or too small.
    """
    return open_device(device, network, lanes, weight_bits)


class Model:
    """A network on a device.

    Parameters
    ----------
    network : Network
    device : Device
        From `connect`; the model fills it and needs it as long as it lives.
    **hyper
        Fields of ``opzo.host.config.Hyperparameters``: ``rule``, ``seed``, ``epochs``, ``rate``, ``kappa``, ...

    Raises OpzoError where the device is too small or a value cannot be.
    """

    def __init__(self, network: Network, device: Device, **hyper: Any) -> None:
        self._trainer = Trainer(device, network, _hyper(hyper))

    def __repr__(self) -> str:
        return f"<Model {self.network!r}, {self.hyper.rule}, {self._trainer.place}>"

    @classmethod
    def load(cls, path: str | Path, device: Device | str = "rtl") -> "Model":
        """Model of a checkpoint or run folder, on an open device or a simulated one that is opened for it."""
        checkpoint = Checkpoint.load(checkpoint_path(Path(path)))
        keys = {entry.name for entry in fields(Hyperparameters)}
        hyper = _hyper({key: value for key, value in checkpoint.settings.items() if key in keys})
        model = cls.__new__(cls)
        if isinstance(device, Device):
            model._trainer = Trainer(device, checkpoint.network, hyper, _anew(checkpoint))
            return model
        opened = open_device(device, checkpoint.network, checkpoint.lanes, checkpoint.state.weight_bits)
        try:
            model._trainer = Trainer(opened, checkpoint.network, hyper, _anew(checkpoint))
        except BaseException:
            opened.close()
            raise
        return model

    def save(self, path: str | Path) -> None:
        """Write a checkpoint (.npz); whole or not at all."""
        self._trainer.checkpoint(asdict(self.hyper)).save(Path(path))

    @property
    def network(self) -> Network:
        """The network."""
        return self._trainer.network

    @property
    def device(self) -> Device:
        """The device it is on; OpzoError where another model took its place there."""
        return self._trainer.device

    @property
    def hyper(self) -> Hyperparameters:
        """The hyper-parameters."""
        return self._trainer.hyper

    @property
    def weights(self) -> list[NDArray[np.float64]]:
        """Weights of each layer, (n_in + 1, n_out), read from the device; the last row is the bias."""
        return [matrix / WEIGHT.one for matrix in State.read(self.device, self._trainer.rule).weights]

    @weights.setter
    def weights(self, matrices: Sequence[ArrayLike]) -> None:
        self._trainer.write_weights(_raw_weights(matrices, self.network))

    def fit(
        self,
        x: ArrayLike | Events,
        y: ArrayLike | None = None,
        *,
        test: tuple[ArrayLike, ArrayLike] | Events | None = None,
        epochs: int | None = None,
        progress: bool = True,
    ) -> list[dict[str, Any]]:
        """Train on images ``x`` (count, ...) of pixels 0..255 with classes ``y``, or on events; the metrics by epoch.

        A second call trains on from where the first ended, with the schedules of step size and noise from their start.
        Ctrl-C stops after a whole sample; the model is then as far as it came.
        """
        train = _samples(x, y)
        tested = test if test is None or isinstance(test, Events) else Frames.of(*test, "test x", "test y")
        for samples in (train, tested):
            if samples is not None:
                samples.check(self.network, "x")
        hyper = self.hyper if epochs is None else replace(self.hyper, epochs=epochs)
        self._trainer.restart(hyper)
        bar = TrainingBar(self.network, hyper.epochs, CLOCK, enabled=progress)
        with Interrupt() as interrupt, bar:
            watcher = _Fit(self._trainer, bar, interrupt)
            done = self._trainer.fit(train, tested, watcher)
        if not done:
            raise KeyboardInterrupt
        return watcher.rows

    def evaluate(self, x: ArrayLike | Events, y: ArrayLike | None = None) -> dict[str, Any]:
        """Figures on labelled images or events: ``accuracy``, ``loss``, ``firing_rates``, ``cycles_per_sample``, ..."""
        samples = _samples(x, y)
        samples.check(self.network, "x")
        return self._trainer.evaluate(samples).figures(self.network, self.device.identity)

    def predict(self, x: ArrayLike | Events) -> NDArray[np.intp]:
        """Class of each image or event sample."""
        samples: Frames | Events
        if isinstance(x, Events):
            samples = x
        else:
            pixels = check_pixels(x)
            samples = Frames(pixels, np.zeros(len(pixels), np.uint8))
        samples.check(self.network, "x")
        return self._trainer.predict(samples)


class _Fit(Watcher):
    def __init__(self, trainer: Trainer, bar: TrainingBar, interrupt: Interrupt) -> None:
        self.rows: list[dict[str, Any]] = []
        self._trainer, self._bar, self._interrupt = trainer, bar, interrupt

    def stop(self) -> bool:
        return self._interrupt.requested

    def progress(self, progress: Progress) -> None:
        self._bar.show(progress)

    def epoch(self, report: EpochReport) -> None:
        self.rows.append(report.row(self._trainer.network, self._trainer.device.identity))


def _samples(x: ArrayLike | Events, y: ArrayLike | None) -> Frames | Events:
    """What was given to train or test on; events have their labels with them."""
    if isinstance(x, Events):
        return x
    if y is None:
        raise OpzoError("images need labels; give y")
    return Frames.of(x, y)


def _raw_weights(matrices: Sequence[ArrayLike], network: Network) -> list[NDArray[np.int16]]:
    """Weights of each layer as the device holds them; OpzoError where they are no weights of ``network``."""
    shapes = [(n_in + 1, n_out) for n_in, n_out in pairwise(network.sizes)]
    if len(matrices) != len(shapes):
        raise OpzoError(f"there are {len(matrices)} matrices of weights; {network} has {len(shapes)}")
    raw = []
    for layer, (matrix, shape) in enumerate(zip(matrices, shapes, strict=True)):
        values = np.asarray(matrix)
        if values.shape != shape or values.dtype.kind not in "iuf":
            raise OpzoError(
                f"weights of layer {layer} are {values.dtype} {values.shape}; numbers of shape {shape} expected"
            )
        least, most = WEIGHT.min / WEIGHT.one, WEIGHT.max / WEIGHT.one
        if not ((least <= values) & (values <= most)).all():
            raise OpzoError(f"weights of layer {layer} must be in {least:g}..{most:g}; scale or clip them")
        raw.append(np.rint(values * WEIGHT.one).astype(np.int16))
    return raw


def _anew(checkpoint: Checkpoint) -> Checkpoint:
    """The same state at the start of its schedules."""
    names = checkpoint.class_names
    return Checkpoint(checkpoint.network, checkpoint.rule, checkpoint.state, class_names=names)


def _hyper(values: dict[str, Any]) -> Hyperparameters:
    known = [entry.name for entry in fields(Hyperparameters)]
    for key in values:
        if key in ELSEWHERE:
            raise OpzoError(f"{key} is no hyper-parameter; it belongs to {ELSEWHERE[key]}")
        if key not in known:
            raise OpzoError(f"there is no hyper-parameter '{key}'{meant(key, known)}; there are {', '.join(known)}")
    return Hyperparameters(**values)
