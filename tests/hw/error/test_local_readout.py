from dataclasses import asdict

import numpy as np
import pytest

from opzo.hw.error.local_readout import LocalReadout
from opzo.sim.benches.bench import run_bench
from opzo.sim.golden.local_readout import local_readout
from opzo.spec.formats import MEMBRANE
from opzo.spec.limits import Limits


@pytest.mark.parametrize(("lanes", "words", "block"), [(4, 8, 0), (64, 3, 0), (4, 2, 1), (8, 40, 32)])
def test_unit_matches_golden(lanes, words, block):
    blocks = {"gradients": 8, "blocks": 9, "block": block} if block else {}
    limits = Limits(lanes=lanes, rows=1024, inputs=256, words=words, classes=16, **blocks)
    run_bench(
        LocalReadout(limits),
        name=f"local-{lanes}-{block}",
        test_module="opzo.sim.benches.error.local_readout",
        parameters={"limits": asdict(limits)},
    )


def test_golden_by_hand():
    # Two words of two lanes, three classes.
    entries = np.array([[[1, 2], [3, -4], [5, 6]], [[7, 8], [9, 10], [300_000, 400_000]]])
    spikes = np.array([[True, True], [False, True]])
    assert local_readout(entries, spikes, 0).tolist() == [11, 9, 400_011]
    assert local_readout(entries, ~spikes, 0).tolist() == [7, 9, 300_000]
    assert local_readout(entries, np.ones((2, 2), bool), 0).tolist() == [18, 18, MEMBRANE.max]
