"""PLL arithmetic: clocks that can be generated from an oscillator."""

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
    input : int
        Frequency in Hz.
    reference, feedback, post : int
        Dividers of the input, of the feedback path, and of the VCO.
    from_output : bool
        Feedback is taken from the output instead of the VCO.
    """

    input: int
    reference: int
    feedback: int
    post: int
    from_output: bool

    @property
    def output(self) -> Fraction:
        """Output frequency in Hz."""
        return Fraction(self.input * self.feedback, self.reference * (1 if self.from_output else self.post))

    @property
    def vco(self) -> Fraction:
        """VCO frequency in Hz."""
        return Fraction(self.input * self.feedback * (self.post if self.from_output else 1), self.reference)

    @property
    def input_mhz(self) -> float:
        """Input frequency in MHz."""
        return self.input / 1e6

    @property
    def mhz(self) -> float:
        """Output frequency in MHz."""
        return float(self.output / 10**6)


@dataclass(frozen=True)
class PllRange:
    """Range of settings of the PLLs of a device.

    Parameters
    ----------
    references, feedbacks, posts : sequences of int
        Available dividers.
    comparator, vco, output : Span
        Frequencies allowed by the data sheet, in MHz; ``comparator`` is that after the reference divider.
    from_output : bool
        Feedback is taken from the output (so the VCO runs at output x post) instead of the VCO.
    """

    references: Sequence[int]
    feedbacks: Sequence[int]
    posts: Sequence[int]
    comparator: Span
    vco: Span
    output: Span
    from_output: bool

    def settings(self, input_mhz: float, most: float) -> Iterator[Pll]:
        """All settings for an oscillator of ``input_mhz`` whose output is ``most`` MHz or less."""
        # Integers in Hz, so that nothing is rounded; divisions are written as multiplications of the other side.
        source = _hz(input_mhz)
        low, high = _hz(self.output[0]), min(_hz(most), _hz(self.output[1]))
        slowest, fastest = map(_hz, self.vco)
        for reference in self.references:
            if not _hz(self.comparator[0]) * reference <= source <= _hz(self.comparator[1]) * reference:
                continue
            for feedback in self.feedbacks:
                base = source * feedback
                if self.from_output and not low * reference <= base <= high * reference:
                    continue
                if not self.from_output and not slowest * reference <= base <= fastest * reference:
                    continue
                for post in self.posts:
                    if self.from_output:
                        fits = slowest * reference <= base * post <= fastest * reference
                    else:
                        fits = low * reference * post <= base <= high * reference * post
                    if fits:
                        yield Pll(source, reference, feedback, post, self.from_output)

    def nearest(self, input_mhz: float, wished: float) -> Pll:
        """Setting with the highest output at or below ``wished`` MHz; OpzoError with the possible range if none exists.

        Ties are broken by the highest comparator frequency, then by the VCO frequency closest to mid-range.
        """
        middle = _hz(sum(self.vco)) // 2
        found = max(
            self.settings(input_mhz, wished),
            key=lambda pll: (pll.output, -pll.reference, -abs(pll.vco - middle)),
            default=None,
        )
        if wished > self.output[1] or found is None:
            low = min(pll.mhz for pll in self.settings(input_mhz, self.output[1]))
            raise OpzoError(
                f"a clock of {wished:g} MHz cannot be generated from the board's {input_mhz:g} MHz; "
                f"choose {low:.4g} to {self.output[1]:g} MHz"
            )
        return found


def _hz(mhz: float) -> int:
    """Convert a frequency from MHz to integer Hz."""
    return round(mhz * 1e6)
