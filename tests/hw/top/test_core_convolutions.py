from dataclasses import asdict, replace

import pytest
from colliding import collide

from opzo.boards.fit import tight_limits
from opzo.hw.core import Core
from opzo.hw.input import event_buffer, group_lists, neuron_rows
from opzo.sim.benches.bench import run_bench
from opzo.sim.benches.core_state import PUBLIC
from opzo.spec.limits import Limits
from opzo.spec.network import Network
from opzo.spec.neurons import Leak, Reset
from opzo.spec.rules import Input, Rule

NETWORKS = (
    "1x6x5-3c3-4",
    "2x8x8-4c3-p2-5c1-3",
    "3x7x9-8c5-6c3-10",
    "1x8x8-8c3-p2-16c3-p2-10",
    "2x12x12-4c3-p2-8c3-6-4",
)
"""Odd maps without a pool, pools before a convolution and before dense layers; with 4, 8 and 16 lanes, channels are
fewer than lanes, as many, and more."""
SMALL = ("1x6x5-3c3-4", "2x8x8-4c3-p2-5c1-3", "1x4x6-5c3-p2-6c1-6-4", "1x1x4-4c3-3", "20-13-7-3")
"""Networks of the quick tests; the last is dense."""
USUAL = {"ALPHA": 819, "RATE": 84, "ACTIVITY": 21, "DECAY_SHIFT": 6, "LEAK_SHIFT": 4, "MSE_SHIFT": 7, "SAMPLES": 0}
USUAL |= {"CONVOLUTION_RATE": 140, "BATCH": 1}
LARGEST = USUAL | {"ALPHA": 4095, "RATE": 255, "ACTIVITY": 4095, "DECAY_SHIFT": 1, "LEAK_SHIFT": 1, "MSE_SHIFT": 1}
LARGEST |= {"CONVOLUTION_RATE": 4095, "BATCH": 5}
STILL = USUAL | {"RATE": 0, "DECAY_SHIFT": 0, "LEAK_SHIFT": 0, "MSE_SHIFT": 0, "SAMPLES": 60, "CONVOLUTION_RATE": 0}
RATES = (USUAL, LARGEST, STILL)
BLOCK = 4
"""Largest block of the tests."""


def limits(networks, lanes, group):
    """Least limits of a device for all networks, with local readouts and blocks of any size up to BLOCK."""
    built = [
        Network(sizes, local=depth, block=block, intermediate=depth if depth > 1 and "c" in sizes else 0).limits(lanes)
        for sizes, depth in ((sizes, len(Network(sizes).hidden)) for sizes in networks)
        for block in (1, BLOCK)
    ]
    fields = {name: max(asdict(each)[name] for each in built) for name in asdict(built[0])}
    return replace(Limits(**fields), lanes_per_group=group)


def run(networks, lanes, group, cases, stall=0.0, testcase=None):
    device = limits(networks, lanes, group)
    run_bench(
        Core(device),
        name=f"core-convolutions-{lanes}",
        test_module="opzo.sim.benches.top.core",
        public=PUBLIC,
        parameters={"limits": asdict(device), "stall": stall, "cases": cases, "networks": 0},
        testcase=testcase,
    )


def cases(networks, samples):
    """Every rule with every kind of input; readouts of layers, rates, blocks, leaks and resets take turns."""
    found = []
    for sizes in networks:
        layers = len(Network(sizes).hidden)
        for kind in Input:
            for rule in Rule:
                turn = len(found)
                local = (turn + turn // len(Rule)) % (layers + 1)
                teaches = local > 1 and rule is not Rule.ZO and sizes != SMALL[-1]
                found.append(
                    {
                        "sizes": sizes,
                        "steps": 30 if kind.events else (6, 1, 8)[turn % 3],
                        "rule": rule.name,
                        "local": local,
                        "intermediate": 2 + turn // len(Rule) % (local - 1) if teaches else 0,
                        "input": kind.name,
                        "block": (2, 1, 4)[turn // 2 % 3],
                        "leak": Leak(turn % len(Leak) if turn % 3 else Leak.HALF).text,
                        "reset": Reset(turn // 2 % 2).text,
                        "settings": RATES[turn // 3 % 3],
                        "samples": samples,
                    }
                )
    return found


def test_core_matches_golden():
    run(SMALL, 4, 2, cases(SMALL, 4), 0.2)


def test_core_of_the_named_networks_matches_golden():
    run(NETWORKS, 4, 4, cases(NETWORKS, 25), testcase="matches_golden")


def test_nobody_uses_what_is_read_while_it_is_written(monkeypatch):
    # Synthesis is told so (opzo.boards.families.flow).
    collide(monkeypatch, event_buffer, group_lists, neuron_rows)
    run(SMALL[1:3], 4, 2, cases(SMALL[1:3], 3), 0.2, testcase="matches_golden")


@pytest.mark.slow
@pytest.mark.parametrize(("lanes", "group"), [(4, 4), (8, 8), (16, 2)])
def test_core_matches_golden_for_200_samples(lanes, group):
    for sizes in NETWORKS:
        run(NETWORKS, lanes, group, cases([sizes], 200), testcase="matches_golden")


def test_core_of_the_smallest_chip_matches_golden():
    """Memories without a word to spare, one group, and six time steps, not a power of two."""
    sizes, lanes = "2x8x8-4c3-p2-5c1-3", 4
    device = replace(tight_limits(Network(sizes, local=1), lanes), lanes_per_group=lanes)
    assert (device.words, device.blocks, device.steps) == (96, 24, 6)
    usual = {"sizes": sizes, "input": "FRAME", "block": 2, "leak": "1/2", "reset": "subtract", "settings": USUAL}
    turns = [
        usual | {"steps": steps, "rule": "OPZO", "local": local, "samples": 6} for steps, local in ((6, 1), (5, 0))
    ]
    run_bench(
        Core(device),
        name="core-convolutions-tight",
        test_module="opzo.sim.benches.top.core",
        public=PUBLIC,
        parameters={"limits": asdict(device), "stall": 0.0, "cases": turns, "networks": 0},
    )
