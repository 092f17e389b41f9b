"""What the simulation must know of a family of FPGAs: its cells without a Verilog model, its PLL, its constraints."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from opzo.sim.gates.cell import Cell
from opzo.spec.messages import printable

DIVIDER_BITS = re.compile("[01]{1,64}")
"""A divider in the JSON: binary digits."""


class UnmodelledError(Exception):
    """A cell is set up as no model expects; the text says what, and what to do."""


@dataclass(frozen=True)
class PllSettings:
    """How a netlist sets up its PLL.

    Parameters
    ----------
    reference, feedback, post : int
        Dividers: the output runs at input * ``feedback`` / ``reference``, the VCO ``post`` times as fast.
    comparator, vco : pair of float
        Lowest and highest frequency in MHz at which phase comparator and VCO work.
    """

    reference: int
    feedback: int
    post: int
    comparator: tuple[float, float]
    vco: tuple[float, float]


class CellFamily(ABC):
    """Family of FPGAs.

    Attributes
    ----------
    name : str
        Name in the build's configuration, and of the folder of models.
    pll : str
        Type of the PLL's cell.
    constraints : str
        File of constraints.
    located : pattern
        Finds the name of each port and its pin in that file.
    constants : dict
        Output and value of each type of cell that drives a constant.
    routed : str
        Why its netlists after place and route are not simulated; '' if they are.
    """

    name: str
    pll: str
    constraints: str
    located: re.Pattern[str]
    constants: ClassVar[Mapping[str, tuple[str, str]]] = {}
    routed: str = ""

    def kind(self, entry: Mapping[str, Any]) -> str:
        """Name of the model of a cell, an entry of the JSON."""
        return str(entry["type"])

    def site(self, entry: Mapping[str, Any]) -> tuple[int, str] | None:
        """Net and pin of the package where a cell is a pin that has been placed; else None."""
        return None

    @abstractmethod
    def statements(self, label: str, kind: str, cell: Cell) -> Iterator[str] | None:
        """Verilog of a cell without a module in ``cells``; None if it is not one of these.

        Iterating raises UnmodelledError for a setting that it does not know.
        """

    def check(self, cell: Cell) -> None:
        """UnmodelledError if a cell, whose statements have been made, leaves open what the family's models need."""
        return

    @abstractmethod
    def settings(self, cell: Cell) -> PllSettings:
        """How a PLL is set up; UnmodelledError if its model does not know that. All its pins count as modelled."""


def divider(text: str, most: int, offset: int = 0) -> int:
    """Divider from its text, to which ``offset`` is added; UnmodelledError unless it is in 1..``most``."""
    value = int(text, 2) + offset if DIVIDER_BITS.fullmatch(text) else 0
    if not 0 < value <= most:
        raise UnmodelledError(
            f" has a PLL that divides by '{printable(text)}', not by {1 - offset}..{most - offset} in binary; "
            "build it again"
        )
    return value


def unlike(pll: str, what: str) -> UnmodelledError:
    """Error of a PLL that is not set up like its model."""
    return UnmodelledError(f": the model of {pll} knows no {printable(what)} like this one; extend it in sim/gates")
