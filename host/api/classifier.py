"""A classifier for scikit-learn, which opens a device of its own for each fit."""

from __future__ import annotations

import warnings
import weakref
from dataclasses import fields
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from opzo.host.api.model import Model
from opzo.host.api.opening import connect
from opzo.host.data.images.frames import check_pixels, darkness
from opzo.host.data.recipes import OTHER_HIDDEN
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Hyperparameters
from opzo.host.training.schedule_registers import STREAM_RATE
from opzo.spec.errors import OpzoError
from opzo.spec.formats import WEIGHT
from opzo.spec.network import Network


class Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A network as a classifier of scikit-learn: for pipelines, ``cross_val_score``, ``GridSearchCV``, ...

    ``fit`` opens a device, builds a model on it and trains it from the seed; the device is closed with the classifier.
    A copy of a fitted classifier, also in another process, opens a device of its own when it is used. With a board as
    the device only one fitted classifier can be in use at a time.

    Samples are arrays: pixels 0..255, (count, pixels) or images, or for a network with events as input the arrays of
    `Events.from_frames`. Scale other features, for example with
    ``make_pipeline(MinMaxScaler((0, 255), clip=True), opzo.Classifier())``. Labels may be of any type.

    Parameters
    ----------
    net : str, Network or None
        The network, which must have one output for each class in the training data. None: two hidden layers of 128
        neurons, as `Data.network` has them.
    device : str
        ``fast``, ``golden``, ``rtl`` or ``serial:/dev/ttyUSB0[@baud]``.
    lanes, weight_bits : int
        Of a simulated device, as in `connect`.
    progress : bool
        Print the progress of `fit`.
    rule, seed, epochs, ... : str, int, float
        Fields of `opzo.Hyperparameters`, which explains them. No recipe replaces them.

    Attributes
    ----------
    classes_ : array (classes,)
        Sorted labels; columns of `decision_function` and `predict_proba` are in this order.
    n_features_in_ : int
        Entries of a sample.
    history_ : list of dict
        Metrics of each epoch of `fit`.
    """

    _model: Model | None = None
    _checkpoint: Checkpoint

    def __init__(
        self,
        net: str | Network | None = None,
        *,
        device: str = "fast",
        lanes: int = 16,
        weight_bits: int = WEIGHT.width,
        progress: bool = False,
        rule: str = "opzo",
        seed: int = 0,
        epochs: int = 30,
        rate: int = 140,
        conv_rate: int = 1500,
        alpha: float = 0.1,
        alpha_end: float = 0.05,
        init_rate: float = 0.0,
        kappa: float = 10.0,
        decay: int = 23,
        feedback_leak: int = 17,
        batch: int = 1,
        mse: int = 0,
        rotate: float = 0.0,
        zoom: float = 0.0,
        shift: float = 0.0,
        flip: int = 0,
    ) -> None:
        self.net = net
        self.device, self.lanes, self.weight_bits = device, lanes, weight_bits
        self.progress = progress
        self.rule, self.seed, self.epochs = rule, seed, epochs
        self.rate, self.conv_rate = rate, conv_rate
        self.alpha, self.alpha_end = alpha, alpha_end
        self.init_rate, self.kappa = init_rate, kappa
        self.decay, self.feedback_leak = decay, feedback_leak
        self.batch, self.mse = batch, mse
        self.rotate, self.zoom, self.shift, self.flip = rotate, zoom, shift, flip

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803
        """Train a new model; returns the classifier. UserWarning if all images are nearly black."""
        x, numbers = np.asarray(X), self._learn_classes(y)
        model = self._new_model(x)
        if not self.progress and not model.network.input.events and (dark := darkness(check_pixels(x), "X")):
            # Where there is no progress, the model does not print its warnings either.
            warnings.warn(dark, stacklevel=2)
        self.history_ = model.fit(x, numbers, progress=self.progress)
        return self

    def partial_fit(
        self,
        X: ArrayLike,  # noqa: N803
        y: ArrayLike,
        classes: ArrayLike | None = None,
        *,
        rate: int = STREAM_RATE,
    ) -> Self:
        """Train once on samples in order, as `Model.partial_fit` does with ``rate``; returns the classifier.

        The first call, if `fit` was not called before, makes the model; it needs ``classes``, all labels.
        """
        x = np.asarray(X)
        if not hasattr(self, "classes_"):
            self._learn_classes(y if classes is None else classes)
            self._new_model(x)
        known = {label: number for number, label in enumerate(self.classes_.tolist())}
        labels = np.asarray(y).tolist()
        unknown = [label for label in labels if label not in known]
        if unknown:
            raise OpzoError(
                f"y has label {unknown[0]!r}, which is not among the classes; give all of them to the first call, as "
                "classes"
            )
        self.model_.partial_fit(x, [known[label] for label in labels], rate=rate)
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """Label of each sample: (count,)."""
        check_is_fitted(self)
        labels: NDArray[Any] = self.classes_[self.model_.predict(np.asarray(X))]
        return labels

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Readouts summed over the time steps, in thresholds: (count, classes).

        Of two classes it is, as scikit-learn expects, the second one's minus the first one's: (count,).
        """
        check_is_fitted(self)
        sums = self.model_.decision_function(np.asarray(X))
        return sums[:, 1] - sums[:, 0] if len(self.classes_) == 2 else sums

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Probability of each class, as `Model.predict_proba`: (count, classes)."""
        check_is_fitted(self)
        return self.model_.predict_proba(np.asarray(X))

    @property
    def model_(self) -> Model:
        """The fitted model on its device."""
        return self._model or self._keep(Model.from_checkpoint(self._checkpoint, self.device))

    def close(self) -> None:
        """Release the device; the classifier opens one again when it is used."""
        if self._model is not None:
            self._checkpoint, model, self._model = self._model.checkpoint(), self._model, None
            model.device.close()

    def __getstate__(self) -> dict[str, Any]:
        """State for a copy or another process: that of the model in place of its device."""
        state: dict[str, Any] = super().__getstate__()
        if self._model is not None:
            state = state | {"_model": None, "_checkpoint": self._model.checkpoint()}
        return state

    def _learn_classes(self, y: ArrayLike) -> NDArray[np.intp]:
        """Set the classes; number of each label among them."""
        labels = np.asarray(y)
        if labels.ndim != 1:
            raise OpzoError(f"y has shape {labels.shape}; give one label for each sample, (count,)")
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        return numbers

    def _new_model(self, x: NDArray[Any]) -> Model:
        """Make a model with its own device; one from before is closed."""
        if x.ndim < 2 or not x.size:
            raise OpzoError(f"X has shape {x.shape}; give samples (count, pixels) or images")
        self.close()
        self.n_features_in_ = prod(x.shape[1:])
        classes = len(self.classes_)
        net = f"{self.n_features_in_}-{OTHER_HIDDEN}-{classes}" if self.net is None else self.net
        network = net if isinstance(net, Network) else Network(net)
        if network.classes != classes:
            raise OpzoError(
                f"{network} has {network.classes} outputs, and the training data {classes} classes; change net"
            )
        device = connect(self.device, network, lanes=self.lanes, weight_bits=self.weight_bits)
        try:
            hyper = {entry.name: getattr(self, entry.name) for entry in fields(Hyperparameters)}
            model = Model(network, device, **hyper)
        except BaseException:
            device.close()
            raise
        return self._keep(model)

    def _keep(self, model: Model) -> Model:
        """Keep a model, whose device is closed with it."""
        self._model = model
        weakref.finalize(model, model.device.close)
        return model
