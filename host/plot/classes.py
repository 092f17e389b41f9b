"""Picture of which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from opzo.host.api.model import Model
from opzo.host.data.class_names import class_text
from opzo.host.data.data_set import Data
from opzo.host.data.events.event_samples import Events
from opzo.host.data.images.frames import Frames
from opzo.host.data.labels import labels_of
from opzo.host.plot.canvas import axes_for
from opzo.spec.errors import OpzoError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def confusion(
    model: Model | ArrayLike,
    x: Any = None,
    y: ArrayLike | None = None,
    *,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how many samples of each class are taken for which class.

    Parameters
    ----------
    model : Model, or int array (classes, classes)
        A model, which is tested on samples; or the numbers of samples, a row for each label and a column for each
        prediction, as ``sklearn.metrics.confusion_matrix`` has them.
    x, y
        Labelled samples for the model, as in `Model.evaluate`; a data set is used by its test part.
    names : sequence of str or None
        Class names; None: those that the model knows, else numbers.
    ax : Axes or None
        Axes to draw in; None: those of a new figure.
    """
    # Imported here because it takes longer than the rest of opzo.
    from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

    if isinstance(model, Model):
        predictions = model.predict(x)
        samples = x.test if isinstance(x, Data) else x
        labels = samples.y if isinstance(samples, Frames | Events) else labels_of(_given(y), len(predictions))
        matrix = confusion_matrix(labels, predictions, labels=range(model.network.classes))
        names = model.class_names if names is None else names
    else:
        matrix = np.asarray(model)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.dtype.kind not in "iu":
            raise OpzoError(
                f"a confusion matrix has whole numbers (classes, classes), not {matrix.dtype} {matrix.shape}; "
                "give one, or a model with samples"
            )
    texts = [class_text(label, names or ()) for label in range(len(matrix))]
    size = max(4.0, 0.5 * len(matrix) + 1)
    ax = axes_for(ax, (size, size))
    ConfusionMatrixDisplay(matrix, display_labels=texts).plot(
        ax=ax, cmap="Blues", colorbar=False, xticks_rotation="vertical" if any(map(bool, names or ())) else "horizontal"
    )
    ax.set_xlabel("predicted class")
    ax.set_ylabel("class")
    return ax


def _given(y: ArrayLike | None) -> ArrayLike:
    if y is None:
        raise OpzoError("x has samples without labels; give y")
    return y
