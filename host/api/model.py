"""The Python API: a network on a device, with fit, partial_fit, evaluate, predict, save and load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, NoReturn, Self, Unpack, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opzo.host.api.fit import FitReport
from opzo.host.api.hyper import check_names, hyper_parameters
from opzo.host.api.recorder import record
from opzo.host.api.recording import Recording
from opzo.host.data.data_sets import Data
from opzo.host.data.events.event_samples import Events
from opzo.host.data.images.frames import Frames
from opzo.host.data.samples import Given, labelled, tested, unlabelled
from opzo.host.driver.device import Device, open_device
from opzo.host.driver.input_order import channel_last_shape
from opzo.host.report.verbosity import messages, verbose
from opzo.host.stream.stream import Stream
from opzo.host.training.arguments import HyperparameterArguments
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Hyperparameters
from opzo.host.training.configure import learning_recipe
from opzo.host.training.old_names import renamed_arguments
from opzo.host.training.prediction import probabilities
from opzo.host.training.run_folder import checkpoint_path
from opzo.host.training.schedule_registers import STREAM_RATE, stream_registers
from opzo.host.training.trainer import Trainer
from opzo.spec.errors import OpzoError
from opzo.spec.formats import OUTPUT_SUM, WEIGHT
from opzo.spec.messages import shown
from opzo.spec.network import Network
from opzo.system.interrupt import Interrupt
from opzo.system.paths import file_path


class Model:
    """A network on a device, which holds one model at a time.

    Parameters
    ----------
    network : Network
    device : Device
        From `connect`. The model writes its state to it and needs it for its whole lifetime.
    **hyper
        Fields of `opzo.Hyperparameters`, which explains them: ``rule``, ``seed``, ``epochs``, ``rate``, ... Those that
        are not given come from the recipe of the data set that `fit` gets, else from the defaults.

    Raises OpzoError where the device is too small or a value is out of range. Every method raises OpzoError after
    another model has replaced this one on the device.
    """

    def __init__(self, network: Network, device: Device, **hyper: Unpack[HyperparameterArguments]) -> None:
        if not isinstance(network, Network) or not isinstance(device, Device):
            raise OpzoError(
                "a model needs a network and an open device, opzo.Model(network, opzo.connect('fast', network)), "
                f"not {shown(network)} and {shown(device)}"
            )
        values = renamed_arguments(cast("dict[str, Any]", hyper), "opzo.Model", 2)
        self._given = set(values)
        self._trainer = Trainer(device, network, hyper_parameters(values))

    def __repr__(self) -> str:
        return f"<Model {self.network!r}, rule '{self.hyper.rule}', {self._trainer.whereabouts}>"

    @classmethod
    def load(cls, path: str | Path, device: Device | str = "rtl") -> Model:
        """Load a checkpoint or run folder to an open device, or to a simulated one that is opened for it.

        Its hyper-parameters count as given: no recipe replaces them.
        """
        return cls.from_checkpoint(Checkpoint.load(checkpoint_path(file_path(path, "a checkpoint"))), device)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, device: Device | str) -> Model:
        """A model in the state of a checkpoint, at the start of its schedules."""
        keys = {entry.name for entry in fields(Hyperparameters)}
        values = {key: value for key, value in checkpoint.settings.items() if key in keys}
        values["rule"] = checkpoint.rule.name.lower()
        model = cls.__new__(cls)
        model._given = set(values)
        hyper, start = hyper_parameters(values), _restarted(checkpoint)
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

    def checkpoint(self) -> Checkpoint:
        """State of the model, read from the device, with its hyper-parameters: what `save` writes."""
        return self._trainer.checkpoint(asdict(self.hyper))

    def save(self, path: str | Path) -> None:
        """Write a checkpoint (.npz), completely or not at all."""
        self.checkpoint().save(file_path(path, "a checkpoint"))

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
        return [self.device.read_weights(layer) / WEIGHT.one for layer in range(len(self.network.weight_shapes))]

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
        store: bool = True,
    ) -> list[dict[str, Any]]:
        """Train; returns the metrics of each epoch.

        A second call continues with the current weights and restarts the schedules of step size and noise. Ctrl-C stops
        after the current sample, or block of 64 stored samples; the model keeps what it has learned.

        Parameters
        ----------
        x : array (count, ...), Frames, Events or Data
            Images of pixels 0..255, events, or a data set, which is used by its training part. For a network with
            events as input an array is (count, steps, inputs) or (count, steps, channels, height, width), as for
            `Events.from_frames`. Data of a data set with a recipe are trained with it, as by ``opzo train``, except for
            hyper-parameters that were given.
        y : array (count,), for ``x`` as an array
            Classes of the samples.
        test : (x, y), Frames, Events or Data
            Test samples for after each epoch (default: the test part of a data set ``x``).
        epochs : int
            Replaces the hyper-parameter from now on.
        progress : bool
            Print progress (default: as set by `opzo.set_verbose`).
        store : bool
            Write the samples to the device's sample store first, if it has a large enough one, and train from there.
            The result is the same.
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
            done = self._trainer.fit(train, test_samples, report, store=store)
        if not done:
            raise KeyboardInterrupt
        return report.rows

    def partial_fit(
        self, x: Given, y: ArrayLike | None = None, *, rate: int = STREAM_RATE, alpha: float | None = None
    ) -> dict[str, Any]:
        """Train once on samples, one after the other in the given order; returns the figures of this training.

        Teaches a network by hand, or online: a call writes a few registers to the device, not its state, so calls with
        one sample each are as good as one call with all of them. The state after them is the same on every device.
        Accuracy and loss are those of the answers before the weights changed, with noise.

        The recipe of a data set and augmentation are for `fit`. Schedules that `fit` follows are not affected.

        Parameters
        ----------
        x, y
            As in `fit`; one image is ``x[None]``, ``[label]``, and one sample of Frames or Events ``samples[3:4]``.
        rate : int
            Constant step size, 0..255; that of convolutions keeps its ratio ``conv_rate / rate`` of the
            hyper-parameters to it. The default is that of `stream`. Weights of convolutions begin with small steps
            where it is larger than in the call before, and after `fit`, `load` or `stream`.
        alpha : float
            Constant noise amplitude, in thresholds (default: the hyper-parameter ``alpha``, with which `fit` begins).
        """
        hyper = self.hyper if alpha is None else replace(self.hyper, alpha=alpha)
        registers = stream_registers(hyper, rate)
        with messages():
            samples = labelled(x, y, "train", self.network, contrast=self._trainer.contrast)
            tally = self._trainer.train_online(samples, registers)
        return tally.figures(self.network, self.device.identity)

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

    def decision_function(self, x: Given) -> NDArray[np.float64]:
        """Readout of each class for each sample, summed over the time steps: (count, classes), in thresholds.

        The predicted class is the one with the largest sum, the first of equals. ``x`` as in `predict`.
        """
        with messages():
            samples = unlabelled(x, self.network, self._trainer.contrast)
            return self._trainer.summed_readouts(samples) / OUTPUT_SUM.one

    def predict_proba(self, x: Given) -> NDArray[np.float64]:
        """Probability of each class for each sample: (count, classes), each row of sum 1. ``x`` as in `predict`.

        This is the softmax ``exp(o) / sum(exp(o))`` of the mean readouts o of a time step, in thresholds: the scale of
        the device's loss, which takes the softmax of each time step. So it is the geometric mean of the probabilities
        of the time steps, normalised. They are not calibrated on other data.
        """
        return probabilities(self.decision_function(x) / self.network.steps)

    def score(self, x: Given, y: ArrayLike | None = None) -> float:
        """Share of samples whose class is predicted correctly, 0..1; ``x`` and ``y`` as in `evaluate`."""
        return float(self.evaluate(x, y)["accuracy"])

    def record(
        self,
        x: Given,
        y: ArrayLike | None = None,
        *,
        learn: bool = False,
        rate: int = STREAM_RATE,
        alpha: float | None = None,
    ) -> Recording:
        """Run samples and record spikes, potentials, traces, credits, errors and readouts of each time step.

        The samples run on the device and also on the golden model, which gets the state of the device before: the
        arrays are those of the golden model. Results, counters, random states, and the spikes and potentials after the
        last sample are compared, so the recording shows what the device did; this works for a board too.

        Parameters
        ----------
        x, y
            As in `fit`; ``y`` may be left out where ``learn`` is False. A data set is used by its test part, with
            ``learn`` by its training part.
        learn : bool
            Learn from the samples as `partial_fit` does, with step size ``rate`` and noise ``alpha``.

        Raises OpzoError where the device differs from the golden model. Memory: about 13 bytes for each neuron and
        time step of each sample.
        """
        hyper = self.hyper if alpha is None else replace(self.hyper, alpha=alpha)
        registers, trainer = stream_registers(hyper, rate), self._trainer
        with messages():
            if learn or y is not None or _is_labelled(x):
                samples = labelled(x, y, "train" if learn else "test", self.network, contrast=trainer.contrast)
                labels = samples.y
            else:
                samples, labels = unlabelled(x, self.network, trainer.contrast), None
            if learn:
                trainer.begin_online(samples, registers)
            sent = list(samples.samples(channel_last=channel_last_shape(self.network)))
            place = self.device, self.network, trainer.rule
            return record(*place, sent, learn=learn, labels=labels, names=trainer.class_names)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Hyper-parameters by name; ``deep`` has no effect, it is there for scikit-learn."""
        return asdict(self.hyper)

    def set_params(self, **hyper: Unpack[HyperparameterArguments]) -> Self:
        """Change hyper-parameters from the next `fit` on; returns the model.

        OpzoError for ``rule`` and ``seed``, with which the state of the device was made.
        """
        values = renamed_arguments(cast("dict[str, Any]", hyper), "opzo.Model.set_params", 2)
        for key in ("rule", "seed"):
            if key in values and values[key] != getattr(self.hyper, key):
                raise OpzoError(f"{key} cannot change: the state of the model was made with it; create another model")
        check_names(values)
        self._trainer.hyper = replace(self.hyper, **values)
        self._given |= set(values)
        return self

    def __sklearn_tags__(self) -> NoReturn:
        """Refuse what scikit-learn's functions ask of each estimator first."""
        self.__sklearn_clone__()

    def __sklearn_clone__(self) -> NoReturn:
        """Refuse what scikit-learn's functions do with each estimator."""
        raise OpzoError(
            "a model holds a device and cannot be cloned; use opzo.Classifier, which opens a device of its own for "
            "each fit, with the functions of scikit-learn"
        )

    def stream(self, *, window: int = 0, rate: int = STREAM_RATE) -> Stream:
        """Stream of time steps through the network; ``rate`` is the step size while its learning is on.

        After ``window`` time steps a new decision begins; with 0, only with a new label.
        """
        self._trainer.forget_magnitudes()
        stream = Stream(self.device, self.network, window=window)
        self.device.write_registers(stream_registers(self.hyper, rate))
        return stream


def _is_labelled(x: Given) -> bool:
    """Whether samples have labels of their own."""
    return isinstance(x, Frames | Data) or (isinstance(x, Events) and x.labelled)


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
            remedy = "replace NaN" if np.isnan(values).any() else "scale or clip them"
            raise OpzoError(f"weights of layer {layer} must be in {least:g}..{most:g}; {remedy}")
        raw.append(np.rint(values * WEIGHT.one).astype(np.int16))
    return raw


def _restarted(checkpoint: Checkpoint) -> Checkpoint:
    """The same state, at the start of its schedules."""
    names, contrast = checkpoint.class_names, checkpoint.contrast
    return Checkpoint(checkpoint.network, checkpoint.rule, checkpoint.state, class_names=names, contrast=contrast)
