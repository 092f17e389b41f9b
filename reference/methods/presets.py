"""Presets: the paper's data sets and networks with their hyperparameters (appendix C.2.2), by name."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from opzo.reference.methods.credit import MOMENTUM
from opzo.reference.methods.noise import ALPHA_FIRST, ALPHA_LAST, GAUSSIAN, Noise
from opzo.reference.networks.networks import (
    CONV2,
    CONV3,
    CONV5,
    CONV9,
    CONV9_INTERMEDIATE,
    SpikingNetwork,
    convolutional,
    fully_connected,
)
from opzo.reference.networks.resnet import resnet34

HIDDEN = (800, 800)


def _fc(shape: tuple[int, int, int], classes: int, dropout: float) -> SpikingNetwork:
    return fully_connected(shape, classes, HIDDEN, dropout)


def _conv2(shape: tuple[int, int, int], classes: int, dropout: float) -> SpikingNetwork:
    return convolutional(shape, classes, CONV2, dropout)


def _conv3(shape: tuple[int, int, int], classes: int, dropout: float) -> SpikingNetwork:
    return convolutional(shape, classes, CONV3, dropout)


def _conv5(shape: tuple[int, int, int], classes: int, dropout: float) -> SpikingNetwork:
    return convolutional(shape, classes, CONV5, dropout)


def _conv9(shape: tuple[int, int, int], classes: int, dropout: float) -> SpikingNetwork:
    return convolutional(shape, classes, CONV9, dropout)


NETWORKS: dict[str, Callable[[tuple[int, int, int], int, float], SpikingNetwork]] = {
    "fc": _fc,
    "conv2": _conv2,
    "conv3": _conv3,
    "conv5": _conv5,
    "conv9": _conv9,
    "resnet34": resnet34,
}
"""Functions that create networks, by name, from input shape, classes and dropout rate."""


@dataclass(frozen=True)
class Preset:
    """A data set, a network, and the parameters of its training by AdamW with a cosine schedule of the step size.

    Parameters
    ----------
    data, network : str
    steps : int
        Time steps for images; event data have their own.
    epochs, batch : int
    rate, zo_rate : float
        Initial step size; that for ZO.
    decay : float
        Weight decay.
    dropout : float
        Dropout rate; 0 for ZO.
    momentum : float
        Momentum of OPZO's feedback.
    intermediate : int or None
        Layer for intermediate global learning, if the network has one.
    noise : Noise
    alpha_first, alpha_last : float
        Noise amplitude in the first and the last epoch.
    under_noise : bool
        Fine-tuning for noisy hardware, with noise in all methods and in tests.
    """

    data: str
    network: str
    steps: int = 6
    epochs: int = 300
    batch: int = 128
    rate: float = 2e-4
    zo_rate: float = 2e-5
    decay: float = 2e-4
    dropout: float = 0.0
    momentum: float = MOMENTUM
    intermediate: int | None = None
    noise: Noise = GAUSSIAN
    alpha_first: float = ALPHA_FIRST
    alpha_last: float = ALPHA_LAST
    under_noise: bool = False


_IMAGENET = Preset(
    "imagenet",
    "resnet34",
    epochs=5,
    batch=64,
    rate=2e-6,
    zo_rate=2e-7,
    decay=0.0,
    noise=Noise(place="before", antithetic=False),
    alpha_first=0.1,
    alpha_last=0.1,
    under_noise=True,
)
_DIGITS = Preset("digits", "fc", epochs=20, batch=32, rate=1e-3, zo_rate=1e-4)
_PATCHES = Preset("patches", "conv5", epochs=20, batch=32, rate=1e-3, zo_rate=1e-4)
_GESTURE = Preset("dvs-gesture", "conv5", steps=20, batch=16, zo_rate=2e-4, momentum=0.999999)
PRESETS = {
    "mnist-fc": Preset("mnist", "fc", epochs=50, dropout=0.2),
    "nmnist-fc": Preset("nmnist", "fc", steps=30, epochs=50, zo_rate=2e-4, dropout=0.2),
    "cifar10-conv5": Preset("cifar10", "conv5"),
    "cifar100-conv5": Preset("cifar100", "conv5"),
    "cifar100-conv9": Preset("cifar100", "conv9", intermediate=CONV9_INTERMEDIATE),
    "cifar10-dvs-conv5": Preset("cifar10-dvs", "conv5", steps=10, dropout=0.1),
    "dvs-gesture-conv5": _GESTURE,
    "dvs-gesture-conv9": replace(_GESTURE, network="conv9", intermediate=CONV9_INTERMEDIATE),
    "imagenet-resnet34": _IMAGENET,
    # Networks that the chip trains, in as many epochs.
    "mnist-conv2": Preset("mnist", "conv2", epochs=15, rate=1e-3),
    "cifar10-conv3": Preset("cifar10", "conv3", epochs=20, rate=1e-3),
    # Small ones, with data from scikit-learn.
    "digits-fc": _DIGITS,
    "digits-conv5": replace(_DIGITS, network="conv5", epochs=10),
    "digits-conv9": replace(_DIGITS, network="conv9", epochs=10, intermediate=CONV9_INTERMEDIATE),
    "digits-resnet34": replace(
        _IMAGENET, data="digits", epochs=3, batch=32, rate=1e-4, zo_rate=1e-5, alpha_first=0.15, alpha_last=0.15
    ),
    "saccade-digits-fc": replace(_DIGITS, data="saccade-digits", epochs=5, dropout=0.2),
    "patches-conv5": _PATCHES,
    "patches-conv9": replace(_PATCHES, network="conv9", intermediate=CONV9_INTERMEDIATE),
}
