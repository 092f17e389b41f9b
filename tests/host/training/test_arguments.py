"""Keyword arguments that type checkers know are the hyper-parameters that there are."""

from dataclasses import fields
from typing import get_type_hints

from opzo.host.training.arguments import HyperparameterArguments
from opzo.host.training.config import Hyperparameters


def test_the_arguments_are_the_fields_of_hyper_parameters() -> None:
    hints = get_type_hints(HyperparameterArguments)
    assert list(hints.items()) == [(entry.name, entry.type) for entry in fields(Hyperparameters)]
    assert not HyperparameterArguments.__required_keys__
