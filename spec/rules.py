"""Learning rules and kinds of input."""

from enum import IntEnum
from typing import TypeVar

from opzo.spec.messages import no_such

E = TypeVar("E", bound=IntEnum)


def _parse(kinds: type[E], name: E | str, what: str) -> E:
    if isinstance(name, kinds):
        return name
    known = {kind.name.lower(): kind for kind in kinds}
    if isinstance(name, str) and name.lower() in known:
        return known[name.lower()]
    raise no_such(what, name, known)


class Input(IntEnum):
    """What a sample consists of; the value is the content of register INPUT."""

    FRAME = 0
    """Values that are constant over the sample, which is one chunk."""
    SPIKES = 1
    """Events (time step, address), each a spike of 1.0; a sample is any number of chunks."""
    GRADED = 2
    """Events (time step, address, value), value / 256; chunks have one time step."""

    @property
    def events(self) -> bool:
        """Whether samples are lists of events in time."""
        return self is not Input.FRAME

    @classmethod
    def parse(cls, name: "Input | str") -> "Input":
        """Kind of a name as written on the command line, or the kind itself; ChoiceError for an unknown one."""
        return _parse(cls, name, "input")


class Rule(IntEnum):
    """How the error reaches the hidden layers; the value is the content of register RULE."""

    OPZO = 0
    """Momentum feedback matrices, learned from injected noise (the paper's method)."""
    DFA = 1
    """Fixed random feedback matrices; no noise."""
    ZO = 2
    """Zeroth order: loss times noise; no feedback matrix."""
    READOUT = 3
    """Hidden layers frozen; only the read-out learns."""

    @property
    def noise(self) -> bool:
        """Whether training injects noise before the neuron."""
        return self in (Rule.OPZO, Rule.ZO)

    @property
    def feedback(self) -> bool:
        """Whether feedback matrices exist."""
        return self in (Rule.OPZO, Rule.DFA)

    @classmethod
    def parse(cls, name: "Rule | str") -> "Rule":
        """Rule of a name as written on the command line, or the rule itself; ChoiceError for an unknown one."""
        return _parse(cls, name, "learning rule")
