"""Device strings, and the registry of kinds of devices."""

import subprocess
import sys

import pytest

from opzo.host.cli.main import main
from opzo.host.driver import devices, link
from opzo.host.driver.device import open_device
from opzo.host.driver.devices import KINDS, DeviceKind, connection, device_choices, is_simulated, simulated
from opzo.host.driver.link import Link
from opzo.host.driver.transport import Transport
from opzo.sim.compile.cxx import find_cxx
from opzo.sim.golden.core import GoldenCore
from opzo.sim.model_transport import ModelTransport
from opzo.spec.errors import OpzoError
from opzo.spec.limits import Limits
from opzo.spec.network import Network

LIMITS = Limits(4, 64, 64, 4, 4)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("fpga", "'fpga' is not a device; choose fast, golden, rtl, netlist:.*, serial:.* or uio:"),
        ("serial:", "is not a device"),
        ("", "is not a device"),
        ("/dev/ttyUSB0", r"did you mean 'serial:/dev/ttyUSB0'\?"),
        ("ttyUSB0", r"did you mean 'serial:/dev/ttyUSB0'\?"),
        ("serial:/dev/ttyUSB0@fast", "'fast' is not a baud rate; write serial:/dev/ttyUSB0@1000000"),
        ("serial:/dev/ttyUSB0@0", "'0' is not a baud rate"),
        ("golden", r"give one: opzo\.connect\('golden', network\)"),
    ],
)
def test_refuses_device_strings(device: str, message: str) -> None:
    with pytest.raises(OpzoError, match=message):
        connection(device).open()


def test_simulated_devices_cannot_be_opened_again() -> None:
    assert not connection("golden", LIMITS).reopens
    assert isinstance(connection("golden", LIMITS).open(), ModelTransport)
    assert connection("serial:/dev/ttyUSB0").reopens


class Socket(ModelTransport):
    """A transport to a device that is reached by an address, here ``LANES``; stands in for one over a network."""

    def __init__(self, address: str) -> None:
        if not address.isdecimal():
            raise OpzoError(f"'{address}' is not an address; write socket:4")
        super().__init__(GoldenCore(Limits(int(address), 64, 64, 4, 4)))


class Echo:
    """A simulated device that answers nothing."""

    busy = False

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    def write(self, data: bytes) -> None:
        pass

    def read(self, timeout: float) -> bytes:
        return b""

    def close(self) -> None:
        pass


def test_new_transport_is_one_class_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "socket", DeviceKind(f"{__name__}:Socket", address="LANES"))
    others = "netlist:build/BOARD[/routed], verilog:FOLDER, serial:/dev/ttyUSB0[@baud], uio:/dev/uio0[@offset]"
    assert device_choices() == f"fast, golden, rtl, {others} or socket:LANES"
    assert not is_simulated("socket:8")
    with open_device("socket:8") as device:
        assert device.limits.lanes == 8
    for name, message in (
        ("socket:x", "'x' is not an address; write socket:4"),
        ("socket", "'socket' is not a device; choose fast, .* or socket:LANES"),
        ("socket:", "'socket:' is not a device; choose fast"),
    ):
        with pytest.raises(OpzoError, match=message):
            open_device(name)


def test_new_simulated_device_is_one_class_and_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(KINDS, "echo", DeviceKind(f"{__name__}:Echo"))
    monkeypatch.setattr(devices, "SIMULATED_PATIENCE", 0.05)
    monkeypatch.setattr(link, "SYNC_PATIENCE", 0.05)
    assert (
        device_choices()
        == "fast, golden, rtl, echo, netlist:build/BOARD[/routed], verilog:FOLDER, serial:/dev/ttyUSB0[@baud] or "
        "uio:/dev/uio0[@offset]"
    )
    transport = connection("echo", LIMITS).open()
    assert isinstance(transport, Echo)
    assert transport.limits == LIMITS
    with pytest.raises(OpzoError, match=r"'ecco' is not a device \(did you mean 'echo'\?\)"):
        connection("ecco")
    with pytest.raises(OpzoError, match="echo does not answer"):
        open_device("echo", Network("9-8-3"))
    assert main(["simulate", "--device", "serial:/dev/ttyUSB0"]) == 2
    assert "choose fast, golden, rtl, echo;" in capsys.readouterr().err


def test_a_kind_names_the_tools_that_it_needs() -> None:
    assert KINDS["golden"].find_tools() == KINDS["serial"].find_tools() == ""
    assert KINDS["fast"].find_tools() == str(find_cxx()) != ""


def test_simulated_makes_only_simulated_devices() -> None:
    with pytest.raises(OpzoError, match="there is no simulated device 'serial:/dev/ttyUSB0'; choose fast, golden, rtl"):
        simulated("serial:/dev/ttyUSB0", LIMITS)


@pytest.mark.parametrize("name", ["fast", "golden"])
def test_models_report_the_clock_that_they_are_given(name: str) -> None:
    transport: Transport = simulated(name, LIMITS, clock_khz=25_000)
    assert Link(connection(name, LIMITS)).identity.clock_mhz is None
    assert Link(type(connection(name, LIMITS)).over(transport, name)).identity.clock_mhz == 25


@pytest.mark.parametrize("command", ["train", "eval", "selftest", "info", "stream"])
def test_help_lists_all_devices(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert device_choices() in " ".join(capsys.readouterr().out.split())


def test_importing_the_driver_loads_neither_simulators_nor_boards_nor_pyserial() -> None:
    unwanted = ("opzo.sim", "opzo.hw", "opzo.boards", "serial", "amaranth")
    code = f"import sys, opzo.host.driver.device\nprint([name for name in sys.modules if name.startswith({unwanted})])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
