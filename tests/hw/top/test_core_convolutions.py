from dataclasses import asdict, replace

import pytest

from opzo.hw.core import Core
from opzo.sim.benches.bench import run_bench
from opzo.spec.network import Network
from opzo.spec.rules import Input, Rule

NETWORKS = [
    ("1x6x5-3c3-4", 4, 4),
    ("2x8x8-4c3-p2-5c1-3", 4, 2),
    ("3x7x9-8c5-6c3-10", 8, 4),
    ("1x8x8-8c3-p2-16c3-p2-10", 16, 2),
    ("2x12x12-4c3-p2-8c3-6-4", 8, 8),
]
"""Network, lanes, and lanes of a group."""
USUAL = {"ALPHA": 819, "RATE": 84, "ACTIVITY": 21, "DECAY_SHIFT": 6, "LEAK_SHIFT": 4, "MSE_SHIFT": 7, "SAMPLES": 0}
USUAL |= {"CONVOLUTION_RATE": 140, "BATCH": 1}
LARGEST = USUAL | {"ALPHA": 4095, "RATE": 255, "ACTIVITY": 4095, "DECAY_SHIFT": 1, "LEAK_SHIFT": 1, "MSE_SHIFT": 1}
LARGEST |= {"CONVOLUTION_RATE": 4095, "BATCH": 5}
STILL = USUAL | {"RATE": 0, "DECAY_SHIFT": 0, "LEAK_SHIFT": 0, "MSE_SHIFT": 0, "SAMPLES": 60, "CONVOLUTION_RATE": 0}
RATES = (USUAL, LARGEST, STILL)


def run(sizes, lanes, group, cases, stall=0.0):
    limits = replace(Network(sizes, local=1, block=cases[0]["block"]).limits(lanes), lanes_per_group=group)
    run_bench(
        Core(limits),
        name=f"core-{lanes}-{sizes}",
        test_module="opzo.sim.benches.top.core",
        public=True,
        parameters={"limits": asdict(limits), "stall": stall, "cases": cases, "networks": 0},
        testcase="matches_golden",
    )


def case(sizes, steps, rule, local, settings, samples, kind=Input.FRAME, block=2):
    parts = {"sizes": sizes, "steps": steps, "rule": rule.name, "local": local, "input": kind.name, "block": block}
    return parts | {"leak": "1/2", "reset": "subtract", "settings": settings, "samples": samples}


@pytest.mark.parametrize(("sizes", "lanes", "group"), NETWORKS)
def test_core_matches_golden(sizes, lanes, group):
    cases = [
        case(sizes, 6, rule, number % 2, RATES[number % 3], 5, kind)
        for number, (rule, kind) in enumerate((rule, kind) for rule in Rule for kind in Input)
    ]
    run(sizes, lanes, group, cases)
