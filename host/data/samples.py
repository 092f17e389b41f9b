"""Samples given by users of the Python API: arrays, frames, events or a data set."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from opzo.host.data.data_sets import Data
from opzo.host.data.events.dense import dense_events
from opzo.host.data.events.event_samples import Events
from opzo.host.data.images.contrast import Contrast
from opzo.host.data.images.frames import Frames
from opzo.host.driver.input_order import Shape, channel_last_shape
from opzo.spec.errors import OpzoError
from opzo.spec.messages import shown
from opzo.spec.network import Network

Given = ArrayLike | Frames | Events | Data
"""Types accepted as samples; arrays need labels.

An array has images or, for a network with events as input, an entry for each time step and input (`dense_events`)."""
Samples = Frames | Events


def labelled(
    x: Given,
    y: ArrayLike | None,
    part: str,
    network: Network,
    what: str = "x",
    *,
    contrast: Contrast | None = None,
) -> Samples:
    """Labelled samples that fit ``network``, made from images ``x`` and labels ``y``, or from ``x`` if it has both.

    Colour images for a network that takes them by contrast are coded by ``contrast``, that of its training images.
    """
    _check_kind(x, what)
    if isinstance(x, Frames | Events | Data):
        if y is not None:
            raise OpzoError(f"{what} is of type {type(x).__name__}, which includes labels; leave y out")
        samples, what = _part(x, part, what)
    elif y is None:
        raise OpzoError(f"{what} has images without labels; give y, or opzo.Frames.of(x, y)")
    elif network.input.events:
        samples = dense_events(x, y, network.input, what, "y" if what == "x" else f"labels of {what}")
    else:
        samples = Frames.of(x, y, what, "y" if what == "x" else f"labels of {what}", shape=_shape(x, network))
    return _fitting(samples, network, what, contrast)


def tested(test: Any, train: Given, network: Network, contrast: Contrast | None) -> Samples | None:
    """Samples to test on after each epoch: those given, else the test part of the training data set.

    ``contrast`` as for `labelled`.
    """
    if test is None:
        return labelled(train, None, "test", network) if isinstance(train, Data) else None
    if isinstance(test, Frames | Events | Data):
        return labelled(test, None, "test", network, "test", contrast=contrast)
    if not isinstance(test, tuple | list) or len(test) != 2:
        raise OpzoError(f"test must be images and labels (x, y), Frames, Events or Data, not {shown(test)}")
    return labelled(test[0], test[1], "test", network, "test", contrast=contrast)


def unlabelled(x: Given, network: Network, contrast: Contrast | None = None) -> Samples:
    """Samples to predict; labels are not needed. ``contrast`` as for `labelled`."""
    _check_kind(x, "x")
    if isinstance(x, Frames | Events | Data):
        samples, what = _part(x, "test", "x")
    elif network.input.events:
        samples, what = dense_events(x, np.zeros(len(np.atleast_1d(x)), np.uint8), network.input), "x"
    else:
        samples, what = Frames.unlabelled(x, shape=_shape(x, network)), "x"
    return _fitting(samples, network, what, contrast, labels=False)


def _shape(x: ArrayLike, network: Network) -> Shape | None:
    """Shape of images whose axes are those that the network takes, in one of both orders; None if they are not."""
    wanted = channel_last_shape(network)
    axes = tuple(getattr(x, "shape", ()))[1:]
    return wanted if wanted is not None and axes in (wanted, (*wanted[1:], wanted[0])) else None


def _fitting(
    samples: Samples, network: Network, what: str, contrast: Contrast | None, *, labels: bool = True
) -> Samples:
    """The samples, coded by contrast if the network takes two channels a colour; OpzoError if they do not fit."""
    if contrast is not None and isinstance(samples, Frames) and samples.contrast is None:
        if samples.shape is not None and network.inputs == 2 * samples.inputs:
            samples = samples.by_contrast(contrast, what)
    samples.check(network, what, labels=labels)
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
