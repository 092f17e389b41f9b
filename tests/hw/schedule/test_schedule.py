from opzo.hw.schedule.passes import Kind
from opzo.hw.schedule.schedule import Schedule
from opzo.sim.benches.bench import run_bench
from opzo.sim.benches.schedule.schedule import expected_passes
from opzo.spec.rules import Rule


def test_unit_matches_the_loops():
    run_bench(Schedule(), name="schedule", test_module="opzo.sim.benches.schedule.schedule")


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
