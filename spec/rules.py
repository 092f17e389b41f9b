"""Learning rules and kinds of input: one entry each, from which every side takes what it needs.

``docs/extending.md`` shows how a rule is added.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Self, TypeVar

from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.messages import no_such

E = TypeVar("E", bound=IntEnum)


def _parse(kinds: type[E], name: E | str, what: str) -> E:
    if isinstance(name, kinds):
        return name
    known = {kind.name.lower(): kind for kind in kinds}
    if isinstance(name, str) and name.lower() in known:
        return known[name.lower()]
    raise no_such(what, name, known)


def names(kinds: type[E]) -> str:
    """Names of all members as the command line takes them: ``a, b or c``."""
    *first, last = (kind.name.lower() for kind in kinds)
    return f"{', '.join(first)} or {last}"


class Teaching(Enum):
    """What makes the learning signal of a hidden neuron."""

    MATRIX = "feedback matrix x error"
    LOSS = "sign of the noise x loss"
    NOTHING = "nothing: the hidden layers do not learn"


@dataclass(frozen=True)
class RuleEntry:
    """One learning rule.

    Attributes
    ----------
    meaning : str
        One sentence, for help and documentation.
    teaching : Teaching
        What makes the learning signal of a hidden neuron.
    noise : bool
        Whether training injects noise into the membrane potential, in antithetic pairs of time steps.
    momentum : bool
        Whether the noise and the change of the outputs update the feedback matrix at the end of each pair.
    random_matrix : bool
        Whether the feedback matrix begins with random entries; without, with 0.
    """

    meaning: str
    teaching: Teaching
    noise: bool = False
    momentum: bool = False
    random_matrix: bool = False

    def __post_init__(self) -> None:
        if (self.momentum or self.random_matrix) and self.teaching is not Teaching.MATRIX:
            raise ValueError(f"a rule whose learning signal is made from {self.teaching.value} has no feedback matrix")
        if (self.momentum or self.teaching is Teaching.LOSS) and not self.noise:
            raise ValueError("momentum, and a learning signal from the loss, need noise")


class Rule(IntEnum):
    """How the error reaches the hidden layers; the value is the content of register RULE."""

    _value_: int
    entry: RuleEntry

    OPZO = (
        0,
        RuleEntry(
            "Momentum feedback matrices, learned from injected noise (the paper's method).",
            Teaching.MATRIX,
            noise=True,
            momentum=True,
        ),
    )
    DFA = (
        1,
        RuleEntry("Fixed random feedback matrices; no noise.", Teaching.MATRIX, random_matrix=True),
    )
    ZO = (
        2,
        RuleEntry("Zeroth order: loss times noise; no feedback matrix.", Teaching.LOSS, noise=True),
    )
    READOUT = (
        3,
        RuleEntry("Hidden layers frozen; only the readout learns.", Teaching.NOTHING),
    )

    def __new__(cls, value: int, *columns: RuleEntry) -> Self:
        """Rule with its entry; calls with the value alone find a member."""
        rule = int.__new__(cls, value)
        rule._value_, (rule.entry,) = value, columns
        return rule

    @property
    def noise(self) -> bool:
        """Whether training injects noise before the neuron."""
        return self.entry.noise

    @property
    def feedback(self) -> bool:
        """Whether feedback matrices exist; the device chooses their shift during training."""
        return self.entry.teaching is Teaching.MATRIX

    @property
    def from_loss(self) -> bool:
        """Whether the learning signal is the sign of the noise times the loss, one item a word."""
        return self.entry.teaching is Teaching.LOSS

    @property
    def momentum(self) -> bool:
        """Whether pairs of time steps update the feedback matrices."""
        return self.entry.momentum

    @property
    def learns_hidden(self) -> bool:
        """Whether the hidden layers learn."""
        return self.entry.teaching is not Teaching.NOTHING

    @classmethod
    def parse(cls, name: "Rule | str") -> "Rule":
        """Rule of a name as written on the command line, or the rule itself; ChoiceError for an unknown one."""
        return _parse(cls, name, "learning rule")


RULE_TRAITS = ("noise", "feedback", "from_loss", "momentum", "learns_hidden")
"""Properties of a rule that the engine asks for."""


INPUT_TRAITS = ("events", "values", "graded")
"""Properties of a kind of input that the engine asks for."""


@dataclass(frozen=True)
class InputEntry:
    """One kind of input.

    Attributes
    ----------
    meaning : str
        One sentence, for help and documentation.
    events : bool
        Whether a sample is a list of events in time, of any number of runs. Without, it is one run of as many time
        steps as register STEPS has, its input is constant, and the first layer integrates it once.
    values : bool
        Whether an event has a value, and so travels as a pair of bytes. Without, its value is 1.0.
    steps : int
        Most time steps of a run.
    """

    meaning: str
    events: bool
    values: bool
    steps: int = HISTORY_STEPS


class Input(IntEnum):
    """What a sample consists of; the value is the content of register INPUT."""

    _value_: int
    entry: InputEntry

    FRAME = (
        0,
        InputEntry("Values that are constant over the sample, which is one run.", events=False, values=True),
    )
    SPIKES = (
        1,
        InputEntry(
            "Events (time step, address), each a spike of 1.0; a sample is any number of chunks.",
            events=True,
            values=False,
        ),
    )
    GRADED = (
        2,
        InputEntry(
            "Events (time step, address, value), value / 256; chunks have one time step.",
            events=True,
            values=True,
            steps=1,
        ),
    )

    def __new__(cls, value: int, *columns: InputEntry) -> Self:
        """Kind with its entry; calls with the value alone find a member."""
        kind = int.__new__(cls, value)
        kind._value_, (kind.entry,) = value, columns
        return kind

    @property
    def events(self) -> bool:
        """Whether samples are lists of events in time."""
        return self.entry.events

    @property
    def values(self) -> bool:
        """Whether events have values, and travel as pairs of bytes."""
        return self.entry.values

    @property
    def graded(self) -> bool:
        """Whether samples are lists of events with values."""
        return self.entry.events and self.entry.values

    @property
    def run_steps(self) -> int:
        """Most time steps of a run, whatever the device."""
        return self.entry.steps

    @classmethod
    def of_register(cls, content: int) -> "Input":
        """Kind for the content of register INPUT; a content that is no kind acts like SPIKES."""
        kind = cls._value2member_map_.get(content, cls.SPIKES)
        assert isinstance(kind, cls)
        return kind

    @classmethod
    def parse(cls, name: "Input | str") -> "Input":
        """Kind of a name as written on the command line, or the kind itself; ChoiceError for an unknown one."""
        return _parse(cls, name, "input")
