"""Kinds of devices by name: the one list from which devices are opened, and which messages and help texts name.

A device string is ``NAME`` for a simulated device and ``NAME:ADDRESS`` for any other. To add a kind, write a class with
the methods of `Transport` and add a line to `KINDS`.
"""

from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import Any

from opzo.host.driver.transport import Connection, SimulatedTransport
from opzo.spec.errors import ChoiceError, OpzoError
from opzo.spec.limits import Limits
from opzo.spec.messages import did_you_mean, no_such, printable, shown
from opzo.spec.network import Network

SIMULATED_PATIENCE, SLOW_PATIENCE, PATIENCE = 5.0, 3.0, 1.0
"""Seconds without a byte after which the link sends again.

No byte is lost between host and simulated device, but it may compute for long before it answers.
"""


SIMULATED_STORE = 1 << 26
"""Bytes of the sample store of simulated devices."""


@dataclass(frozen=True)
class DeviceKind:
    """A kind of device.

    Parameters
    ----------
    factory : str
        ``module:attribute`` of the function that makes its transport. It is imported when a device is opened, so that a
        laptop that drives a board loads no simulator. It gets the `Limits` to simulate, or the address, and raises
        OpzoError where it fails.
    address : str
        Format of its addresses, for messages; '' for a simulated device.
    tools : str
        ``module:attribute`` of the function that finds what this machine needs for it, which raises OpzoError with a
        fix where something is missing; '' if it needs nothing.
    slow : bool
        Whether its replies may take seconds.
    store : int
        Bytes of the sample store of a simulated device that is built for a network.
    lasts : bool
        Whether it outlives its transport, so that a fresh transport reaches the same device.
    """

    factory: str
    address: str = ""
    tools: str = ""
    slow: bool = False
    store: int = 0
    lasts: bool = True

    def make(self, *arguments: Any, **settings: Any) -> Any:
        """Transport to a device of this kind."""
        return _attribute(self.factory)(*arguments, **settings)

    def find_tools(self) -> str:
        """What it needs, as found on this machine; OpzoError, with a fix, where something is missing."""
        return str(_attribute(self.tools)()) if self.tools else ""


def _attribute(name: str) -> Any:
    """The attribute called ``module:attribute``."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


KINDS = {
    "fast": DeviceKind("opzo.sim.model_transport:fast", tools="opzo.sim.compile.cxx:find_cxx", store=SIMULATED_STORE),
    "golden": DeviceKind("opzo.sim.model_transport:golden", store=SIMULATED_STORE),
    "rtl": DeviceKind(
        "opzo.sim.rtl.transport:RtlTransport", tools="opzo.sim.rtl.library:find_tools", store=SIMULATED_STORE
    ),
    "netlist": DeviceKind("opzo.sim.gates.transport:open_netlist", address="build/BOARD[/routed]", slow=True),
    "verilog": DeviceKind(
        "opzo.sim.rtl.exported:open_exported",
        address="FOLDER",
        tools="opzo.sim.compile.verilated:find_toolchain",
        lasts=False,
    ),
    "serial": DeviceKind("opzo.host.driver.serial_port:open_serial", address="/dev/ttyUSB0[@baud]"),
    "uio": DeviceKind("opzo.host.driver.uio:open_uio", address="/dev/uio0[@offset]"),
}
"""``golden`` is the golden model, ``fast`` the same in compiled code, ``rtl`` the gateware cycle for cycle; ``netlist``
is a board whose FPGA is simulated gate by gate through its pins, ``verilog`` the files of ``opzo verilog``, simulated,
``serial`` a board, and ``uio`` a chip behind a bus that Linux maps into memory."""

RECORDING = DeviceKind("opzo.sim.model_transport:recording")
"""The golden model with a record of what happens in its runs. No device for users, who get `opzo.Recording` of any."""


def simulated_devices() -> list[str]:
    """Device strings of all simulated devices."""
    return [name for name, kind in KINDS.items() if not kind.address]


def is_simulated(device: object) -> bool:
    """Whether a device string names a simulated device."""
    return device in simulated_devices()


def device_choices() -> str:
    """All forms of a device string, for messages and help: ``a, b or c:ADDRESS``."""
    addressed = [f"{name}:{kind.address}" for name, kind in KINDS.items() if kind.address]
    *forms, last = simulated_devices() + addressed
    return f"{', '.join(forms)} or {last}"


def simulated_limits(device: str, network: Network, lanes: int, weight_bits: int) -> Limits:
    """Limits of a simulated device that is built for a network; NetworkError if no device holds it."""
    return replace(network.limits(lanes, weight_bits), store=KINDS[device].store)


def connection(device: str, limits: Limits | None = None) -> Connection:
    """Connection of a device string; a simulated device is built for ``limits``."""
    if not isinstance(device, str):
        raise ChoiceError(f"a device must be named by a string, not {shown(device)}; choose {device_choices()}")
    name, colon, address = device.partition(":")
    kind = KINDS.get(name)
    if kind is None or bool(kind.address) != bool(colon) or (colon and not address):
        raise _no_device(device)
    if kind.address:
        patience = SLOW_PATIENCE if kind.slow else PATIENCE if kind.lasts else SIMULATED_PATIENCE
        return Connection(device, partial(kind.make, address), patience, reopens=kind.lasts, slow=kind.slow)
    if limits is None:
        raise OpzoError(
            f"'{device}' is simulated and built for a network; give one: opzo.connect('{device}', network), with "
            "network = opzo.Network('64-64-10') or data.network()"
        )
    return Connection(device, partial(kind.make, limits), SIMULATED_PATIENCE, reopens=False)


def simulated(device: str, limits: Limits, **settings: Any) -> SimulatedTransport:
    """Simulated device of a name, built for ``limits``; ``settings`` are those of its factory.

    OpzoError where there is no such simulated device, or a tool that it needs is missing.
    """
    if not is_simulated(device):
        raise no_such("simulated device", device, simulated_devices())
    transport: SimulatedTransport = KINDS[device].make(limits, **settings)
    return transport


def recording(limits: Limits) -> Any:
    """Transport to a golden model built for ``limits``, whose ``core.records`` has a record of each of its runs."""
    return RECORDING.make(limits)


def _no_device(text: str) -> ChoiceError:
    """Error for an invalid device string, with a suggestion."""
    hint = did_you_mean(text, simulated_devices())
    if text.startswith("/dev/uio"):
        hint = f" (did you mean 'uio:{printable(text)}'?)"
    elif text.startswith("/dev/"):
        hint = f" (did you mean 'serial:{printable(text)}'?)"
    elif text.startswith(("tty", "cu.")):
        hint = f" (did you mean 'serial:/dev/{printable(text)}'?)"
    elif text in ("serial", "serial:"):
        hint = " without its port (opzo ports lists them)"
    return ChoiceError(f"{shown(text)} is not a device{hint}; choose {device_choices()}")
