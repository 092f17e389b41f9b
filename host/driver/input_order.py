"""Order of the inputs of a convolution: channel by channel in data sets, position by position in a device.

The samples of a data set have the shape (channels, height, width), and input (c, y, x) is number ``(c H + y) W + x`` of
a sample. A device reads the inputs of a convolution channel-last, as the neurons of its maps: ``(y W + x) C + c``. Only
what travels to a device is in that order. A network whose first layer is dense takes the inputs as they are.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from opzo.spec.errors import OpzoError
from opzo.spec.network import Network

Shape = tuple[int, int, int]
"""Channels, height, width."""
T = TypeVar("T", bound=np.integer)


def to_channel_last(addresses: NDArray[T], shape: Shape) -> NDArray[T]:
    """Numbers of inputs in a device, from their numbers in a data set of this shape."""
    channels, height, width = shape
    channel, position = np.divmod(addresses, height * width)
    return position * channels + channel


def to_channel_first(addresses: NDArray[T], shape: Shape) -> NDArray[T]:
    """Numbers of inputs in a data set of this shape, from their numbers in a device; inverse of `to_channel_last`."""
    channels, height, width = shape
    position, channel = np.divmod(addresses, channels)
    return channel * (height * width) + position


def channel_last_shape(network: Network) -> Shape | None:
    """Shape of the inputs that a device reads channel-last; None for a network that takes inputs as they are."""
    return None if network.input_map is None else network.input_map.shape


def check_shape(shape: Shape | None, network: Network, name: str) -> None:
    """Raise OpzoError, naming ``name``, if ``network`` begins with a convolution that takes samples of another shape.

    Samples without height and width (``shape`` is None or has one row) fit any map of one channel; the caller checks
    the number of inputs.
    """
    wanted = channel_last_shape(network)
    if wanted is None or shape == wanted:
        return
    takes = f"network {network} takes {_text(wanted)}, as channels x height x width"
    if shape is None or shape[:2] == (1, 1):
        if wanted[0] > 1:
            axes = ", ".join(map(str, wanted))
            raise OpzoError(
                f"{name} has samples without height and width; {takes}: give data of this shape, in Python "
                f"x.reshape(-1, {axes})"
            )
        return
    hint = ""
    if (2 * shape[0], *shape[1:]) == wanted:
        hint = ": code colours by two channels each with --contrast 1, in Python with frames.by_contrast()"
    raise OpzoError(f"{name} has samples of {_text(shape)}; {takes}{hint}")


def _text(shape: Shape) -> str:
    return " x ".join(map(str, shape))
