"""``opzo ports`` with made-up entries of pyserial, and a golden device behind a pseudo-terminal."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo
from small_chip import SMALL_CHIP

from opzo.boards.registry import BOARDS
from opzo.boards.usb import guess_boards
from opzo.host.cli.main import main
from opzo.host.cli.serial_ports import find_ports
from opzo.host.driver import probe as probe_module
from opzo.host.driver.device import open_device
from opzo.host.driver.probe import PROBE_SECONDS, probe
from opzo.host.driver.pty import PtyDevice
from opzo.sim.golden.core import GoldenCore
from opzo.sim.model_transport import ModelTransport
from opzo.spec.protocol import IDENTITY, Identity

ULX3S = {"vid": 0x0403, "pid": 0x6015, "product": "ULX3S FPGA 85K v3.0.8", "manufacturer": "FER-RADIONA-EMARD"}


def entry(path: str, **attributes: Any) -> ListPortInfo:
    info = ListPortInfo(path)
    for name, value in attributes.items():
        setattr(info, name, value)
    return info


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[ListPortInfo]:
    """Ports of the machine; empty until filled."""
    entries: list[ListPortInfo] = []
    monkeypatch.setattr(list_ports, "comports", lambda: list(entries))
    return entries


class Silent:
    """A device that swallows everything, or answers with ``said``."""

    def __init__(self, said: bytes = b"") -> None:
        self.busy, self._said, self._out = False, said, b""

    def write(self, data: bytes) -> None:
        self._out, self.busy = self._said, bool(self._said)

    def read(self, timeout: float) -> bytes:
        data, self._out, self.busy = self._out, b"", False
        return data

    def close(self) -> None:
        pass


def test_ports_are_told_with_their_boards(listed: list[ListPortInfo], capsys: pytest.CaptureFixture[str]) -> None:
    listed += [
        entry("/dev/ttyUSB1", vid=0x0403, pid=0x6010, product="LambdaConcept ECPIX-5", location="1-2:1.1"),
        entry("/dev/ttyUSB0", serial_number="D00084", description="ULX3S FPGA 85K v3.0.8", **ULX3S),
        entry("/dev/ttyS0"),
    ]
    assert main(["ports"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "opzo: opzo ports --probe asks each of them whether an opzo device answers\n"
    assert captured.out.splitlines() == [
        "/dev/ttyS0",
        "  no description",
        "  use: --device serial:/dev/ttyS0",
        "/dev/ttyUSB0",
        "  ULX3S FPGA 85K v3.0.8 (0403:6015), serial number D00084",
        "  board: probably ulx3s-85f",
        "  use: --device serial:/dev/ttyUSB0@3000000",
        "/dev/ttyUSB1",
        "  no description (0403:6010)",
        "  board: probably ecpix5-45f or ecpix5-85f",
        "  use: --device serial:/dev/ttyUSB1@12000000",
    ]


def test_texts_of_devices_are_not_obeyed(listed: list[ListPortInfo], capsys: pytest.CaptureFixture[str]) -> None:
    listed += [entry("/dev/ttyUSB0", description="\x1b[2Jboard", serial_number="\x9b1m", vid=1, pid=2)]
    assert main(["ports"]) == 0
    shown = capsys.readouterr().out
    assert "\\x1b[2Jboard" in shown
    assert "serial number \\x9b1m" in shown
    assert "\x1b" not in shown


def test_json_is_one_object(listed: list[ListPortInfo], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ports", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ports"] == []
    listed.append(entry("/dev/ttyUSB0", serial_number="D00084", description="ULX3S", **ULX3S))
    assert main(["ports", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ports"] == [
        ULX3S
        | {"port": "/dev/ttyUSB0", "description": "ULX3S", "serial_number": "D00084", "boards": ["ulx3s-85f"]}
        | {"programming": False, "device": "serial:/dev/ttyUSB0@3000000"}
    ]


def test_no_ports_is_said_on_stderr(listed: list[ListPortInfo], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ports", "--probe"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "there are no serial ports; is the board plugged in" in captured.err


def test_programming_channel_is_no_device_and_is_not_asked(
    listed: list[ListPortInfo], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed.append(entry("/dev/ttyUSB0", vid=0x0403, pid=0x6010, product="LambdaConcept ECPIX-5", location="1-2:1.0"))
    monkeypatch.setattr(probe_module, "SerialTransport", None)
    assert main(["ports", "--probe", "--json"]) == 0
    (port,) = json.loads(capsys.readouterr().out)["ports"]
    assert (port["programming"], port["device"], "answer" in port) == (True, None, False)
    assert main(["ports", "--probe"]) == 0
    assert "its channel for programming" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("vid", "pid", "text", "names"),
    [
        (0x0403, 0x6015, "FER-RADIONA-EMARD ULX3S FPGA 12K v3.0.3", ["ulx3s-12f"]),
        (0x0403, 0x6015, "ULX3S FPGA 25K v3.0.3", ["ulx3s-25f"]),
        (0x0403, 0x6015, "FT231X USB UART", ["ulx3s-85f", "ulx3s-25f", "ulx3s-12f", "icepi-zero"]),
        (0x0403, 0x6010, "Digilent Digilent USB Device", ["arty-a7-35", "arty-a7-100", "nexys4ddr"]),
        (0x0403, 0x6010, "SIPEED JTAG Debugger", ["tang-nano-9k", "tang-nano-20k", "tang-primer-20k"]),
        (0x1D50, 0x602B, "MuseLab DAPLink CMSIS-DAP", ["icesugar-pro"]),
        (0x0D28, 0x0204, "DAPLink CMSIS-DAP", ["colorlight-i5", "colorlight-i9"]),
        (0x2341, 0x0043, "Arduino Uno", []),
        # A name alone is not enough.
        (0x2341, 0x0043, "ULX3S FPGA 85K", []),
        (None, None, "", []),
    ],
)
def test_boards_are_guessed(vid: int | None, pid: int | None, text: str, names: list[str]) -> None:
    assert [board.name for board in guess_boards(vid, pid, text)] == names


def test_every_bridge_is_known() -> None:
    known = {
        board.name
        for ids in ((0x0403, 0x6010), (0x0403, 0x6015), (0x1D50, 0x602B), (0x0D28, 0x0204))
        for board in guess_boards(*ids, "")
    }
    assert known == {board.name for board in BOARDS if board.bridge}


def test_device_that_answers_is_told_and_can_be_used(
    listed: list[ListPortInfo], capsys: pytest.CaptureFixture[str]
) -> None:
    with PtyDevice(ModelTransport(GoldenCore(SMALL_CHIP))) as served:
        listed.append(entry(served.path, **ULX3S))
        assert main(["ports", "--probe", "--json"]) == 0
        (port,) = json.loads(capsys.readouterr().out)["ports"]
        assert port["answer"]["baud"] == 3_000_000
        assert port["answer"]["identity"]["lanes"] == 4
        capsys.readouterr()
        assert main(["ports", "--probe"]) == 0
        captured = capsys.readouterr()
        assert captured.err == f"opzo: test it with: opzo selftest --device serial:{served.path}@3000000\n"
        assert main(["ports", "--probe", "--quiet"]) == 0
        assert capsys.readouterr().err == ""
        out = captured.out
        assert "an opzo device answers: 4 lanes, 4,096 weights of 16 bits, protocol 5" in out
        assert f"use: --device {port['device']}" in out
        with open_device(port["device"]) as device:
            assert device.limits == SMALL_CHIP
            # Held by this process: told, not waited for.
            assert main(["ports", "--probe"]) == 0
            assert "is busy; close the other program that uses it" in capsys.readouterr().out


def test_adapter_is_asked_at_the_rates_of_boards_without_a_bridge(listed: list[ListPortInfo]) -> None:
    with PtyDevice(Silent()) as served:
        listed.append(entry(served.path, vid=0x10C4, pid=0xEA60, product="CP2102"))
        (port,) = find_ports()
        begin = time.monotonic()
        assert probe(port.path, port.bauds).text == "no answer at 3000000, 1000000 baud"
        assert 2 * PROBE_SECONDS <= time.monotonic() - begin < 2 * PROBE_SECONDS + 2


def test_other_devices_are_told_apart(listed: list[ListPortInfo], monkeypatch: pytest.MonkeyPatch) -> None:
    with PtyDevice(Silent(b"login: \r\n" * 20)) as served:
        listed.append(entry(served.path, **ULX3S))
        (port,) = find_ports()
        assert probe(port.path, port.bauds).text == "no answer at 3000000 baud"
    monkeypatch.setattr(Identity, "pack", lambda self: IDENTITY.pack(self.magic, 9, *[0] * (len(IDENTITY.fields) - 2)))
    with PtyDevice(ModelTransport(GoldenCore(SMALL_CHIP))) as served:
        listed[0] = entry(served.path, **ULX3S)
        (port,) = find_ports()
        answer = probe(port.path, port.bauds)
        assert (answer.baud, answer.identity) == (3_000_000, None)
        assert answer.text.startswith(f"{served.path} speaks protocol version 9, this opzo 5; program the device")


def test_absent_port_and_file_are_no_trouble(listed: list[ListPortInfo], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    listed += [entry("/dev/absent-port"), entry(str(tmp_path / "file"))]
    answers = {port.path: probe(port.path, port.bauds).text for port in find_ports()}
    assert answers["/dev/absent-port"] == "no device at /dev/absent-port; is the board plugged in?"
    assert "cannot be used as a serial port" in answers[str(tmp_path / "file")]
