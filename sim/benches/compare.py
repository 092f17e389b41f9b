"""Compare simulated with expected arrays and report the first difference."""

import numpy as np
from numpy.typing import ArrayLike


def assert_equal(
    actual: ArrayLike, expected: ArrayLike, *, what: str, seed: int | None = None, cycle: int | None = None
) -> None:
    """Raise AssertionError, with seed, cycle and the first differing index, unless shapes and values are equal.

    Parameters
    ----------
    actual, expected : array_like
        Integers; for weights and per-lane state indices are (row, lane).
    what : str
        Description of the arrays, for instance ``weights after sample 3``.
    """
    a, e = np.asarray(actual), np.asarray(expected)
    where = "".join(f", {name} {value}" for name, value in (("seed", seed), ("cycle", cycle)) if value is not None)
    if a.shape != e.shape:
        raise AssertionError(f"{what}{where}: shape {a.shape}, expected {e.shape}")
    different = np.argwhere(a != e)
    if len(different):
        index = tuple(int(i) for i in different[0])
        shown = str(index[0]) if len(index) == 1 else str(index)
        raise AssertionError(
            f"{what}{where}: at index {shown} {a[index]}, expected {e[index]}; "
            f"{len(different)} of {a.size} values differ"
        )
