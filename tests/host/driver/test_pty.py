import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from small_chip import SMALL_CHIP

from opzo.host.cli.main import main
from opzo.host.driver.devices import connection
from opzo.host.driver.link import Link
from opzo.host.driver.pty import PtyDevice
from opzo.host.driver.serial_port import SerialTransport
from opzo.sim.golden.core import GoldenCore
from opzo.sim.model_transport import ModelTransport
from opzo.spec.commands import Command
from opzo.spec.errors import OpzoError
from opzo.spec.memories import Space


class SlowEcho:
    """Device that works a while before it sends back what it got."""

    def __init__(self, delay=0.0):
        self.delay = delay
        self.busy = False
        self.closed = False
        self._bytes = b""
        self._until = 0.0

    def write(self, data):
        self._bytes += data
        self.busy = True
        self._until = time.monotonic() + self.delay

    def read(self, timeout):
        time.sleep(max(0.0, min(timeout, self._until - time.monotonic())))
        if not self.busy or time.monotonic() < self._until:
            return b""
        data, self._bytes, self.busy = self._bytes, b"", False
        return data

    def close(self):
        self.closed = True


def receive(port, count, timeout=10.0):
    data, end = b"", time.monotonic() + timeout
    while len(data) < count and time.monotonic() < end:
        data += port.read(0.1)
    return data


def test_all_bytes_pass_unchanged():
    sent = bytes(range(256)) * 200
    with PtyDevice(SlowEcho()) as device:
        port = SerialTransport(device.path)
        # A terminal holds some 4 kB each way: a client that writes more has to read meanwhile.
        writer = threading.Thread(target=port.write, args=(sent,))
        writer.start()
        assert receive(port, len(sent)) == sent
        writer.join()
        port.close()


def test_client_that_does_not_read_loses_nothing():
    sent = bytes(range(256)) * 100
    with PtyDevice(SlowEcho()) as device:
        port = SerialTransport(device.path)
        writer = threading.Thread(target=port.write, args=(sent,))
        writer.start()
        time.sleep(0.5)
        assert receive(port, len(sent)) == sent
        writer.join()
        port.close()


def test_reply_comes_when_the_device_has_finished():
    with PtyDevice(SlowEcho(delay=0.3)) as device:
        port = SerialTransport(device.path)
        port.write(b"abc")
        assert port.read(0.05) == b""
        assert receive(port, 3) == b"abc"
        port.close()


def test_clients_come_and_go():
    transport = SlowEcho()
    with PtyDevice(transport) as device:
        for text in (b"first", b"second", b"third"):
            port = SerialTransport(device.path)
            port.write(text)
            assert receive(port, len(text)) == text
            port.close()
            assert not transport.closed
    assert transport.closed


def test_the_device_is_closed_when_it_has_finished():
    used = threading.Event()

    class Working(SlowEcho):
        finished = False

        def read(self, timeout):
            used.set()
            time.sleep(0.3)
            assert not self.closed
            self.finished = True
            return super().read(timeout)

        def close(self):
            assert self.finished
            super().close()

    transport = Working()
    with PtyDevice(transport) as device:
        port = SerialTransport(device.path)
        port.write(b"abc")
        assert used.wait(10)
        port.close()
    assert transport.closed


def test_link_is_made_replaced_and_removed(tmp_path):
    link = tmp_path / "opzo"
    link.symlink_to("/nonexistent")
    with PtyDevice(SlowEcho(), link) as device:
        assert os.readlink(link) == device.path
        port = SerialTransport(str(link))
        port.write(b"x")
        assert receive(port, 1) == b"x"
        port.close()
    assert not link.is_symlink()


def test_link_never_replaces_a_file(tmp_path):
    file = tmp_path / "precious"
    file.write_text("data")
    transport = SlowEcho()
    with pytest.raises(OpzoError, match=r"cannot make the link .*precious \(File exists\)"):
        PtyDevice(transport, file)
    assert file.read_text() == "data"
    assert transport.closed


def test_driver_talks_to_the_golden_model_and_finds_it_again():
    rows = np.arange(8, dtype="<u2").reshape(2, 4) * 24571
    with PtyDevice(ModelTransport(GoldenCore(SMALL_CHIP))) as device:
        link = Link(connection(f"serial:{device.path}"))
        assert link.identity.limits == SMALL_CHIP
        link.call(Command.WRITE_MEMORY, bytes((Space.WEIGHTS, 5, 0, 0, 0)) + rows.tobytes())
        link.close()
        link = Link(connection(f"serial:{device.path}"))
        assert link.call(Command.READ_MEMORY, bytes((Space.WEIGHTS, 5, 0, 0, 0, 2, 0))) == rows.tobytes()
        link.close()


def test_golden_transport_answers_without_waiting():
    transport = ModelTransport(GoldenCore(SMALL_CHIP))
    begin = time.monotonic()
    assert transport.read(60.0) == b""
    link = Link(connection("golden", SMALL_CHIP))
    assert link.identity.limits == SMALL_CHIP
    assert time.monotonic() - begin < 10
    transport.close()
    transport.close()
    for use in (lambda: transport.read(0.0), lambda: transport.write(b"x")):
        with pytest.raises(OSError, match="closed"):
            use()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("precious", "there is a file of that name"),
        ("link", "there is a file of that name"),
        ("absent/x", "No such file or directory"),
        ("n" * 300, "File name too long"),
    ],
)
def test_link_that_cannot_be_made_is_refused_before_the_device_is(name, message, tmp_path, capsys, monkeypatch):
    def make(*arguments):
        raise AssertionError("the device was made")

    monkeypatch.setattr("opzo.host.cli.commands.simulate.simulated", make)
    (tmp_path / "precious").write_text("data")
    (tmp_path / "link").symlink_to("precious")
    assert main(["simulate", "--device", "golden", "--pty", str(tmp_path / name)]) == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "link").readlink() == Path("precious")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "serial:/dev/ttyUSB0"], "choose fast, golden, rtl"),
        (["--device", "gold"], "did you mean 'golden'?"),
        (["--lanes", "0"], "lanes must be a power of two from 4 to 128, not 0"),
        (["--steps", "0"], "--steps must be in 1.."),
        (["--weight-bits", "13"], "weight_bits must be 16 or 12"),
    ],
)
def test_settings_of_a_simulated_device_are_checked(arguments, message, capsys):
    assert main(["simulate", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_help_lists_the_devices_that_can_be_simulated(capsys):
    with pytest.raises(SystemExit):
        main(["simulate", "--help"])
    text = capsys.readouterr().out
    assert "fast, golden, rtl" in text
    assert "serial:" not in text
