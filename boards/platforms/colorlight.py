"""Colorlight receiver cards: 5A-75B, i5, i9.

Pins of i5 and i9: LiteX-Boards, ``platforms/colorlight_i5.py`` at c9d009c (i5 revision 7.0, i9 revision 7.2; serial
port of the extension board), and Colorlight-FPGA-Projects by wuxx, ``colorlight_i9_v7.2.md``. Pins of the 5A-75B:
amaranth-boards.
"""

from typing import Any

from amaranth.build import Attrs, Clock, Pins, Resource
from amaranth.vendor import LatticeECP5Platform
from amaranth_boards.colorlight_5a75b_r7_0 import Colorlight_5A75B_R70Platform
from amaranth_boards.resources import LEDResources, UARTResource

_IO = Attrs(IO_TYPE="LVCMOS33")


class Colorlight5A75B(Colorlight_5A75B_R70Platform):  # type: ignore[misc]
    """5A-75B revision 7.0; its own LED and button are the pins of the serial port, so lights are pins 1 to 3 of J1."""

    resources: Any = (
        *(given for given in Colorlight_5A75B_R70Platform.resources if given.name not in ("led", "button")),
        *LEDResources(pins="1 2 3", conn=("j", 1), attrs=_IO),
    )


class _Module(LatticeECP5Platform):
    """i5 or i9 on its extension board, whose CMSIS-DAP probe has a serial port."""

    package = "BG381"
    speed = "6"
    default_clk: Any = "clk25"
    connectors: Any = ()


def _resources(led: str) -> list[Resource]:
    return [
        Resource("clk25", 0, Pins("P3", dir="i"), Clock(25e6), _IO),
        *LEDResources(pins=led, invert=True, attrs=_IO),
        UARTResource(0, rx="H18", tx="J17", attrs=Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP")),
    ]


class ColorlightI5(_Module):
    """i5 revision 7.0."""

    device = "LFE5U-25F"
    resources: Any = _resources("U16")


class ColorlightI9(_Module):
    """i9 revision 7.2."""

    device = "LFE5U-45F"
    resources: Any = _resources("L2")
