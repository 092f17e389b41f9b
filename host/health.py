"""Health of a training run: firing rates, shares of saturated updates, collapse; and what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from opzo.host.statistics import Tally
from opzo.spec.network import Network, Rule
from opzo.spec.registers import Counter

CHANCE_FACTOR = 1.5
"""Times the accuracy of guessing below which training has failed, as it does with too large steps."""
SAMPLES = 2000
"""Training samples after which a figure of an unfinished epoch means something."""
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
        words = [-(-n // lanes) for n in network.hidden]
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


def warnings(
    tally: Tally, network: Network, rule: Rule, lanes: int, tested: Tally | None = None
) -> Iterator[tuple[str, str]]:
    """What is wrong with a stretch of training and what helps: a name for the kind, and one sentence in plain words.

    The stretch is an epoch with the test after it, or what there is of an epoch from SAMPLES samples on.
    """
    chance = 1 / network.classes
    accuracy, what = (tally.accuracy, "training") if tested is None else (tested.accuracy, "test")
    if accuracy < CHANCE_FACTOR * chance:
        yield (
            "chance",
            f"{what} accuracy is {accuracy:.0%}, near chance ({chance:.0%}): the network has collapsed or does "
            "not learn; start anew with a smaller --rate",
        )
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
    health = Health.of(tally, network, rule, lanes)
    for kind, share, limit, what, remedy in (
        ("weights", health.weights, SATURATED_SHARE, "weights", "lower --rate, or let them decay faster (--decay 22)"),
        ("feedback", health.feedback, FEEDBACK_SHARE, "feedback matrices", "let them leak faster (a smaller --leak)"),
        ("deltas", health.deltas, SATURATED_SHARE, "deltas", "lower --rate"),
    ):
        if share > limit:
            yield kind, f"{share:.0%} of the updates of {what} hit the end of the number range; {remedy}"
