"""Initial weights and entries are uniform between bounds that follow from the number of inputs."""

from math import sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from opzo.host.driver.initial_weights import FEEDBACK_RANGE, initial_feedback, initial_local, initial_weights
from opzo.spec.formats import WEIGHT
from opzo.spec.network import Network
from opzo.spec.rules import Rule


def check_uniform(values: NDArray[np.int16], bound: float) -> None:
    """Within +-bound, near to both ends, and centred: mean and spread are within five standard errors."""
    values = values.astype(float)
    assert abs(values).max() <= round(bound)
    assert values.min() < -0.95 * bound
    assert values.max() > 0.95 * bound
    error = bound / sqrt(3 * values.size)
    assert abs(values.mean()) < 5 * error
    assert abs(abs(values).mean() - bound / 2) < 5 * error


@pytest.mark.parametrize(("input_", "first"), [("frame", 1.5), ("spikes", 4.0)])
def test_weights(input_: str, first: float) -> None:
    network = Network("100-64-36-10", input=input_)
    weights = initial_weights(network, 3)
    for matrix, scale, n_in in zip(weights, (first, 3.0, 1.0), (100, 64, 36), strict=True):
        check_uniform(matrix[:-1], scale / sqrt(n_in) * WEIGHT.one)
        assert not matrix[-1].any()
    for matrix, other in zip(weights, initial_weights(network, 4), strict=True):
        assert (matrix != other).any()


def test_local_readouts() -> None:
    for matrix, n in zip(initial_local(Network("16-100-64-10", local=2), 3), (100, 64), strict=True):
        assert matrix.shape == (10, n)
        check_uniform(matrix, WEIGHT.one / sqrt(n))


def test_feedback() -> None:
    network = Network("16-100-64-10")
    for matrix in initial_feedback(network, Rule.DFA, 3):
        check_uniform(matrix, FEEDBACK_RANGE)
    assert not any(matrix.any() for matrix in initial_feedback(network, Rule.OPZO, 3))
