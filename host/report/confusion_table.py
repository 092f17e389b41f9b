"""Confusion matrix and accuracy by class, as text."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size

NAME_MAX = 20
"""Largest width of a class in the table."""
ACCURACY = "accuracy"
CONFUSED = 5
"""Number of pairs of classes that are listed where the matrix is too wide."""


def class_accuracies(confusion: NDArray[np.int64]) -> list[float | None]:
    """Share of samples of each class that were predicted correctly; None for a class without samples."""
    return [int(row[label]) / int(row.sum()) if row.any() else None for label, row in enumerate(confusion)]


def confusion_table(confusion: NDArray[np.int64], classes: Sequence[str], width: int = 80) -> Iterator[str]:
    """Lines of a table with a row for each class: its accuracy and, if they fit ``width``, counts of its predictions.

    Otherwise the pairs of classes follow that were confused most often.

    Parameters
    ----------
    confusion : int (classes, classes)
        Number of samples by label (row) and prediction (column).
    classes : sequence of str
        Text of each class, its number first, safe to print.
    """
    name_width = max(map(cell_len, (*map(_short, classes), "class")))
    cell = 1 + max(len(str(confusion.max())), len(str(len(classes) - 1)), 2)
    counts = name_width + 2 + len(ACCURACY) + cell * len(classes) <= width
    head = f"{'class':{name_width}}  {ACCURACY}"
    if counts:
        yield f"{'':{name_width}}  {'':{len(ACCURACY)}}  predicted class"
        head += "".join(f"{label:{cell}}" for label in range(len(classes)))
    yield head
    for text, accuracy, row in zip(classes, class_accuracies(confusion), confusion.tolist(), strict=True):
        share = "-" if accuracy is None else f"{accuracy:.2%}"
        cells = "".join(f"{count or '.':>{cell}}" for count in row) if counts else ""
        yield f"{set_cell_size(_short(text), name_width)}  {share:>{len(ACCURACY)}}{cells}"
    if not counts:
        yield from _most_confused(confusion, classes)


def _most_confused(confusion: NDArray[np.int64], texts: Sequence[str]) -> Iterator[str]:
    wrong = confusion - np.diag(confusion.diagonal())
    for place in np.argsort(-wrong, axis=None, kind="stable")[:CONFUSED].tolist():
        label, prediction = divmod(place, len(texts))
        if count := int(wrong[label, prediction]):
            yield f"class {texts[label]} taken for {texts[prediction]}: {count:,} of {int(confusion[label].sum()):,}"


def _short(text: str) -> str:
    return text if cell_len(text) <= NAME_MAX else set_cell_size(text, NAME_MAX - 3) + "..."
