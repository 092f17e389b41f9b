"""What a board is: device, clock, serial port, LEDs."""

from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import Any

from opzo.spec.errors import OpzoError


class Family(Enum):
    """Device family; the value is its name in reports."""

    ECP5 = "ecp5"
    ICE40 = "ice40"
    GOWIN = "gowin"
    XILINX = "xilinx"
    INTEL = "intel"

    @property
    def open(self) -> bool:
        """Whether open tools make its bitstreams; for the others `opzo build --prepare` writes a project."""
        return self in (Family.ECP5, Family.ICE40, Family.GOWIN)

    @property
    def suffix(self) -> str:
        """Ending of its bitstreams."""
        return {"ecp5": ".bit", "ice40": ".bin", "gowin": ".fs", "xilinx": ".bit", "intel": ".sof"}[self.value]


@dataclass(frozen=True)
class Resources:
    """Cells of a device, or of a design.

    Parameters
    ----------
    luts : int
        Look-up tables; on ECP5 every cell that carries, stores or looks up (TRELLIS_COMB), on iCE40 logic cells.
    flip_flops : int
    block_rams : int
        Block RAMs of the device's own size.
    sprams : int
        Single-port RAMs (iCE40 UltraPlus).
    multipliers : int
        18 x 18 multipliers; 16 x 16 on iCE40.
    """

    luts: int
    flip_flops: int
    block_rams: int
    sprams: int = 0
    multipliers: int = 0


@dataclass(frozen=True)
class Light:
    """An LED: resource of the platform, its number, and the colour of one that has several (``r``, ``g``, ``b``)."""

    resource: str
    number: int
    color: str = ""


@dataclass(frozen=True)
class Board:
    """A board that people own.

    Parameters
    ----------
    name, title : str
        As on the command line, and as its maker writes it.
    family : Family
    platform_name : str
        ``module:class`` in amaranth-boards.
    device : Resources
        What its FPGA has.
    clock_mhz : float
        Oscillator.
    core_mhz : float
        Clock of the core unless the user wishes another.
    baud : int
        Highest rate that its USB bridge carries, in baud.
    bridge : str
        USB bridge of the serial port; '' where the board has none and ``uart_pins`` need an adapter.
    link, training, error : Light
        LEDs.
    loader : tuple of str
        Arguments by which openFPGALoader knows the board.
    uart_pins : tuple of str
        (rx, tx) as ``connector:pin``, seen from the FPGA, where the platform has no UART of its own.
    part_family : str or None
        Name of the part's family for the tools, where the platform names another one.
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

    @property
    def bitstream(self) -> str:
        """File name of its bitstream in ``build/NAME/``."""
        return self.name + self.family.suffix

    def platform(self) -> Any:
        """New Amaranth platform of the board; OpzoError where amaranth-boards is missing."""
        module, name = self.platform_name.split(":")
        try:
            factory = getattr(import_module(f"amaranth_boards.{module}"), name)
        except ModuleNotFoundError as error:
            raise OpzoError(f"a build needs the package {error.name}; pip install 'opzo[boards]'") from None
        platform = factory()
        if self.part_family is not None:
            platform.family = self.part_family
        return platform
