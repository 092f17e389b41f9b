"""Hyper-parameters as keyword arguments, for type checkers and editors."""

from typing import TypedDict


class HyperparameterArguments(TypedDict, total=False):
    """Fields of `opzo.Hyperparameters`, which explains them, as optional keyword arguments."""

    rule: str
    seed: int
    epochs: int
    rate: int
    conv_rate: int
    alpha: float
    alpha_end: float
    init_rate: float
    kappa: float
    decay: int
    feedback_leak: int
    batch: int
    mse: int
    rotate: float
    zoom: float
    shift: float
    flip: int
