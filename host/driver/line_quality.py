"""How many frames a line damages, and the warning about it."""

import logging

logger = logging.getLogger(__name__)

WARN_COUNT, WARN_SHARE = 16, 0.01
"""Damaged frames, and their share of all frames, above which the user is warned."""


class LineQuality:
    """Counts the frames of a link and warns once when the line damages many.

    Attributes
    ----------
    frames : int
        Frames sent and received.
    damaged : int
        Those that the line damaged.
    """

    def __init__(self) -> None:
        self.frames = self.damaged = 0
        self._silent = False

    def silence(self) -> None:
        """Do not warn any more: bytes are damaged on purpose."""
        self._silent = True

    def count_damaged(self) -> None:
        """Count a damaged frame."""
        self.damaged += 1
        if not self._silent and self.damaged >= max(WARN_COUNT, WARN_SHARE * self.frames):
            self._silent = True
            # As text of this moment: a handler may format the record later.
            logger.warning("%s; they are sent again and nothing is lost; check cable and baud rate", str(self))

    def __str__(self) -> str:
        return f"noisy line: {self.damaged:,} of {self.frames:,} frames damaged"
