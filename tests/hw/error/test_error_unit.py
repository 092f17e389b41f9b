from math import exp, log2

import numpy as np
import pytest

from opzo.hw.error.error_unit import ErrorUnit
from opzo.hw.lib import reciprocal
from opzo.sim.benches.bench import run_bench
from opzo.sim.golden.error import error_step
from opzo.spec.formats import ERROR, EXP2_ONE_BITS, LOSS_BITS, MEMBRANE
from opzo.spec.limits import Limits


def limits(classes, gradients=0):
    return Limits(
        lanes=16, rows=1024, inputs=256, words=8, classes=classes, gradients=gradients, blocks=8 if gradients else 0
    )


@pytest.mark.parametrize(
    ("device", "classes", "gradients"),
    [
        *((2, 2, 0), (16, 10, 0), (16, 16, 0), (10, 10, 0), (16, 10, 256)),
        pytest.param(64, 64, 0, marks=pytest.mark.slow),
        pytest.param(64, 3, 0, marks=pytest.mark.slow),
    ],
)
def test_unit_matches_golden(device, classes, gradients):
    run_bench(
        ErrorUnit(limits(device, gradients)),
        name=f"error-{device}-{gradients}",
        test_module="opzo.sim.benches.error.error_unit",
        parameters={"classes": classes, "samples": 300 if classes < 64 else 100, "convolves": gradients > 0},
    )


@pytest.mark.parametrize(("device", "classes"), [(2, 2), (16, 10), (64, 64)])
def test_readouts_come_in_while_errors_are_computed(device, classes):
    run_bench(
        ErrorUnit(limits(device)),
        name=f"error-{device}-0",
        test_module="opzo.sim.benches.error.error_overlap",
        parameters={"classes": classes, "samples": 100 if classes < 64 else 20},
    )


def test_golden_by_hand():
    # p = 32768, 32768 and 0; R = 65536; q = 128, 128, 0; log2(65536 / 32768) = 1.
    error, loss = error_step(np.array([0, 0, MEMBRANE.min]), 0, mse_shift=0)
    assert error.tolist() == [-128, 128, 0]
    assert loss == 256
    # (o - y) of the label is 2 - 1 units: 256 >> 2; of the others -1 >> 2 and -32768 >> 2 floor, the last saturates.
    error, loss = error_step(np.array([2 * MEMBRANE.one, 2 * MEMBRANE.one - 1, MEMBRANE.min]), 0, mse_shift=2)
    assert error.tolist() == [-128 + 64, 128 + 127, -ERROR.max]
    assert loss == 256
    error, loss = error_step(np.array([MEMBRANE.max, MEMBRANE.min]), 1, mse_shift=0)
    assert error.tolist() == [256, -256]
    assert loss == (1 << LOSS_BITS) - 1


def test_golden_follows_the_formula():
    rng = np.random.default_rng(7)
    for _ in range(500):
        classes = int(rng.integers(2, 65))
        o = rng.integers(-4 * MEMBRANE.one, 4 * MEMBRANE.one, classes)
        label = int(rng.integers(classes))
        error, loss = error_step(o, label, mse_shift=0)
        p = np.array([exp((v - o.max()) / MEMBRANE.one) for v in o])
        p /= p.sum()
        assert np.abs(error / ERROR.one - (p - (np.arange(classes) == label))).max() < 0.02
        assert abs(loss / 256 + log2(p[label])) < 0.06


def test_reciprocal_of_the_least_sum_may_lack_a_bit():
    # The gateware's reciprocal is one less than the model's where a single power is left; the probability is 1 in both.
    one, top = 1 << EXP2_ONE_BITS, 1 << reciprocal.BITS
    assert [(one * r + (1 << 23)) >> 24 for r in (top - 1, top)] == [ERROR.one, ERROR.one]
