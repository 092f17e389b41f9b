"""Serial ports; a pseudo-terminal stands in for a board's port."""

import os
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from opzo.host.driver.devices import connection
from opzo.host.driver.serial_port import DEFAULT_BAUD, SerialTransport
from opzo.spec.errors import OpzoError


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    master, slave = os.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    for descriptor in (master, slave):
        os.close(descriptor)


def test_serial_port_carries_all_byte_values_both_ways(terminal: tuple[int, str]) -> None:
    master, path = terminal
    port = SerialTransport(path)
    everything = bytes(range(256))
    port.write(everything)
    assert os.read(master, 1000) == everything
    os.write(master, everything)
    received = b""
    while len(received) < 256:
        received += port.read(1.0)
    assert received == everything
    assert port.read(0.01) == b""
    port.close()
    port.close()


def test_second_opener_is_told_that_the_port_is_busy(terminal: tuple[int, str]) -> None:
    first = SerialTransport(terminal[1])
    with pytest.raises(OpzoError, match="is busy; close the other program"):
        SerialTransport(terminal[1])
    first.close()
    SerialTransport(terminal[1]).close()


def test_unplugged_port_raises_oserror(terminal: tuple[int, str]) -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    port = SerialTransport(os.ttyname(slave))
    os.close(slave)
    os.close(master)
    with pytest.raises(OSError, match=r"disconnected|error"):
        port.read(1.0)
    port.close()


def test_absent_port() -> None:
    with pytest.raises(OpzoError, match="no device at /dev/ttyUSB77; is the board plugged in"):
        SerialTransport("/dev/ttyUSB77")


def test_file_that_is_no_port(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(OpzoError, match="cannot be used as a serial port"):
        SerialTransport(str(path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_port_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "port"
    path.touch(mode=0)
    with pytest.raises(OpzoError, match="no permission"):
        SerialTransport(str(path))


def test_baud_rate_reaches_the_port(terminal: tuple[int, str]) -> None:
    for suffix, baud in (("", DEFAULT_BAUD), ("@115200", 115200)):
        port = connection(f"serial:{terminal[1]}{suffix}").open()
        assert isinstance(port, SerialTransport)
        assert port._serial.baudrate == baud
        port.close()
