import numpy as np
import pytest

from opzo.hw.error.feedback_scale import ScaleEstimator
from opzo.sim.benches.bench import run_bench
from opzo.sim.golden.feedback_scale import feedback_shift
from opzo.spec.formats import FEEDBACK_ENTRY, FEEDBACK_SHIFT_MAX
from opzo.spec.limits import Limits


@pytest.mark.parametrize(("words", "classes", "matrices"), [(1, 2, 1), (8, 16, 1), (32, 64, 1), (2, 3, 2)])
def test_estimator_matches_golden(words, classes, matrices):
    convolution = {"gradients": 256, "blocks": words} if matrices > 1 else {}
    run_bench(
        ScaleEstimator(Limits(lanes=16, rows=1024, inputs=256, words=words, classes=classes, **convolution)),
        name=f"scale-{words}-{classes}-{matrices}",
        test_module="opzo.sim.benches.error.feedback_scale",
        parameters={"words": words, "classes": classes * matrices},
    )


def test_golden_by_hand():
    assert feedback_shift(np.array([63, -63, 63])) == 0
    assert feedback_shift(np.array([64, -64, 63])) == 0
    assert feedback_shift(np.array([64, -64, 64])) == 1
    assert feedback_shift(np.array([[128, -128], [127, 128]])) == 1
    assert feedback_shift(np.full((4, 4), FEEDBACK_ENTRY.min, np.int16)) == 10
    assert feedback_shift(np.zeros(0, np.int16)) == FEEDBACK_SHIFT_MAX
