"""Folders of ``opzo build``: the netlists in them, and the board around the FPGA."""

import gzip
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opzo.sim.gates.ecp5 import ECP5Cells
from opzo.sim.gates.gowin import GowinCells
from opzo.sim.gates.netlist import LIGHTS, Netlist
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable
from opzo.spec.values import real_number, whole_number
from opzo.system.bounds import room

ROUTED = "routed"
"""Last part of an address that asks for the netlist after place and route."""
FAMILIES = {family.name: family for family in (ECP5Cells(), GowinCells())}
"""Families whose cells are modelled, by name."""
CONFIGURATION = "configuration.json"
NETLISTS = {False: "opzo.json.gz", True: "opzo.routed.json.gz"}
"""Netlists as yosys and nextpnr write them, by whether they are routed."""
OSCILLATOR_MAX, BAUD_MAX = 1000, 100_000_000
"""MHz, and bits a second."""
JSON_MEMORY = 10
"""Bytes of memory for each byte of JSON, with a margin: netlists of the tools need five."""
_SITE = re.compile(r"\w+")


@dataclass(frozen=True)
class Pin:
    """Pin of the FPGA's package: its name, and whether it is active low."""

    site: str
    inverted: bool


def _pin(entry: Any) -> Pin:
    """Pin of the JSON; ValueError if it is none."""
    site, inverted = entry["site"], entry["inverted"]
    if not isinstance(site, str) or not _SITE.fullmatch(site) or not isinstance(inverted, bool):
        raise ValueError("a pin without a site")
    return Pin(site, inverted)


class BuildFolder:
    """Folder of a build, as a device string names it: ``FOLDER`` or ``FOLDER/routed``.

    Raises OpzoError, with what to do, where there is no netlist in it that can be simulated.

    Attributes
    ----------
    name : str
        Name of the netlist, for messages.
    family : CellFamily
        Family of its FPGA.
    oscillator_mhz : float
        Frequency of the board's oscillator.
    baud : int
        Rate of its serial port.
    pins : dict
        The board's pins: "oscillator", "rx", "tx", LIGHTS, and "button" where it has one.
    """

    def __init__(self, address: str) -> None:
        path = Path(address)
        self._routed = path.name == ROUTED and not (path / CONFIGURATION).exists()
        self._path = path.parent if self._routed else path
        self.name = printable(address)
        try:
            configuration: dict[str, Any] = json.loads((self._path / CONFIGURATION).read_bytes())
            family, board = str(configuration["family"]), str(configuration["board"])
            self.oscillator_mhz = real_number("oscillator_mhz", configuration["oscillator_mhz"], 1, OSCILLATOR_MAX)
            self.baud = whole_number("baud", configuration["baud"], 1, BAUD_MAX)
            pins = configuration["pins"]
            self.pins = {name: _pin(pins[name]) for name in pins}
            missing = {"oscillator", "rx", "tx", *LIGHTS} - self.pins.keys()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OpzoError):
            raise self._no_netlist("BOARD") from None
        if family not in FAMILIES:
            raise OpzoError(
                f"the netlist of {printable(board)} cannot be simulated: there are models of cells of "
                f"{' and '.join(FAMILIES)}, not of {printable(family)}; choose --device rtl, or a board with an ECP5 "
                "(opzo boards lists them)"
            )
        self.family = FAMILIES[family]
        if self._routed and self.family.routed:
            raise OpzoError(
                f"the routed netlist of {printable(board)} cannot be simulated: {self.family.routed}; choose "
                f"--device netlist:{printable(str(self._path))}, the netlist after synthesis"
            )
        if missing or not self.file.is_file():
            raise self._no_netlist(printable(board))

    @property
    def file(self) -> Path:
        """The netlist: JSON, compressed."""
        return self._path / NETLISTS[self._routed]

    def netlist(self) -> Netlist:
        """The netlist; OpzoError if the file is damaged."""
        try:
            with gzip.open(self.file) as file:
                content = file.read(room() // JSON_MEMORY)
                if file.read(1):
                    raise OpzoError(f"{self.file} needs more memory than is available; build a smaller chip")
            modules: dict[str, Any] = json.loads(content)["modules"]
            # yosys also writes the cells of its library, nextpnr writes one module.
            return Netlist(modules["top" if self._routed else "opzo"], self.name, self.family)
        except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError, zlib.error):
            raise OpzoError(f"{self.file} is damaged; build it again with: opzo build --out {self._path}") from None

    def ports(self, netlist: Netlist) -> dict[str, str]:
        """Name of the board's pin at each port of the netlist, by the constraints of place and route.

        OpzoError where the board has a pin that leads to no port, or to one of the wrong direction.
        """
        sites = netlist.sites() if self._routed else self._located()
        found = {}
        for name, pin in self.pins.items():
            port = sites.get(pin.site)
            is_input = name in ("oscillator", "rx", "button")
            if port is None or netlist.ports.get(port) is not is_input:
                what = "no port" if port is None else f"port {printable(port)}, no {'input' if is_input else 'output'},"
                raise OpzoError(
                    f"{self.name} has {what} at pin {pin.site}, where the board has its {name}; compare "
                    f"{self.family.constraints} with the board, and build it again"
                )
            found[port] = name
        return found

    @property
    def constraints(self) -> bytes:
        """Content of the file of constraints; OpzoError if it cannot be read."""
        try:
            return (self._path / self.family.constraints).read_bytes()
        except OSError as error:
            raise OpzoError(
                f"cannot read {self._path / self.family.constraints}: {error.strerror}; build it again"
            ) from None

    def _located(self) -> dict[str, str]:
        """Port at each pin, by the constraints."""
        return {site: port for port, site in self.family.located.findall(self.constraints.decode(errors="replace"))}

    def _no_netlist(self, board: str) -> OpzoError:
        out = "" if self._path.name == board else f" --out {self._path}"
        return OpzoError(
            f"there is no {'routed ' if self._routed else ''}netlist in {self._path}; build it with: "
            f"opzo build --board {board}{out} --net ..."
        )
