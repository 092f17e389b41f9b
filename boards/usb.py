"""Guess the board behind a USB serial port from the ids and the strings of its USB chip."""

import re

from opzo.boards.board import Board
from opzo.boards.registry import BOARDS

_BRIDGES = {
    (0x0403, 0x6010): ("FT2232H", "BL702", "BL616"),
    (0x0403, 0x6015): ("FT231X",),
    (0x1D50, 0x602B): ("iCELink",),
    (0x0D28, 0x0204): ("DAPLink",),
}
"""Serial bridges of boards by vendor and product id; Sipeed's BL702 and BL616 use the ids of an FT2232."""
TWO_CHANNELS = (0x0403, 0x6010)
"""Bridge with two channels; boards use the first for programming and the second as a serial port."""
_NAMES = (
    (r"ULX3S.*12[KF]", ("ulx3s-12f",)),
    (r"ULX3S.*25[KF]", ("ulx3s-25f",)),
    (r"ULX3S.*85[KF]", ("ulx3s-85f",)),
    (r"ULX3S", ("ulx3s-85f", "ulx3s-25f", "ulx3s-12f")),
    (r"ECPIX", ("ecpix5-85f", "ecpix5-45f")),
    (r"Digilent", ("arty-a7-35", "arty-a7-100", "nexys4ddr")),
    (r"SIPEED|Sipeed", ("tang-nano-9k", "tang-nano-20k", "tang-primer-20k")),
    (r"MuseLab|Muse Lab|DAPLink", ("icesugar-pro", "colorlight-i5", "colorlight-i9")),
)
"""Patterns of the manufacturer and product strings, and the boards that may have them; the first match counts."""


def guess_boards(vid: int | None, pid: int | None, text: str) -> list[Board]:
    """Boards that a port with these USB ids may belong to, the most likely first; empty if no board has these ids.

    ``text`` contains the manufacturer and product strings.
    """
    bridges = _BRIDGES.get((vid or 0, pid or 0), ())
    candidates = [board for board in BOARDS if board.bridge in bridges]
    for pattern, names in _NAMES:
        if re.search(pattern, text):
            return [board for board in candidates if board.name in names]
    return candidates


def is_programming_channel(vid: int | None, pid: int | None, location: str | None) -> bool:
    """Whether a port is the channel that programs its board; ``location`` in the form of Linux, ``1-2:1.0``."""
    return (vid, pid) == TWO_CHANNELS and (location or "").endswith(":1.0")
