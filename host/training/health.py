"""Health of a training run: firing rates, saturated updates and accuracy at chance level, with suggested fixes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Any

from opzo.host.driver.statistics import Tally
from opzo.host.training.config import Hyperparameters
from opzo.spec.limits import words_for
from opzo.spec.network import Network
from opzo.spec.registers import Counter
from opzo.spec.rules import Rule

MIN_SAMPLES = 2000
"""Training samples that an unfinished epoch needs before its figures are judged."""
MIN_TRAINED = 5000
"""Training samples after which a network that learns is above chance; hard data need thousands."""
MIN_TESTED = 50
"""Test samples below which an accuracy is not judged."""
DEVIATIONS = 2.0
"""Standard deviations above chance that an accuracy needs to be significant."""
BUSY_RATE, SILENT_RATE = 0.3, 0.002
"""Firing rates above which spikes cost more than they contribute, and below which a layer hardly learns."""
SATURATED_SHARE = 0.01
"""Share of saturated updates above which the user is warned."""
FEEDBACK_SHARE = 0.1
"""The same for feedback matrices, where only signs and rough sizes matter."""


@dataclass(frozen=True)
class Health:
    """Shares of saturated updates, counted in row-words: one counts if any of its lanes saturates.

    Attributes
    ----------
    weights : float
        Share of the row-words of weights that were written.
    feedback : float
        Share of the row-words of feedback matrices and local readouts that were written.
    deltas : float
        Share of the words of hidden neurons and time steps whose credit (delta times step size) saturated.
    """

    weights: float
    feedback: float
    deltas: float

    @classmethod
    def of(cls, tally: Tally, network: Network, rule: Rule, lanes: int) -> "Health":
        """Health from the counters of a tally."""
        count = tally.counters
        # A convolution has words of its own in each position, and entries of its own in each block.
        channels = [layer.map.channels for layer in network.layers[:-1]]
        words, blocks = (
            [n // c * words_for(c, lanes) for n, c in zip(neurons, channels, strict=True)]
            for neurons in (network.hidden, [n for _, n in network.feedback_shapes])
        )
        pairs = network.steps // 2 if rule.momentum else 0
        local = network.steps if rule.learns_hidden else 0
        matrices = sum(blocks) + sum(blocks[: len(network.intermediate_shapes)])
        written = network.classes * (pairs * matrices + local * sum(blocks[: network.local]))
        return cls(
            _share(count[Counter.WEIGHT_SATURATIONS], count[Counter.LEARN]),
            _share(count[Counter.FEEDBACK_SATURATIONS], tally.samples * written),
            _share(count[Counter.CREDIT_SATURATIONS], tally.samples * network.steps * sum(words)),
        )


def _share(part: Any, total: Any) -> float:
    return float(part) / max(1, int(total))


class NewWarnings:
    """Filters the warnings of a run: each kind passes once."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()

    def of(self, found: Iterable[tuple[str, str]]) -> Iterator[str]:
        """Texts of the warnings of `warnings` whose kind is new."""
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
    """Problems of a training run with suggested fixes: the kind of each, and one sentence.

    Parameters
    ----------
    tally : Tally
        Training to judge: an epoch, or the first MIN_SAMPLES samples of one or more.
    network, hyper, lanes
        Network, hyper-parameters and lanes of the training.
    trained : int
        Training samples since the network was initialised.
    chance : float
        Accuracy of always predicting the most frequent class.
    tested : Tally or None
        Test after the epoch, if there was one.
    """
    rule = Rule.parse(hyper.rule)
    found = [*_layers(tally, network, rule), *_saturations(Health.of(tally, network, rule, lanes))]
    measured = tally if tested is None or tested.samples < MIN_TESTED else tested
    if trained >= MIN_TRAINED and not (above_chance(tally, chance) or above_chance(measured, chance)):
        what = "training" if measured is tally else "test"
        # The likely cause is what the statistics show. Busy layers are no cause: they do learn.
        causes = [text for kind, text in found if not kind.startswith("busy")]
        if not hyper.rate:
            causes = ["the step size is 0; raise --rate"]
        if not causes:
            causes = [f"no layer is silent and nothing saturates, so try another step size (--rate, now {hyper.rate})"]
        yield (
            "chance",
            f"after {trained:,} training samples, {what} accuracy is {measured.accuracy:.1%}, not "
            f"significantly above chance ({chance:.1%}) for {measured.samples:,} samples: {causes[0]}",
        )
    yield from found


def above_chance(tally: Tally, chance: float) -> bool:
    """Whether the accuracy is significantly above ``chance``, the probability that a guess is correct."""
    expected = tally.samples * chance
    return tally.correct > expected + DEVIATIONS * sqrt(expected * (1 - chance))


def _layers(tally: Tally, network: Network, rule: Rule) -> Iterator[tuple[str, str]]:
    for layer, rate in enumerate(tally.firing_rates(network), 1):
        if rate > BUSY_RATE:
            yield (
                f"busy {layer}",
                f"hidden layer {layer} spikes in {rate:.0%} of its time steps, and every spike costs cycles; "
                "raise --kappa to reduce them",
            )
        elif rate < SILENT_RATE and rule.learns_hidden:
            yield (
                f"silent {layer}",
                f"hidden layer {layer} hardly spikes ({rate:.2%} of its time steps) and so hardly learns; "
                "lower --kappa" + (" or raise --alpha" if rule.noise else ""),
            )


def _saturations(health: Health) -> Iterator[tuple[str, str]]:
    for kind, share, limit, what, remedy in (
        ("weights", health.weights, SATURATED_SHARE, "weights", "lower --rate or raise the weight decay (--decay 22)"),
        (
            "feedback",
            health.feedback,
            FEEDBACK_SHARE,
            "feedback matrices",
            "lower --feedback-leak to make them decay faster",
        ),
        ("deltas", health.deltas, SATURATED_SHARE, "deltas", "lower --rate"),
    ):
        if share > limit:
            yield kind, f"{share:.0%} of the updates of {what} hit the end of the number range; {remedy}"
