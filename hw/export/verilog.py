"""Plain Verilog of the core, of the top, and of the chip behind buses."""

from amaranth.lib.wiring import Component

import opzo
from opzo.hw.bus.axi import AxiTop
from opzo.hw.bus.stream import StreamTop
from opzo.hw.bus.wishbone import WishboneTop
from opzo.hw.core import Core
from opzo.hw.export.convert import convert_readable
from opzo.hw.top import Top
from opzo.spec.limits import Limits

CORE, TOP = "opzo_core", "opzo_top"
"""Names of the modules."""
BUSES: dict[str, type[StreamTop | AxiTop | WishboneTop]] = {
    "stream": StreamTop,
    "axi": AxiTop,
    "wishbone": WishboneTop,
}
"""The chip behind each bus, by name."""


def core_verilog(limits: Limits) -> str:
    """Verilog of module ``opzo_core``: `Core`, ports ``link__...`` as in `CoreSignature`, ``clk`` and ``rst``."""
    return titled(Core(limits), CORE, limits)


def top_verilog(limits: Limits, clock_khz: int = 0) -> str:
    """Verilog of module ``opzo_top``: `Top`, ports ``rx__...`` and ``tx__...`` (bytes), ``busy``, ``clk``, ``rst``."""
    return titled(Top(limits, clock_khz), TOP, limits, _clock(clock_khz))


def bus_module(bus: str) -> str:
    """Name of the module of the chip behind ``bus``, one of BUSES."""
    return f"opzo_{bus}"


def bus_verilog(bus: str, limits: Limits, clock_khz: int = 0) -> str:
    """Verilog of the chip behind ``bus``, one of BUSES; the component has the ports."""
    return titled(BUSES[bus](limits, clock_khz), bus_module(bus), limits, _clock(clock_khz))


def write_verilog(limits: Limits, clock_khz: int = 0) -> dict[str, str]:
    """Verilog texts: ``core``, for use with another link, and ``top``, which contains a core and the link."""
    return {"core": core_verilog(limits), "top": top_verilog(limits, clock_khz)}


def _clock(clock_khz: int) -> str:
    return f", clock {clock_khz} kHz" if clock_khz else ""


def titled(component: Component, name: str, limits: Limits, clock: str = "") -> str:
    """Verilog of ``component`` as module ``name``, with a comment that has the sizes, and ``clock`` after them."""
    sizes = ", ".join(f"{size} {what}" for what, size in vars(limits).items() if what != "learning")
    # Without assertions: not every synthesis tool takes them in plain Verilog.
    return f"// {name} of opzo {opzo.__version__}: {sizes}{clock}\n{convert_readable(component, name, checks=False)}"
