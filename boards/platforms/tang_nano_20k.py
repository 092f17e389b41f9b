"""Sipeed Tang Nano 20K.

Pins: LiteX-Boards, ``platforms/sipeed_tang_nano_20k.py`` at 0d2cdd6; Apicula's example for the board has the
same clock and LEDs.
"""

from typing import Any

from amaranth.build import Attrs, Clock, Pins, Resource
from amaranth.vendor import GowinPlatform
from amaranth_boards.resources import LEDResources, UARTResource

_IO = Attrs(IO_TYPE="LVCMOS33")


class TangNano20K(GowinPlatform):
    """Tang Nano 20K; the USB bridge is the serial port."""

    part = "GW2AR-LV18QN88C8/I7"
    family = "GW2AR-18C"
    default_clk: Any = "clk27"
    resources: Any = (
        Resource("clk27", 0, Pins("4", dir="i"), Clock(27e6), _IO),
        *LEDResources(pins="15 16 17 18 19 20", invert=True, attrs=_IO),
        UARTResource(0, rx="70", tx="69", attrs=Attrs(PULL_MODE="UP", IO_TYPE="LVCMOS33")),
    )
    connectors: Any = ()
