from dataclasses import asdict

import pytest

from opzo.hw.schedule.passes import Kind
from opzo.hw.schedule.schedule import Schedule
from opzo.sim.benches.bench import run_bench
from opzo.sim.benches.schedule.schedule import expected_passes
from opzo.spec.limits import Limits
from opzo.spec.rules import Rule


@pytest.mark.parametrize("layers", [1, 3, pytest.param(5, marks=pytest.mark.slow)])
def test_unit_matches_the_loops(layers):
    limits = Limits(lanes=4, rows=64, inputs=16, words=2, classes=4, layers=layers)
    run_bench(
        Schedule(limits),
        name="schedule",
        test_module="opzo.sim.benches.schedule.schedule",
        parameters={"limits": asdict(limits)},
    )


def test_loops_by_hand():
    assert expected_passes(1, 1, Rule.OPZO, True) == [
        (Kind.INPUT, 0, 0),
        (Kind.FIRE, 0, 0),
        (Kind.SPIKES, 1, 0),
        (Kind.FEEDBACK, 0, 0),
        (Kind.LEARN_SPIKES, 1, 0),
        (Kind.LEARN_INPUT, 0, 0),
    ]
    assert expected_passes(2, 2, Rule.DFA, True, local=(0, 1)) == [
        (Kind.INPUT, 0, 0),
        (Kind.FIRE, 0, 0),
        (Kind.FIRE, 0, 1),
        (Kind.LOCAL, 0, 0),
        (Kind.SPIKES, 1, 0),
        (Kind.LOCAL, 0, 1),
        (Kind.SPIKES, 1, 1),
        (Kind.SPIKES, 2, 0),
        (Kind.LOCAL, 1, 0),
        (Kind.SPIKES, 2, 1),
        (Kind.FEEDBACK, 0, 0),
        (Kind.LOCAL, 1, 1),
        (Kind.FEEDBACK, 1, 0),
        (Kind.FEEDBACK, 0, 1),
        (Kind.FEEDBACK, 1, 1),
        (Kind.LEARN_SPIKES, 2, 0),
        (Kind.LEARN_SPIKES, 1, 0),
        (Kind.LEARN_INPUT, 0, 0),
    ]
    assert expected_passes(3, 2, Rule.READOUT, True, local=(0, 1, 2)) == [
        (Kind.INPUT, 0, 0),
        (Kind.FIRE, 0, 0),
        (Kind.FIRE, 0, 1),
        (Kind.SPIKES, 1, 0),
        (Kind.SPIKES, 1, 1),
        (Kind.SPIKES, 2, 0),
        (Kind.SPIKES, 2, 1),
        (Kind.SPIKES, 3, 0),
        (Kind.SPIKES, 3, 1),
        (Kind.LEARN_SPIKES, 3, 0),
    ]
    # Where inputs are events, every step has its own.
    assert expected_passes(1, 2, Rule.DFA, True, events=True) == [
        (Kind.INPUT, 0, 0),
        (Kind.INPUT, 0, 1),
        (Kind.SPIKES, 1, 0),
        (Kind.SPIKES, 1, 1),
        (Kind.FEEDBACK, 0, 0),
        (Kind.FEEDBACK, 0, 1),
        (Kind.LEARN_SPIKES, 1, 0),
        (Kind.LEARN_INPUT, 0, 0),
    ]
