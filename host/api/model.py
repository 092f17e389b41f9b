"""The Python API: a network on a device, with fit, evaluate, predict, save and load."""

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opzo.host.api.fit import FitReport
from opzo.host.api.verbosity import messages, verbose
from opzo.host.data import data_sets
from opzo.host.data.data_sets import Data
from opzo.host.data.events.event_samples import Events
from opzo.host.data.images.frames import Frames
from opzo.host.data.samples import Given, labelled, tested, unlabelled
from opzo.host.driver.device import Device, open_device
from opzo.host.driver.state import State
from opzo.host.stream.stream import Stream
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Hyperparameters, meant
from opzo.host.training.configure import learning_recipe
from opzo.host.training.old_names import renamed_arguments
from opzo.host.training.run_folder import checkpoint_path
from opzo.host.training.schedule_registers import STREAM_RATE, stream_registers
from opzo.host.training.trainer import Trainer
from opzo.spec.errors import OpzoError
from opzo.spec.formats import WEIGHT
from opzo.spec.messages import shown
from opzo.spec.network import Network
from opzo.system.interrupt import Interrupt
from opzo.system.paths import expanded

ELSEWHERE = {
    **dict.fromkeys(("net", "steps", "local", "intermediate", "input", "block", "leak", "reset"), "opzo.Network(...)"),
    **dict.fromkeys(("device", "lanes", "weight_bits"), "opzo.connect(...)"),
    **dict.fromkeys(("data", "data_root", "crop", "contrast"), "opzo.load_data(...)"),
}
"""Settings of the command line that other functions of the Python API take."""


def connect(
    device: str = "rtl", network: Network | None = None, *, lanes: int = 16, weight_bits: int = WEIGHT.width
) -> Device:
    """Open a device: ``fast``, ``golden``, ``rtl`` or ``serial:/dev/ttyUSB0[@baud]``.

    A simulated device is built for ``network``, with ``lanes`` lanes and ``weight_bits`` (16 or 12) bits per weight. A
    board keeps its own sizes. Raises OpzoError where the device is absent, busy, of another version, or too small.
    """
    with messages():
        return open_device(device, network, lanes, weight_bits)


def load_data(name: str | Path, root: str | Path = "", *, crop: int = 0, contrast: bool | None = None) -> Data:
    """Load a data set by name; ``root`` is the folder of its files, if it has any.

    ``digits``; ``mnist`` and ``fashion-mnist`` (four IDX files, gzipped or not); ``cifar10`` (its python or binary
    version); the synthetic recordings ``saccade-digits`` and ``saccade-mnist`` (of the same files); the recordings
    ``nmnist``, ``dvs-gesture`` and ``cifar10-dvs``; an ``.npz`` file of images or of events.

    ``crop`` uses only the events of so many pixels, in both directions, in the middle of the sensor.
    ``contrast`` makes two channels of each colour of images, above and below its mean over the training images; None:
    only for ``cifar10``.
    """
    if not isinstance(name, str | Path):
        raise OpzoError(
            f"a data set must be named by a string or Path, not {shown(name)}; "
            f"choose {', '.join(data_sets.DATA_SETS)} or a file"
        )
    with messages():
        return data_sets.load_data(str(name), root, crop=crop, contrast=contrast)


