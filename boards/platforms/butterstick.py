"""ButterStick, with the first of its RGB LEDs as a resource of its own.

Pins: amaranth-boards. That colours and rows are active high: LiteX-Boards, ``targets/gsd_butterstick.py`` at 00ff61b.
"""

from typing import Any

from amaranth.build import Attrs, Pins, Resource
from amaranth_boards.butterstick import ButterStickPlatform
from amaranth_boards.resources import RGBLEDResource

_IO = Attrs(IO_TYPE="LVCMOS33")


class ButterStick(ButterStickPlatform):  # type: ignore[misc]
    """ButterStick; ``rgb_led`` shines while ``led_row`` is high."""

    resources: Any = (
        *(given for given in ButterStickPlatform.resources if given.name != "rgb_leds_muxed"),
        RGBLEDResource(0, r="T1", g="U1", b="R1", attrs=_IO),
        Resource("led_row", 0, Pins("C13", dir="o"), _IO),
    )
