"""Counters and warnings for problems of live sources: malformed records, clock jumps, late records."""

import logging
from dataclasses import dataclass

from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable

logger = logging.getLogger(__name__)


@dataclass
class LiveCounts:
    """Problem counters of one or more sources.

    Attributes
    ----------
    most_bad : int
        Maximum number of malformed records and backward jumps; one more ends the stream.
    late : int
        Events that arrived after their time step and were added to the present one.
    malformed : int
        Records, or datagrams of a wrong size, that were skipped.
    jumps_back : int
        Backward jumps of the clock.
    gaps, steps_left_out : int
        Gaps that were shortened, and the empty time steps removed by that.
    after_end : int
        Records after END.
    datagrams_lost : int or None
        Datagrams dropped by the operating system; None: no datagram source, or not reported.
    """

    most_bad: int = 0
    late: int = 0
    malformed: int = 0
    jumps_back: int = 0
    gaps: int = 0
    steps_left_out: int = 0
    after_end: int = 0
    datagrams_lost: int | None = None
    _fatal: str = ""

    def skip(self, text: str) -> None:
        """Count a malformed record."""
        self.malformed += 1
        self._bad(text, "it is skipped", first=self.malformed == 1)

    def jump_back(self, text: str) -> None:
        """Count a backward jump of the clock."""
        self.jumps_back += 1
        self._bad(text, "time goes on from there", first=self.jumps_back == 1)

    def gap(self, text: str, steps: int) -> None:
        """Count a gap that would be ``steps`` empty time steps."""
        self.gaps += 1
        self.steps_left_out += steps
        if self.gaps == 1:
            logger.warning(
                "warning: %s; %s empty time steps are left out (--max-gap); later gaps are only counted",
                printable(text),
                f"{steps:,}",
            )

    @property
    def too_many(self) -> bool:
        """Whether there are more bad records than allowed."""
        return self.malformed + self.jumps_back > self.most_bad

    def check(self) -> None:
        """Raise OpzoError if there are more bad records than allowed."""
        if self._fatal:
            text, self._fatal = self._fatal, ""
            many = f" ({self.most_bad + 1:,} bad records, more than --max-bad {self.most_bad})" if self.most_bad else ""
            raise OpzoError(f"{text}{many}; check the program that sends them")

    def _bad(self, text: str, what: str, *, first: bool) -> None:
        if self.too_many:
            self._fatal = self._fatal or text
        elif first:
            logger.warning("warning: %s; %s; later ones are only counted", printable(text), what)
