import numpy as np
import pytest

from opzo.hw.spikes import SpikeEncoder
from opzo.sim.bench import run_bench
from opzo.sim.golden.spikes import extend_active, step_list, update_history
from opzo.spec.network import Limits


@pytest.mark.parametrize(
    ("lanes", "words", "layers", "samples"),
    [(4, 1, [1], 100), (4, 6, [3, 2, 1], 60), (8, 8, [3, 5], 40), (16, 8, [8], 40), (128, 8, [4, 3, 1], 15)],
)
def test_encoder_matches_golden(lanes, words, layers, samples):
    run_bench(
        SpikeEncoder(Limits(lanes=lanes, rows=1024, inputs=256, words=words, classes=16)),
        name=f"spikes-{lanes}-{words}",
        test_module="opzo.sim.tb_spikes",
        parameters={"lanes": lanes, "words": words, "layers": layers, "samples": samples},
    )


def test_golden_by_hand():
    none = np.zeros((2, 2), bool)
    first = np.array([[False, True], [True, False]])
    again = np.array([[True, True], [False, False]])
    assert step_list(first).tolist() == [1, 2]
    active = extend_active(np.zeros(0, np.int64), first)
    active = extend_active(active, again & ~first)
    assert active.tolist() == [1, 2, 0]
    stale = np.array([[0xF0, 0xF0], [0xF0, 0xF0]], np.uint8)
    history = update_history(stale, first, first, step=0)
    assert history.tolist() == [[0xF0, 1], [1, 0xF0]]
    history = update_history(history, again, again & ~first, step=3)
    assert history.tolist() == [[8, 9], [1, 0xF0]]
    assert update_history(history, none, none, step=7).tolist() == history.tolist()
