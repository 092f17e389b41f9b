"""Description of a board: device, clock, serial port, LEDs."""

from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import Any

from opzo.spec.errors import OpzoError


class Family(Enum):
    """Device family; the value is its name in reports."""

    ECP5 = "ecp5"
    GOWIN = "gowin"
    XILINX = "xilinx"
    INTEL = "intel"

    @property
    def open(self) -> bool:
        """Whether open tools build its bitstreams; for other families `opzo build --prepare` writes a project."""
        return self in (Family.ECP5, Family.GOWIN)

    @property
    def suffix(self) -> str:
        """File name extension of its bitstreams."""
        return {"ecp5": ".bit", "gowin": ".fs", "xilinx": ".bit", "intel": ".sof"}[self.value]


@dataclass(frozen=True)
class Resources:
    """Cells of a device or a design.

    Parameters
    ----------
    luts : int
        Look-up tables; on ECP5 all TRELLIS_COMB cells (logic, carry and distributed RAM).
    flip_flops : int
    block_rams : int
        Block RAMs, in units of the device's block RAM.
    multipliers : int
        18 x 18 multipliers.
    """

    luts: int
    flip_flops: int
    block_rams: int
    multipliers: int = 0


@dataclass(frozen=True)
class Light:
    """An LED: platform resource, its number, and for an RGB LED the colour (``r``, ``g``, ``b``)."""

    resource: str
    number: int
    color: str = ""


@dataclass(frozen=True)
class Board:
    """A supported development board.

    Parameters
    ----------
    name, title : str
        Name on the command line, and the maker's product name.
    family : Family
    platform_name : str
        ``module:class`` in amaranth-boards, or ``package.module:class`` anywhere else.
    device : Resources
        Resources of its FPGA.
    clock_mhz : float
        Oscillator frequency in MHz.
    core_mhz : float
        Default clock of the core in MHz.
    baud : int
        Highest rate of its USB bridge, in baud.
    bridge : str
        USB bridge of the serial port; '' if the board has none and ``uart_pins`` need an adapter.
    link, training, error : Light
        Status LEDs.
    loader : tuple of str
        Arguments that select the board in openFPGALoader.
    uart_pins : tuple of str or None
        (rx, tx) as ``connector:pin``, named from the FPGA's side; None if the platform has a UART resource.
    part_family : str or None
        Part family for the tools, if the platform names a wrong one.
    boots_from_flash : bool
        Its loader, a USB bootloader, writes flash memory always.
    row : Light or None
        Pin that is held high, because without it the status LEDs stay dark.
    """

    name: str
    title: str
    family: Family
    platform_name: str
    device: Resources
    clock_mhz: float
    core_mhz: float
    baud: int
    bridge: str
    link: Light
    training: Light
    error: Light
    loader: tuple[str, ...]
    uart_pins: tuple[str, str] | None = None
    part_family: str | None = None
    boots_from_flash: bool = False
    row: Light | None = None

    @property
    def bitstream(self) -> str:
        """File name of its bitstream in ``build/NAME/``."""
        return self.name + self.family.suffix

    def platform(self) -> Any:
        """Create the board's Amaranth platform; OpzoError if amaranth-boards is missing."""
        module, name = self.platform_name.split(":")
        try:
            factory = getattr(import_module(module if "." in module else f"amaranth_boards.{module}"), name)
        except ModuleNotFoundError as error:
            raise OpzoError(f"a build needs the package {error.name}; pip install 'opzo[boards]'") from None
        platform = factory()
        if self.part_family is not None:
            platform.family = self.part_family
        return platform
