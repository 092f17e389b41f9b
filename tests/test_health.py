"""Health of a training run: shares from counters, and warnings in plain words."""

import pytest

from opzo.host.health import Health, warnings
from opzo.host.statistics import Tally
from opzo.spec.network import Network, Rule
from opzo.spec.registers import Counter

# With 4 lanes: 2 + 1 words in the hidden layers.
NETWORK, LANES = Network((9, 8, 4, 4), 6, local=1), 4


def healthy(**counts: int) -> Tally:
    """A thousand samples in which all is well, but for ``counts``."""
    tally = Tally(samples=1000, correct=900)
    usual = {"SPIKES_1": 5000, "SPIKES_2": 2500, "LEARN": 20_000}
    for name, count in (usual | counts).items():
        tally.counters[Counter[name]] = count
    return tally


def kinds(tally: Tally, rule: Rule = Rule.OPZO) -> list[str]:
    return [kind for kind, _ in warnings(tally, NETWORK, rule, LANES)]


def test_shares_by_hand() -> None:
    tally = healthy(WEIGHT_SATURATIONS=200, FEEDBACK_SATURATIONS=8400, CREDIT_SATURATIONS=1800)
    # Rows of M: 3 pairs x 3 words x 4 classes a sample; of the local read-out: 6 steps x 2 words x 4 classes.
    assert Health.of(tally, NETWORK, Rule.OPZO, LANES) == Health(0.01, 8400 / 84_000, 1800 / 18_000)
    assert Health.of(tally, NETWORK, Rule.DFA, LANES).feedback == 8400 / 48_000
    assert Health.of(Tally(), NETWORK, Rule.READOUT, LANES) == Health(0, 0, 0)


def test_all_is_well() -> None:
    assert kinds(healthy()) == []


@pytest.mark.parametrize(
    ("counts", "kind", "remedy"),
    [
        ({"SPIKES_1": 20_000}, "busy 1", "raise --kappa"),
        ({"SPIKES_2": 40}, "silent 2", "lower --kappa or raise --alpha"),
        ({"WEIGHT_SATURATIONS": 201}, "weights", "lower --rate"),
        ({"FEEDBACK_SATURATIONS": 8401}, "feedback", "smaller --leak"),
        ({"CREDIT_SATURATIONS": 181}, "deltas", "lower --rate"),
    ],
)
def test_what_is_wrong_is_told_with_its_remedy(counts: dict[str, int], kind: str, remedy: str) -> None:
    told = list(warnings(healthy(**counts), NETWORK, Rule.OPZO, LANES))
    assert [name for name, _ in told] == [kind]
    assert remedy in told[0][1]


def test_collapse_to_chance_is_told() -> None:
    tally = healthy()
    tally.correct = 374
    ((kind, text),) = warnings(tally, NETWORK, Rule.OPZO, LANES)
    assert kind == "chance"
    assert "37%, near chance (25%)" in text
    assert "start anew with a smaller --rate" in text
    tally.correct = 376
    assert kinds(tally) == []
    ((_, text),) = warnings(tally, NETWORK, Rule.OPZO, LANES, Tally(samples=100, correct=25))
    assert text.startswith("test accuracy is 25%, near chance (25%)")


def test_silence_is_no_fault_of_frozen_layers_and_noise_no_remedy_without_noise() -> None:
    assert kinds(healthy(SPIKES_1=0), Rule.READOUT) == []
    ((_, text),) = warnings(healthy(SPIKES_1=0), NETWORK, Rule.DFA, LANES)
    assert text.endswith("lower --kappa")
