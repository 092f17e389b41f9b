"""Hyper-parameters given as keyword arguments."""

from dataclasses import fields
from typing import Any

from opzo.host.training.config import Hyperparameters, meant
from opzo.spec.errors import OpzoError

ELSEWHERE = {
    **dict.fromkeys(("net", "steps", "local", "intermediate", "input", "block", "leak", "reset"), "opzo.Network(...)"),
    **dict.fromkeys(("device", "lanes", "weight_bits"), "opzo.connect(...)"),
    **dict.fromkeys(("data", "data_root", "crop", "contrast"), "opzo.load_data(...)"),
}
"""Settings of the command line that other functions of the Python API take."""


def hyper_parameters(values: dict[str, Any]) -> Hyperparameters:
    """Hyper-parameters of keyword arguments; OpzoError, with a hint, for a name or value that is not one."""
    check_names(values)
    return Hyperparameters(**values)


def check_names(values: dict[str, Any]) -> None:
    """Raise OpzoError where a key is not a hyper-parameter."""
    known = [entry.name for entry in fields(Hyperparameters)]
    for key in values:
        if key in ELSEWHERE:
            raise OpzoError(f"{key} is not a hyper-parameter; pass it to {ELSEWHERE[key]}")
        if key not in known:
            raise OpzoError(f"there is no hyper-parameter '{key}'{meant(key, known)}; there are {', '.join(known)}")
