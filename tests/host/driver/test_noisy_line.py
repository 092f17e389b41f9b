"""Training and reading the state over a line that damages bytes: slower, but the same to the bit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from opzo.host.data.data_sets import Frames
from opzo.host.driver import link as link_module
from opzo.host.driver.blocks import GROW_AFTER, BlockSize
from opzo.host.driver.device import Device
from opzo.host.driver.devices import simulated
from opzo.host.driver.link import Link
from opzo.host.driver.raw_device import READ_BYTES
from opzo.host.driver.state import State
from opzo.host.driver.transport import Connection
from opzo.host.training.config import Hyperparameters
from opzo.host.training.trainer import Trainer
from opzo.sim.golden.core import GoldenCore
from opzo.sim.model_transport import ModelTransport
from opzo.spec.errors import LinkError
from opzo.spec.memories import Space
from opzo.spec.network import Network
from opzo.spec.rules import Input, Rule

NETWORK = Network((64, 128, 10))
LANES = 16


def damaged(random: np.random.Generator, rate: float, data: bytes) -> bytes:
    """``data`` with bytes changed, dropped, repeated or inserted."""
    result, begin = bytearray(), 0
    for at in np.flatnonzero(random.random(len(data)) < rate).tolist():
        byte = data[at]
        other = int(random.integers(256))
        kinds = (bytes((byte ^ 1 << other % 8,)), b"", bytes((byte, byte)), bytes((byte, other)), bytes((other,)))
        result += data[begin:at] + kinds[random.integers(len(kinds))]
        begin = at + 1
    return bytes(result + data[begin:])


class NoisyLine(ModelTransport):
    """A model behind a line that changes, drops, repeats or inserts bytes at ``rate``, once ``noisy``."""

    def __init__(self, core: GoldenCore, rate: float, seed: int) -> None:
        super().__init__(core)
        self.rate, self.noisy = rate, True
        self._random = np.random.default_rng(seed)

    def write(self, data: bytes) -> None:
        super().write(self._damaged(data))

    def read(self, timeout: float) -> bytes:
        return self._damaged(super().read(timeout))

    def _damaged(self, data: bytes) -> bytes:
        return damaged(self._random, self.rate, data) if self.noisy else data


def open_noisy(rate: float, seed: int = 0, network: Network = NETWORK) -> tuple[Device, NoisyLine]:
    line = NoisyLine(GoldenCore(network.limits(LANES)), rate, seed)
    line.noisy = False
    device = Device("serial:/dev/test", Link(Connection("serial:/dev/test", lambda: line, 0.02, reopens=False)))
    line.noisy = True
    return device, line


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "DAMAGE_PAUSE", 0.001)


@pytest.mark.parametrize(("rate", "seed"), [(3e-4, 0), (1e-3, 1), (3e-3, 2), (1e-2, 3)])
def test_training_over_a_noisy_line_comes_to_the_same_weights(rate: float, seed: int, tmp_path: Path) -> None:
    random = np.random.default_rng(9)
    data = Frames(random.integers(0, 256, (24, 64)).astype(np.uint8) & 0xF0, (np.arange(24) % 10).astype(np.uint8))
    saved = []
    for damage in (0.0, rate):
        device, line = open_noisy(damage, seed)
        trainer = Trainer(device, NETWORK, Hyperparameters(epochs=1))
        assert trainer.fit(data, data)
        path = tmp_path / f"{damage}.npz"
        trainer.checkpoint().save(path)
        # The line is as bad at its end, and all was read through it.
        assert line.noisy
        assert (device.repeats > 0) == (damage > 0)
        with np.load(path) as arrays:
            saved.append({name: arrays[name].tolist() for name in arrays if name != "tally"})
    assert saved[0] == saved[1]


def test_warning_says_how_many_frames_were_damaged(caplog: pytest.LogCaptureFixture) -> None:
    device, _ = open_noisy(3e-3)
    device.configure(NETWORK, Rule.OPZO)
    for _ in range(4):
        State.read(device, Rule.OPZO)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    # The next block begins as short as those that came through.
    assert device._read_size.rows < device._read_size.most / 4
    assert "noisy line: 16 of " in warnings[0]
    assert "frames damaged; they are sent again and nothing is lost" in warnings[0]


def spoil_all(data: bytes) -> bytes:
    """Change a byte in the middle of each frame that is longer than a NAK."""
    return b"\xc0".join(
        part[:6] + bytes((part[6] ^ 1,)) + part[7:] if len(part) > 10 else part for part in data.split(b"\xc0")
    )


@pytest.mark.parametrize("where", ["to", "back"])
def test_noise_that_lets_nothing_through_is_called_noise(where: str) -> None:
    device, line = open_noisy(0.0)
    line.noisy = False
    device.configure(NETWORK, Rule.OPZO)
    write: Callable[[bytes], None] = line.write
    read: Callable[[float], bytes] = line.read
    if where == "to":
        line.write = lambda data: write(spoil_all(data))  # type: ignore[method-assign]
    else:
        line.read = lambda timeout: spoil_all(read(timeout))  # type: ignore[method-assign]
    with pytest.raises(LinkError, match=r"noisy line: \d+ of \d+ frames damaged; serial:/dev/test ") as caught:
        State.read(device, Rule.OPZO)
    assert "stopped answering" not in str(caught.value)


def test_line_that_dies_after_noise_tells_both() -> None:
    device, line = open_noisy(3e-3)
    device.configure(NETWORK, Rule.OPZO)
    State.read(device, Rule.OPZO)
    line.read = lambda timeout: b""  # type: ignore[method-assign]
    with pytest.raises(LinkError, match=r"has stopped answering \(noisy line: \d+ of \d+ frames damaged before\)"):
        device.read_samples()


def test_blocks_shrink_and_grow_again() -> None:
    block = BlockSize(256, 32)
    assert block.tries(1000) == [256, 128, 64, 32, 16, 8, 4, 2]
    assert block.tries(5) == [5, 2]
    assert block.tries(1) == [1]
    block.record(16, 256)
    assert block.tries(1000) == [16, 8, 4, 2]
    for _ in range(GROW_AFTER):
        block.record(16, 16)
    assert block.rows == 32
    for _ in range(10 * GROW_AFTER):
        block.record(block.rows, block.rows)
    assert block.rows == 256
    assert BlockSize(1, 256).tries(9) == [1]


def test_blocks_double_after_four_intact_ones_in_a_row() -> None:
    block = BlockSize(256, 32)
    block.record(16, 256)
    sizes = []
    # The third one is damaged, and the count begins again; the short one at an end of a memory does not count.
    for rows, tried in [(16, 16), (16, 16), (8, 16), (8, 8), (3, 3), *[(8, 8)] * 3, *[(16, 16)] * 4]:
        block.record(rows, tried)
        sizes.append(block.rows)
    assert sizes == [16, 16, 8, 8, 8, 8, 8, 16, 16, 16, 16, 32]


def test_clean_line_reads_in_long_blocks() -> None:
    device, line = open_noisy(0.0)
    device.configure(NETWORK, Rule.OPZO)
    sizes = []
    read = line.read

    def watch(timeout: float) -> bytes:
        data = read(timeout)
        sizes.append(len(data))
        return data

    line.read = watch  # type: ignore[method-assign]
    State.read(device, Rule.OPZO)
    assert max(sizes) > READ_BYTES
    assert device.repeats == 0


def test_chip_does_shortened_repeats_as_the_golden_model_does() -> None:
    network = Network((30, 12, 7, 3), 20, 0, Input.SPIKES)
    line, random = simulated("rtl", network.limits(4)), np.random.default_rng(3)
    device = Device("rtl", Link(Connection("rtl", lambda: line, patience=2.0, reopens=False)))
    device.configure(network, Rule.OPZO)
    read, write = line.read, line.write
    line.read = lambda timeout: damaged(random, 2e-3, read(timeout))  # type: ignore[method-assign]
    line.write = lambda data: write(damaged(random, 2e-3, data))  # type: ignore[method-assign]
    rows = random.integers(0, 1 << 16, (min(1024, device.limits.rows), 4)).astype(np.uint16)
    device.write_memory(Space.WEIGHTS, 0, rows)
    np.testing.assert_array_equal(device.read_memory(Space.WEIGHTS, 0, len(rows)), rows)
    assert device.repeats > 5
    assert device._read_size.rows < device._read_size.most
