"""A chip that is mapped into memory: training through it, and what is refused."""

import fcntl
from pathlib import Path

import pytest
from command_line import NET, assert_same_weights
from mapped_device import MappedDevice

from opzo.host.cli.main import main
from opzo.host.driver.devices import connection
from opzo.host.driver.uio import UioTransport, open_uio
from opzo.spec.bus import IDENTITY_BASE, RING_BYTES, Owner, StatusBit, address_of
from opzo.spec.commands import Command
from opzo.spec.errors import OpzoError
from opzo.spec.frames import Frame
from opzo.spec.limits import Limits

LIMITS = Limits(lanes=4, rows=1024, inputs=64, words=4, classes=10)


def sync(nonce: int) -> bytes:
    return Frame(0, Command.SYNC, nonce.to_bytes(4, "little")).encode()


def test_training_through_memory_is_that_of_the_golden_model(data: str, finished: Path, tmp_path: Path) -> None:
    mapped, run = tmp_path / "uio0", tmp_path / "run"
    with MappedDevice(mapped, LIMITS) as device:
        options = ["--data", data, "--net", NET, "--epochs", "2", "--out", str(run)]
        assert main(["train", *options, "--device", f"uio:{mapped}"]) == 0
        assert device.error is None
        assert device.bus.owner is Owner.LINK
        # Rows and samples went through all places of both rings.
        assert device[address_of("LINK_IN_PUT")] > RING_BYTES
        assert device[address_of("LINK_OUT_PUT")] > RING_BYTES
    assert_same_weights(run, finished)


def test_bytes_that_a_dead_program_left_are_forgotten_and_counts_wrap(tmp_path: Path) -> None:
    mapped = tmp_path / "uio0"
    with MappedDevice(mapped, LIMITS) as device:
        dead = UioTransport(str(mapped))
        dead.write(sync(1))
        while not device[address_of("LINK_OUT_PUT")]:
            pass
        dead.close()
        dead.close()
        transport = UioTransport(str(mapped))
        assert transport.read(0.01) == b""
        sent = 0
        while sent < 70_000:
            # More than the ring holds: the device must take bytes, and be relieved of its answers, meanwhile.
            part = b"".join(sync(nonce) for nonce in range(200))
            transport.write(part)
            sent += len(part)
            answers = b""
            while answers.count(b"OPZO") < 200:
                more = transport.read(1)
                assert more
                answers += more
        assert device.error is None
        transport.close()
        for use in (lambda: transport.write(b"x"), lambda: transport.read(0)):
            with pytest.raises(OSError, match="was closed"):
                use()


def test_device_that_takes_no_bytes_breaks_the_link(tmp_path: Path) -> None:
    mapped = tmp_path / "uio0"
    with MappedDevice(mapped, LIMITS):
        pass
    # Its thread has ended, and its registers stay.
    transport = UioTransport(str(mapped), write_timeout=0.05)
    transport.write(bytes(RING_BYTES))
    with pytest.raises(OSError, match=r"took no bytes for 0\.05 s"):
        transport.write(b"x")


@pytest.mark.parametrize(
    ("address", "value", "message"),
    [
        (IDENTITY_BASE, 0, "there is no opzo at .*; is the bitstream loaded"),
        (address_of("MAP"), 7, "has version 7 of the register map, this opzo version 1"),
        (address_of("STATUS"), 1 << StatusBit.BEGUN, "a sample has begun on the bus"),
    ],
)
def test_what_is_no_chip_of_this_map_is_refused(address: int, value: int, message: str, tmp_path: Path) -> None:
    mapped = tmp_path / "uio0"
    with MappedDevice(mapped, LIMITS):
        pass
    words = bytearray(mapped.read_bytes())
    words[address : address + 4] = value.to_bytes(4, "little")
    mapped.write_bytes(words)
    with pytest.raises(OpzoError, match=message):
        open_uio(str(mapped))
    # Nothing was written to it, and it is free.
    assert mapped.read_bytes() == words
    with mapped.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(OpzoError, match=r"cannot be opened .*; is the driver of the device loaded"):
        open_uio(str(tmp_path / "absent"))
    short = tmp_path / "short"
    short.write_bytes(bytes(100))
    with pytest.raises(OpzoError, match="cannot be mapped at 0x0"):
        open_uio(str(short))
    with pytest.raises(OpzoError, match="cannot be mapped at 0x43c00000"):
        open_uio(f"{short}@0x43c00000")
    for text in ("x", "100", "-4096", ""):
        with pytest.raises(OpzoError, match=r"is not an offset; write a multiple of 0x\d+, such as"):
            open_uio(f"{short}@{text}")
    with pytest.raises(OpzoError, match=r"did you mean 'uio:/dev/uio3'\?"):
        connection("/dev/uio3")
    with MappedDevice(tmp_path / "uio0", LIMITS), (tmp_path / "uio0").open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(OpzoError, match="is busy"):
            open_uio(str(tmp_path / "uio0"))


def test_network_that_does_not_fit_is_refused(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mapped = tmp_path / "uio0"
    with MappedDevice(mapped, LIMITS):
        assert main(["train", "--data", data, "--net", "9-64-64-3", "--device", f"uio:{mapped}"]) == 2
    assert "9-64-64-3" in capsys.readouterr().err
