"""Samples given by users of the Python API: arrays, frames, events or a data set."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from opzo.host.data.data_sets import Data
from opzo.host.data.events.event_samples import Events
from opzo.host.data.images.frames import Frames, check_pixels
from opzo.spec.errors import OpzoError
from opzo.spec.messages import shown
from opzo.spec.network import Network

Given = ArrayLike | Frames | Events | Data
"""Types accepted as samples; images given as arrays need labels."""
Samples = Frames | Events


def labelled(x: Given, y: ArrayLike | None, part: str, network: Network, what: str = "x") -> Samples:
    """Labelled samples that fit ``network``, made from images ``x`` and labels ``y``, or from ``x`` if it has both."""
    _check_kind(x, what)
    if isinstance(x, Frames | Events | Data):
        if y is not None:
            raise OpzoError(f"{what} is of type {type(x).__name__}, which includes labels; leave y out")
        samples, what = _part(x, part, what)
    elif y is None:
        raise OpzoError(f"{what} has images without labels; give y, or opzo.Frames.of(x, y)")
    else:
        samples = Frames.of(x, y, what, "y" if what == "x" else f"labels of {what}")
    samples.check(network, what)
    return samples


def tested(test: Any, train: Given, network: Network) -> Samples | None:
    """Samples to test on after each epoch: those given, else the test part of the training data set."""
    if test is None:
        return labelled(train, None, "test", network) if isinstance(train, Data) else None
    if isinstance(test, Frames | Events | Data):
        return labelled(test, None, "test", network, "test")
    if not isinstance(test, tuple | list) or len(test) != 2:
        raise OpzoError(f"test must be images and labels (x, y), Frames, Events or Data, not {shown(test)}")
    return labelled(test[0], test[1], "test", network, "test")


def unlabelled(x: Given, network: Network) -> Samples:
    """Samples to predict; labels are not needed."""
    _check_kind(x, "x")
    if isinstance(x, Frames | Events | Data):
        samples, what = _part(x, "test", "x")
    else:
        pixels = check_pixels(x)
        samples, what = Frames(pixels, np.zeros(len(pixels), np.uint8)), "x"
    samples.check(network, what)
    return samples


def _check_kind(x: Any, what: str) -> None:
    """Raise OpzoError for common mistakes: a data set's name, or None."""
    if isinstance(x, str):
        raise OpzoError(f"{what} is the string {shown(x)}; give samples, as from opzo.load_data({shown(x)})")
    if x is None:
        raise OpzoError(f"{what} is None; give images, Frames, Events or Data")


def _part(x: Frames | Events | Data, part: str, what: str) -> tuple[Samples, str]:
    """Samples, taken from ``part`` of a data set, and their name for messages."""
    if isinstance(x, Data):
        samples: Samples = getattr(x, part)
        return samples, f"{x.name} ({part})"
    return x, what
