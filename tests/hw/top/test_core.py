from dataclasses import asdict, replace

import pytest
from colliding import collide

from opzo.hw.core import Core
from opzo.sim.benches.bench import run_bench
from opzo.sim.benches.core_state import PUBLIC
from opzo.spec.network import Network
from opzo.spec.neurons import Leak, Reset
from opzo.spec.rules import Input, Rule

NETWORKS = [
    ((64, 64, 64, 10), 16, 16, 2),
    ((20, 13, 7, 5, 9, 4, 3), 8, 16, 8),
    ((9, 5, 2), 4, 12, 4),
    ((30, 17, 16, 33, 5), 16, 12, 4),
]
"""Sizes, lanes, bits of a weight, and lanes of a group. A chip has room for three hidden layers, or for as many
as the network has."""
QUICK = [*NETWORKS[:3], pytest.param(*NETWORKS[3], marks=pytest.mark.slow)]
NARROW = [pytest.param(*network, marks=pytest.mark.slow if network[1] > 8 else ()) for network in NETWORKS]
STEPS = (1, 2, 6, 8)
USUAL = {"ALPHA": 819, "RATE": 84, "ACTIVITY": 21, "DECAY_SHIFT": 6, "LEAK_SHIFT": 4, "MSE_SHIFT": 7, "SAMPLES": 0}
LARGEST = USUAL | {"ALPHA": 4095, "RATE": 255, "ACTIVITY": 4095, "DECAY_SHIFT": 1, "LEAK_SHIFT": 1, "MSE_SHIFT": 1}
STILL = USUAL | {"RATE": 0, "DECAY_SHIFT": 0, "LEAK_SHIFT": 0, "MSE_SHIFT": 0, "SAMPLES": 60}
RATES = (USUAL, STILL, LARGEST)
SAMPLES = {4: 16, 8: 12, 16: 4}
"""Samples of a case by lanes: a wide core simulates slowly, and has nothing that a narrow one lacks but lanes."""


def run(sizes, lanes, weight_bits, group, cases, stall, networks=0, **others):
    limits = replace(Network(sizes, local=len(sizes) - 2).limits(lanes, weight_bits), lanes_per_group=group, **others)
    run_bench(
        Core(limits),
        name=f"core-{lanes}-{weight_bits}",
        test_module="opzo.sim.benches.top.core",
        public=PUBLIC,
        parameters={"limits": asdict(limits), "stall": stall, "cases": cases, "networks": networks},
    )


def case(sizes, steps, rule, local, settings, samples, kind=Input.FRAME):
    parts = {"sizes": sizes, "steps": steps, "rule": rule.name, "local": local, "input": kind.name}
    return parts | neurons(sizes, steps + int(rule)) | {"settings": settings, "samples": samples}


