"""Labels: class numbers of samples, converted and checked."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opzo.spec.errors import OpzoError
from opzo.spec.limits import MAX_CLASSES
from opzo.spec.network import Network

LABEL_MAX = MAX_CLASSES - 1


def labels_of(y: ArrayLike, count: int, label_name: str = "y", name: str = "x") -> NDArray[np.uint8]:
    """Convert labels, numbers (count,) or (count, 1), to uint8 (count,); OpzoError if they do not fit."""
    try:
        labels = np.asarray(y)
    except ValueError:
        raise OpzoError(f"{label_name} has entries of different shapes; give one label for each of {count}") from None
    if labels.dtype.kind not in "buif":
        raise OpzoError(
            f"{label_name} is of type {labels.dtype}; labels are whole numbers from 0: convert names with "
            "numpy.unique(y, return_inverse=True)[1]"
        )
    if labels.shape == (count, 1):
        labels = labels[:, 0]
    if labels.ndim == 2 and len(labels) == count:
        raise OpzoError(
            f"{label_name} has shape {labels.shape}, which looks one-hot; give class numbers: y.argmax(axis=1)"
        )
    if labels.shape != (count,):
        raise OpzoError(f"{label_name} has shape {labels.shape}; {name} needs one label for each of {count}")
    wrong = np.flatnonzero(~((labels == np.floor(labels)) & (labels >= 0) & (labels <= LABEL_MAX)))
    if wrong.size:
        raise OpzoError(
            f"{label_name} has label {labels[wrong[0]]} at index {wrong[0]}; labels must be whole numbers from 0 to "
            f"classes - 1, and the chip has at most {MAX_CLASSES} classes (0..{LABEL_MAX})"
        )
    return labels.astype(np.uint8)


def check_labels(y: NDArray[np.uint8], network: Network, name: str, *, labelled: bool = True) -> None:
    """Raise OpzoError if a label exceeds the classes of ``network``, or if the samples are not ``labelled``."""
    if not labelled:
        raise OpzoError(f"{name} has no labels; give labelled samples, or predict their classes with opzo predict")
    if y.max() >= network.classes:
        raise OpzoError(f"{name} has label {y.max()}; network {network} has classes 0..{network.classes - 1}")
