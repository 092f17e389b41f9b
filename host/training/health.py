"""Health of a training run: firing rates, shares of saturated updates, accuracy at chance; and what to do about it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Any

from opzo.host.driver.statistics import Tally
from opzo.host.training.config import Hyperparameters
from opzo.spec.network import Network, words_for
from opzo.spec.registers import Counter
from opzo.spec.rules import Rule

SAMPLES = 2000
"""Training samples after which a figure of an unfinished epoch means something."""
ENOUGH = 5000
"""Training samples after which a network that learns is above chance: hard data may need some thousands."""
TESTED = 50
"""Test samples below which an accuracy says too little."""
DEVIATIONS = 2.0
"""Standard deviations of guessing that an accuracy must be above chance to be more than luck."""
BUSY_RATE, SILENT_RATE = 0.3, 0.002
"""Firing rates from which on spikes cost much for what they say, and below which a layer hardly learns."""
SATURATED_SHARE = 0.01
"""Share of saturated updates from which on they matter."""
FEEDBACK_SHARE = 0.1
"""The same of feedback matrices, whose sign and rough size are what counts."""


@dataclass(frozen=True)
class Health:
    """Shares of updates that hit the end of their number range; a row-word counts where one of its lanes did.

    Attributes
    ----------
    weights : float
        Of the row-words that Learn wrote.
    feedback : float
        Of the row-words of feedback matrices and local read-outs that were written.
    deltas : float
        Of the words of hidden neurons and time steps, by their credit (delta times step size).
    """

    weights: float
    feedback: float
    deltas: float

    @classmethod
    def of(cls, tally: Tally, network: Network, rule: Rule, lanes: int) -> "Health":
        """Health of the training that a tally has counted."""
        count = tally.counters
        words = [words_for(n, lanes) for n in network.hidden]
        pairs = network.steps // 2 if rule is Rule.OPZO else 0
        local = network.steps if rule is not Rule.READOUT else 0
        written = network.classes * (pairs * sum(words) + local * sum(words[: network.local]))
        return cls(
            _share(count[Counter.WEIGHT_SATURATIONS], count[Counter.LEARN]),
            _share(count[Counter.FEEDBACK_SATURATIONS], tally.samples * written),
            _share(count[Counter.CREDIT_SATURATIONS], tally.samples * network.steps * sum(words)),
        )


def _share(part: Any, whole: Any) -> float:
    return float(part) / max(1, int(whole))


class Once:
    """Lets each kind of warning of a run through once."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()

    def new(self, found: Iterable[tuple[str, str]]) -> Iterator[str]:
        """Texts of those of `warnings` whose kind was not among earlier ones."""
        for kind, text in found:
            if kind not in self._kinds:
                self._kinds.add(kind)
                yield f"warning: {text}"


def warnings(
    tally: Tally,
    network: Network,
    hyper: Hyperparameters,
    lanes: int,
    *,
    trained: int,
    chance: float,
    tested: Tally | None = None,
) -> Iterator[tuple[str, str]]:
    """Say what is wrong with a stretch of training and what helps: a name for the kind, and one sentence.

    Parameters
    ----------
    tally : Tally
        The stretch: an epoch, or what there is of one from SAMPLES samples on.
    network, hyper, lanes
        What is trained, how, and on how many lanes.
    trained : int
        Training samples since the network was new.
    chance : float
        Accuracy of always naming the most frequent class.
    tested : Tally or None
        The test behind the epoch, where there was one.
    """
    rule = Rule.parse(hyper.rule)
    found = [*_layers(tally, network, rule), *_saturations(Health.of(tally, network, rule, lanes))]
    measured = tally if tested is None or tested.samples < TESTED else tested
    if trained >= ENOUGH and not (above_chance(tally, chance) or above_chance(measured, chance)):
        what = "training" if measured is tally else "test"
        # What the statistics show is the likely cause; busy layers learn all the same.
        causes = [text for kind, text in found if not kind.startswith("busy")]
        if not hyper.rate:
            causes = ["the step size is 0; raise --rate"]
        if not causes:
            causes = [f"no layer is silent and nothing saturates, so try another step size (--rate, now {hyper.rate})"]
        yield (
            "chance",
            f"after {trained:,} training samples, {what} accuracy is {measured.accuracy:.1%}, which "
            f"{measured.samples:,} samples cannot tell from chance ({chance:.1%}): {causes[0]}",
        )
    yield from found


def above_chance(tally: Tally, chance: float) -> bool:
    """Whether more samples are right than luck explains, where a guess is right with probability ``chance``."""
    expected = tally.samples * chance
    return tally.correct > expected + DEVIATIONS * sqrt(expected * (1 - chance))


def _layers(tally: Tally, network: Network, rule: Rule) -> Iterator[tuple[str, str]]:
    for layer, rate in enumerate(tally.firing_rates(network), 1):
        if rate > BUSY_RATE:
            yield (
                f"busy {layer}",
                f"hidden layer {layer} spikes in {rate:.0%} of its time steps, and every spike costs cycles; "
                "raise --kappa for fewer",
            )
        elif rate < SILENT_RATE and rule is not Rule.READOUT:
            yield (
                f"silent {layer}",
                f"hidden layer {layer} hardly spikes ({rate:.2%} of its time steps) and so hardly learns; "
                "lower --kappa" + (" or raise --alpha" if rule.noise else ""),
            )


def _saturations(health: Health) -> Iterator[tuple[str, str]]:
    for kind, share, limit, what, remedy in (
        ("weights", health.weights, SATURATED_SHARE, "weights", "lower --rate, or let them decay faster (--decay 22)"),
        (
            "feedback",
            health.feedback,
            FEEDBACK_SHARE,
            "feedback matrices",
            "lower --feedback-leak, so that they decay faster",
        ),
        ("deltas", health.deltas, SATURATED_SHARE, "deltas", "lower --rate"),
    ):
        if share > limit:
            yield kind, f"{share:.0%} of the updates of {what} hit the end of the number range; {remedy}"
