"""Arithmetic of PLLs: which clocks can be made of an oscillator."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from opzo.spec.errors import OpzoError

Span = tuple[float, float]
"""Lowest and highest frequency in MHz."""


@dataclass(frozen=True)
class Pll:
    """Setting of a PLL.

    Parameters
    ----------
    input, output, vco : Fraction
        Frequencies in MHz.
    reference, feedback, post : int
        Dividers of the input, in the feedback path, and of the VCO.
    """

    input: Fraction
    output: Fraction
    vco: Fraction
    reference: int
    feedback: int
    post: int

    @property
    def mhz(self) -> float:
        """Output in MHz."""
        return float(self.output)


@dataclass(frozen=True)
class PllRange:
    """What the PLLs of a device can do.

    Parameters
    ----------
    references, feedbacks, posts : sequences of int
        Dividers that exist.
    comparator, vco, output : Span
        Frequencies that the data sheet allows, in MHz; ``comparator`` behind the reference divider.
    from_output : bool
        The feedback comes from the output (and the VCO runs at output x post), else from the VCO.
    """

    references: Sequence[int]
    feedbacks: Sequence[int]
    posts: Sequence[int]
    comparator: Span
    vco: Span
    output: Span
    from_output: bool

    def settings(self, input_mhz: float, most: float) -> Iterator[Pll]:
        """All settings for an oscillator whose output is ``most`` MHz or less."""
        source = Fraction(str(input_mhz))
        high = min(Fraction(str(most)), Fraction(str(self.output[1])))
        for reference in self.references:
            if not _within(source / reference, self.comparator):
                continue
            for feedback in self.feedbacks:
                base = source * feedback / reference
                if self.from_output and not self.output[0] <= base <= high:
                    continue
                if not self.from_output and not _within(base, self.vco):
                    continue
                for post in self.posts:
                    output, vco = (base, base * post) if self.from_output else (base / post, base)
                    if self.output[0] <= output <= high and _within(vco, self.vco):
                        yield Pll(source, output, vco, reference, feedback, post)

    def nearest(self, input_mhz: float, wished: float) -> Pll:
        """Setting with the highest output at or below ``wished`` MHz; OpzoError, naming what is reachable, for none.

        Of those that are equal the one with the fastest comparator, then with the VCO nearest to its middle.
        """
        middle = Fraction(str(sum(self.vco))) / 2
        found = max(
            self.settings(input_mhz, wished),
            key=lambda pll: (pll.output, -pll.reference, -abs(pll.vco - middle)),
            default=None,
        )
        if wished > self.output[1] or found is None:
            low = min(pll.output for pll in self.settings(input_mhz, self.output[1]))
            raise OpzoError(
                f"no clock of {wished:g} MHz can be made of the board's {input_mhz:g} MHz; "
                f"choose {float(low):.4g} to {self.output[1]:g} MHz"
            )
        return found


def _within(value: Fraction, span: Span) -> bool:
    return span[0] <= value <= span[1]
