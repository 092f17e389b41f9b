import pytest

from opzo.hw.input.spike_encoder import SpikeEncoder
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


@pytest.mark.parametrize(
    ("lanes", "words", "layers", "samples"),
    [
        (4, 1, [1], 100),
        (4, 6, [3, 2, 1], 60),
        (8, 8, [3, 5], 40),
        (16, 8, [2, 1, 3, 1, 1], 40),
        (128, 8, [4, 3, 1], 15),
    ],
)
def test_encoder_matches_golden(lanes, words, layers, samples):
    run_bench(
        SpikeEncoder(Limits(lanes=lanes, rows=1024, inputs=256, words=words, classes=16, layers=len(layers))),
        name=f"spikes-{lanes}-{words}-{len(layers)}",
        test_module="opzo.sim.benches.input.spike_encoder",
        parameters={"lanes": lanes, "words": words, "layers": layers, "samples": samples, "maps": [], "more": {}},
    )


def test_a_short_queue_is_enough_for_one_group():
    more = {"lanes_per_group": 4}
    run_bench(
        SpikeEncoder(Limits(lanes=4, rows=1024, inputs=256, words=40, classes=16, layers=1, **more)),
        name="spikes-one-group",
        test_module="opzo.sim.benches.input.spike_encoder",
        parameters={"lanes": 4, "words": 40, "layers": [40], "samples": 0, "maps": [], "more": more},
        testcase="takes_words_as_fast_as_one_group_emits_them",
    )


# Two words a position and a pool; one word; a dense layer.
MAPS = (
    {"words": 2, "channels": 7, "cells": 1},
    {"words": 1, "channels": 3, "cells": 0},
    {"words": 2, "channels": 8, "cells": 0},
)


def test_lists_of_maps_match_golden():
    layers, more = [16, 5, 2], {"gradients": 8, "blocks": 23}
    run_bench(
        SpikeEncoder(Limits(lanes=4, rows=1024, inputs=256, words=23, classes=16, layers=3, **more)),
        name="spikes-maps",
        test_module="opzo.sim.benches.input.spike_encoder",
        parameters={"lanes": 4, "words": 23, "layers": layers, "samples": 20, "maps": MAPS, "more": more},
    )
