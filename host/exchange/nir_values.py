"""Numbers in the nodes of a NIR graph, and how messages name nodes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.exchange.nir_file import text_of
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable
from opzo.system.bounds import check_memory


def numbers(name: str, values: Any) -> NDArray[np.float64]:
    """Convert a parameter of node ``name`` to an array of numbers; OpzoError if it is not numeric."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise OpzoError(f"node {quoted(name)} has a parameter of type {array.dtype}; expected real numbers")
    check_memory(f"node {quoted(name)}", array.size * np.dtype(float).itemsize)
    return array.astype(float)


def by_channel(name: str, values: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Parameter value of each channel (or neuron) of a layer, (channels,); OpzoError if positions differ.

    ``shape`` is that of the neurons, (n,) or (channels, height, width); ``values`` may be one for all, too.
    """
    array, size = numbers(name, values), int(np.prod(shape))
    if array.size not in (1, size):
        raise OpzoError(
            f"node {quoted(name)} has {array.size} values of a parameter for {size} neurons; give one for each, or "
            "one for all"
        )
    if not np.isfinite(array).all():
        raise OpzoError(f"node {quoted(name)} has parameters that are not finite; train the network again")
    each = np.broadcast_to(array.reshape(-1), (size,)).reshape(shape[0], -1)
    if (each != each[:, :1]).any():
        raise OpzoError(
            f"node {quoted(name)} has a parameter that differs within a channel; neurons of a convolution share their "
            "weights on the chip: give one value for each channel"
        )
    return each[:, 0]


def quoted(name: str) -> str:
    """Name of a node for messages."""
    return f"'{printable(name)}'"


def extent(values: NDArray[np.float64]) -> str:
    """Smallest and largest value, for messages."""
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def number_of(metadata: dict[str, Any], key: str) -> float | None:
    """Number from the metadata, None if not given."""
    try:
        return float(metadata[key]) if key in metadata else None
    except (TypeError, ValueError):
        raise OpzoError(
            f"'{key}' in the graph's metadata is {printable(text_of(metadata[key]))}, which is not a number; "
            "leave it out"
        ) from None