class Model:
    """A network on a device, which holds one model at a time.

    Parameters
    ----------
    network : Network
    device : Device
        From `connect`. The model writes its state to it and needs it for its whole lifetime.
    **hyper
        Fields of `opzo.Hyperparameters`: ``rule``, ``seed``, ``epochs``, ``rate``, ... Those that are not given come
        from the recipe of the data set that `fit` gets, else from the defaults.

    Raises OpzoError where the device is too small or a value is out of range. Every method raises OpzoError after
    another model has replaced this one on the device.
    """

    def __init__(self, network: Network, device: Device, **hyper: Any) -> None:
        if not isinstance(network, Network) or not isinstance(device, Device):
            raise OpzoError(
                "a model needs a network and an open device, opzo.Model(network, opzo.connect('fast', network)), "
                f"not {shown(network)} and {shown(device)}"
            )
        values = renamed_arguments(hyper, "opzo.Model", 2)
        self._given = set(values)
        self._trainer = Trainer(device, network, _hyper(values))

    def __repr__(self) -> str:
        return f"<Model {self.network!r}, rule '{self.hyper.rule}', {self._trainer.whereabouts}>"

    @classmethod
    def load(cls, path: str | Path, device: Device | str = "rtl") -> "Model":
        """Load a checkpoint or run folder to an open device, or to a simulated one that is opened for it.

        Its hyper-parameters count as given: no recipe replaces them.
        """
        checkpoint = Checkpoint.load(checkpoint_path(_path(path)))
        keys = {entry.name for entry in fields(Hyperparameters)}
        values = {key: value for key, value in checkpoint.settings.items() if key in keys}
        values["rule"] = checkpoint.rule.name.lower()
        model = cls.__new__(cls)
        model._given = set(values)
        hyper, start = _hyper(values), _restarted(checkpoint)
        if isinstance(device, Device):
            model._trainer = Trainer(device, checkpoint.network, hyper, start)
            return model
        with messages():
            opened = open_device(device, checkpoint.network, checkpoint.lanes, checkpoint.state.weight_bits)
        try:
            model._trainer = Trainer(opened, checkpoint.network, hyper, start)
        except BaseException:
            opened.close()
            raise
        return model

    def save(self, path: str | Path) -> None:
        """Write a checkpoint (.npz), completely or not at all."""
        self._trainer.checkpoint(asdict(self.hyper)).save(_path(path))

    @property
    def network(self) -> Network:
        """The network."""
        return self._trainer.network

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the training data; empty where they are unknown."""
        return self._trainer.class_names

    @property
    def device(self) -> Device:
        """The device; OpzoError where another model has replaced this one on it."""
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
        x: Given,
        y: ArrayLike | None = None,
        *,
        test: tuple[ArrayLike, ArrayLike] | Frames | Events | Data | None = None,
        epochs: int | None = None,
        progress: bool | None = None,
    ) -> list[dict[str, Any]]:
        """Train; returns the metrics of each epoch.

        A second call continues with the current weights and restarts the schedules of step size and noise. Ctrl-C stops
        after the current sample; the model keeps what it has learned.

        Parameters
        ----------
        x : array (count, ...), Frames, Events or Data
            Images of pixels 0..255, events, or a data set, which is used by its training part. Data of a data set with
            a recipe are trained with it, as by ``opzo train``, except for hyper-parameters that were given.
        y : array (count,), for images as an array
            Classes of the images.
        test : (x, y), Frames, Events or Data
            Test samples for after each epoch (default: the test part of a data set ``x``).
        epochs : int
            Replaces the hyper-parameter from now on.
        progress : bool
            Print progress (default: as set by `opzo.set_verbose`).
        """
        shown = verbose() if progress is None else bool(progress)
        with messages(shown):
            train = labelled(x, y, "train", self.network, contrast=self._trainer.contrast)
            contrast = train.contrast if isinstance(train, Frames) else None
            test_samples = tested(test, x, self.network, contrast)
        if epochs is not None:
            self._given.add("epochs")
        found = {key: value for key, value in learning_recipe(train.data_set).items() if key not in self._given}
        hyper = replace(self.hyper, **(found | ({} if epochs is None else {"epochs": epochs})))
        self._trainer.restart(hyper)
        report = FitReport(self._trainer, shown=shown)
        with messages(shown), Interrupt(report.stopping) as interrupt, report:
            report.interrupt = interrupt
            done = self._trainer.fit(train, test_samples, report)
        if not done:
            raise KeyboardInterrupt
        return report.rows

    def evaluate(self, x: Given, y: ArrayLike | None = None) -> dict[str, Any]:
        """Figures on labelled samples: ``accuracy``, ``loss``, ``firing_rates``, ``cycles_per_sample``, ...

        ``x`` and ``y`` as in `fit`; a data set is used by its test part.
        """
        with messages():
            samples = labelled(x, y, "test", self.network, contrast=self._trainer.contrast)
            return self._trainer.evaluate(samples).figures(self.network, self.device.identity)

    def predict(self, x: Given) -> NDArray[np.intp]:
        """Predicted class of each sample; a data set is used by its test part."""
        with messages():
            samples = unlabelled(x, self.network, self._trainer.contrast)
            return self._trainer.predict(samples)

    def stream(self, *, window: int = 0, rate: int = STREAM_RATE) -> Stream:
        """Stream of time steps through the network; ``rate`` is the step size while its learning is on.

        After ``window`` time steps a new decision begins; with 0, only with a new label.
        """
        self._trainer.forget_magnitudes()
        stream = Stream(self.device, self.network, window=window)
        self.device.write_registers(stream_registers(self.hyper, rate))
        return stream


def _path(path: str | Path) -> Path:
    if not isinstance(path, str | Path):
        raise OpzoError(f"a checkpoint must be named by a string or Path, not {shown(path)}")
    return expanded(str(path))


def _raw_weights(matrices: Sequence[ArrayLike], network: Network) -> list[NDArray[np.int16]]:
    """Weights of each layer in Q3.12; OpzoError where they do not fit ``network``."""
    shapes = network.weight_shapes
    if len(matrices) != len(shapes):
        raise OpzoError(f"{network} has {len(shapes)} matrices of weights, not {len(matrices)}")
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


def _restarted(checkpoint: Checkpoint) -> Checkpoint:
    """The same state, at the start of its schedules."""
    names, contrast = checkpoint.class_names, checkpoint.contrast
    return Checkpoint(checkpoint.network, checkpoint.rule, checkpoint.state, class_names=names, contrast=contrast)


def _hyper(values: dict[str, Any]) -> Hyperparameters:
    known = [entry.name for entry in fields(Hyperparameters)]
    for key in values:
        if key in ELSEWHERE:
            raise OpzoError(f"{key} is not a hyper-parameter; pass it to {ELSEWHERE[key]}")
        if key not in known:
            raise OpzoError(f"there is no hyper-parameter '{key}'{meant(key, known)}; there are {', '.join(known)}")
    return Hyperparameters(**values)
