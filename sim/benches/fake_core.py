"""A core without neurons, for tests of the link: its state shows whether each command had exactly its effect."""

import zlib
from dataclasses import dataclass

import numpy as np

from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.limits import Limits
from opzo.spec.memories import Space
from opzo.spec.registers import STORED, Reg
from opzo.spec.rules import Input


@dataclass(frozen=True)
class FakeResult:
    """Result of one run."""

    prediction: int
    loss: int
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class FakeRun:
    """A run as received by the core."""

    events: tuple[tuple[int, int], ...]
    """Address and value."""
    label: int
    flags: RunFlag
    ends: tuple[int, ...] = ()
    """Ends of the time steps, as in Chunk; empty for a frame, which has none."""


class FakeCore:
    """Core whose results are hashes of its history, so that a lost, repeated or reordered run changes all later ones.

    Attributes
    ----------
    runs : list of FakeRun
        All runs, in order.
    writes : list of (str, int, bytes)
        All writes of registers (``"register"``) and rows (name of the space), in order.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.runs: list[FakeRun] = []
        self.writes: list[tuple[str, int, bytes]] = []
        self._registers = {int(register): 0 for register in STORED}
        shapes = {space: space.rows(limits) for space in Space}
        index = np.arange(max(shapes.values()) * limits.lanes, dtype=np.uint32)
        # END and ESC are frequent in the data, so that replies contain many escapes.
        content = np.where(index % 3 == 0, 0xC0DB, index * 40503 >> 5).astype(np.uint16).reshape(-1, limits.lanes)
        self._memories = {space: content[:rows] + np.uint16(space) for space, rows in shapes.items()}
        self._state = 1

    def read_register(self, address: int) -> int:
        """Value of a register; 0 if there is no register at the address."""
        return self._registers.get(address, 0)

    def write_register(self, address: int, value: int) -> None:
        """Write a register; ignored if there is no register at the address."""
        self.writes.append(("register", address, value.to_bytes(4, "little")))
        if address in self._registers:
            self._registers[address] = value & ((1 << Reg(address).bits) - 1)

    def read_row(self, space: Space, row: int) -> np.ndarray:
        """One row: uint16 (lanes,)."""
        content: np.ndarray = self._memories[space][row].copy()
        return content

    def write_row(self, space: Space, row: int, data: np.ndarray) -> None:
        """Write one row: uint16 (lanes,)."""
        self.writes.append((space.name, row, data.astype("<u2").tobytes()))
        self._memories[space][row] = data

    def run(self, chunk: Chunk, label: int, flags: RunFlag) -> FakeResult:
        """Execute a run; with learning, increment every weight of one row and SAMPLES."""
        inputs = tuple(zip(chunk.addresses.tolist(), chunk.values.tolist(), strict=True))
        events = Input.of_register(self._registers[Reg.INPUT]).events
        run = FakeRun(inputs, label, RunFlag(flags), tuple(chunk.ends.tolist()) if events else ())
        self.runs.append(run)
        self._state = zlib.crc32(repr((run.events, run.label, int(run.flags), run.ends)).encode(), self._state)
        rng = np.random.default_rng(self._state)
        classes = min(self._registers[Reg.CLASSES], self.limits.classes)
        if flags & RunFlag.TRAIN:
            self._memories[Space.WEIGHTS][self._state % self.limits.rows] += np.uint16(self._state & 0xFFFF)
            self._registers[Reg.SAMPLES] = (self._registers[Reg.SAMPLES] + 1) & 0xFFFFFFFF
        outputs = rng.integers(-(1 << 22), 1 << 22, classes)
        return FakeResult(int(outputs.argmax()), int(rng.integers(0, 1 << 32)), tuple(map(int, outputs)))