def neurons(sizes, number):
    """Leaks and resets by layer; in every third case the usual ones."""
    layers = range(len(sizes) - 2)
    leaks = [Leak((number + layer) % len(Leak) if number % 3 else Leak.HALF).text for layer in layers]
    resets = [Reset((number + layer) // 2 % 2 if number % 3 else Reset.SUBTRACT).text for layer in layers]
    return {"leak": leaks, "reset": resets}


def turns(sizes, number):
    """Number of local readouts and rates of a case."""
    return number % (len(sizes) - 1), RATES[number % len(RATES)]


@pytest.mark.parametrize(("sizes", "lanes", "weight_bits", "group"), QUICK)
def test_core_matches_golden(sizes, lanes, weight_bits, group):
    # Every rule with every number of steps; step sizes and numbers of local read-outs take turns.
    cases = [
        case(sizes, steps, rule, *turns(sizes, n + int(rule)), SAMPLES[lanes])
        for n, steps in enumerate(STEPS)
        for rule in Rule
    ]
    run(sizes, lanes, weight_bits, group, cases, 0.2)


@pytest.mark.parametrize(("sizes", "lanes", "weight_bits", "group"), NARROW)
def test_core_matches_golden_on_chunks_of_events(sizes, lanes, weight_bits, group):
    # Chunks of 1 to 8 steps, from empty to full; learning, new decisions and fresh starts come and go.
    cases = [
        case(
            sizes,
            30,
            rule,
            (n + int(rule)) % (len(sizes) - 1),
            RATES[(n + int(rule)) % len(RATES)],
            2 * SAMPLES[lanes],
            kind,
        )
        for n, kind in enumerate((Input.SPIKES, Input.GRADED))
        for rule in Rule
    ]
    run(sizes, lanes, weight_bits, group, cases, 0.2)


@pytest.mark.parametrize(("network", "sizes"), [(2, (9, 3, 2)), (1, (20, 8, 7, 2))])
def test_core_matches_golden_with_layers_of_one_word(network, sizes):
    # Passes are as short as can be: readouts follow each other closely, and entries are read soon after their update.
    largest, lanes, weight_bits, group = NETWORKS[network]
    cases = [
        case(sizes, 6, rule, local, USUAL, SAMPLES[lanes] // 2, kind)
        for rule in Rule
        for local in range(1, len(sizes) - 1)
        for kind in (Input.FRAME, Input.SPIKES)
    ]
    run(largest, lanes, weight_bits, group, cases, 0.2)


@pytest.mark.parametrize("most_steps", [1, 6])
def test_core_of_fewer_time_steps_matches_golden(most_steps):
    # In a chip of the least size: there are fewer inputs than lanes.
    sizes, (_, lanes, weight_bits, group) = (2, 13, 7, 3), NETWORKS[1]
    cases = [
        case(sizes, steps, rule, local, settings, 5, kind)
        for steps in STEPS
        if steps <= most_steps
        for rule in Rule
        for local, settings, kind in ((0, USUAL, Input.FRAME), (2, LARGEST, Input.GRADED))
    ]
    run(sizes, lanes, weight_bits, group, cases, 0.2, steps=most_steps, inputs=2, words=3)


@pytest.mark.parametrize(("sizes", "lanes", "weight_bits", "group"), NARROW[:2])
def test_core_agrees_whatever_came_before(sizes, lanes, weight_bits, group):
    run(sizes, lanes, weight_bits, group, [], 0.0, networks=25)


@pytest.mark.slow
@pytest.mark.parametrize(("sizes", "lanes", "weight_bits", "group"), NETWORKS)
def test_core_agrees_whatever_came_before_for_long(sizes, lanes, weight_bits, group):
    run(sizes, lanes, weight_bits, group, [], 0.2, networks=150)


@pytest.mark.parametrize(
    ("sizes", "lanes", "weight_bits", "group"), [pytest.param(*NETWORKS[0], marks=pytest.mark.slow), NETWORKS[1]]
)
def test_nobody_uses_what_is_read_while_it_is_written(monkeypatch, sizes, lanes, weight_bits, group):
    # Synthesis is told so (opzo.boards.families.flow).
    collide(monkeypatch)
    cases = [
        case(sizes, 6, Rule.OPZO, local, USUAL, SAMPLES[lanes] // 2, kind)
        for local in (0, 2)
        for kind in (Input.FRAME, Input.SPIKES)
    ]
    run(sizes, lanes, weight_bits, group, cases, 0.2)


@pytest.mark.slow
@pytest.mark.parametrize("rule", list(Rule))
@pytest.mark.parametrize(("sizes", "lanes", "weight_bits", "group"), NETWORKS)
def test_core_matches_golden_for_200_samples(sizes, lanes, weight_bits, group, rule):
    cases = [
        case(sizes, steps, rule, local, settings, 200)
        for steps in STEPS
        for local in (0, len(sizes) - 2)
        for settings in (USUAL, STILL, LARGEST)
    ]
    run(sizes, lanes, weight_bits, group, cases, 0.0)
