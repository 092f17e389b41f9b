"""Sample store of a golden core: its memory, and runs from it; ``opzo.spec.store`` has the rules."""

import struct
import zlib
from dataclasses import replace

import numpy as np

from opzo.sim.golden.intake import Core, Intake
from opzo.sim.golden.refusal import RefusedError, require
from opzo.spec.commands import (
    ANSWERS,
    MOST_ANSWERS,
    REQUESTS,
    SETTING,
    Command,
    RunFlag,
    Status,
    StoredFlag,
)
from opzo.spec.events import Chunk
from opzo.spec.registers import COUNTER, Counter, Reg
from opzo.spec.shuffle import MAX_SHIFT, order, shifts
from opzo.spec.store import ADDRESS_BYTES, RUN_HEADER

_MAX_REPLY = 0xFFFF
_BLOCK = REQUESTS[Command.RUN_STORED]
_NAMES = tuple(field.name for field in _BLOCK.fields)


class GoldenStore:
    """Memory of ``core.limits.store`` bytes, 0 at first, and its commands: payload in, payload of the reply out.

    Every method raises RefusedError with the status of the answer where the command is refused.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        # Takes memory only where it is written.
        self.memory = np.zeros(core.limits.store, np.uint8)

    def read(self, data: bytes) -> bytes:
        """READ_STORE."""
        address, count = _only(Command.READ_STORE, data)
        require(0 < count < _MAX_REPLY and count % 2 == 0, Status.BAD_LENGTH)
        return self._part(address, count).tobytes()

    def write(self, data: bytes) -> bytes:
        """WRITE_STORE."""
        layout = REQUESTS[Command.WRITE_STORE]
        count = len(data) - layout.size
        require(count > 0 and count % 2 == 0, Status.BAD_LENGTH)
        (address,) = layout.unpack(data)
        self._part(address, count)[:] = np.frombuffer(data, np.uint8, offset=layout.size)
        return b""

    def check(self, data: bytes) -> bytes:
        """CHECK_STORE."""
        address, count = _only(Command.CHECK_STORE, data)
        require(0 < count and count % 2 == 0, Status.BAD_LENGTH)
        return ANSWERS[Command.CHECK_STORE].pack(zlib.crc32(self._part(address, count).tobytes()))

    def run(self, data: bytes) -> bytes:
        """RUN_STORED."""
        require(len(data) >= _BLOCK.size and (len(data) - _BLOCK.size) % SETTING.size == 0, Status.BAD_LENGTH)
        block = dict(zip(_NAMES, _BLOCK.unpack(data), strict=True))
        flags, first, count = block["flags"], block["first"], block["count"]
        self._part(block["table"], ADDRESS_BYTES * block["samples"])
        fits = 0 < count and first + count <= block["samples"] and block["shift"] <= MAX_SHIFT
        require(fits and not (flags & StoredFlag.ANSWERS and count > MOST_ANSWERS), Status.BAD_BLOCK)
        for address, value in struct.iter_unpack(SETTING.struct.format, data[_BLOCK.size :]):
            self._core.write_register(address, value)
        positions = np.arange(first, first + count)
        samples = order(block["seed"], block["samples"], positions)
        moves = shifts(block["seed"], positions, block["shift"])
        train = RunFlag.TRAIN if flags & StoredFlag.TRAIN else RunFlag(0)
        end, correct, loss, answers = Status.OK, 0, 0, []
        for sample, move in zip(samples.tolist(), moves.tolist(), strict=True):
            entry = self._part(block["table"] + ADDRESS_BYTES * sample, ADDRESS_BYTES)
            try:
                prediction, sample_loss, label = self._sample(int(entry.view("<u4")[0]), train, move, block)
            except RefusedError as refused:
                end = refused.status
                break
            correct += prediction == label
            loss += sample_loss
            answers.append((prediction, sample_loss))
        low, high = loss & 0xFFFFFFFF, loss >> 32
        reply = ANSWERS[Command.RUN_STORED].pack(end, len(answers), correct, low, high) + self._counters()
        if flags & StoredFlag.ANSWERS:
            reply += b"".join(struct.pack("<2I", *answer) for answer in answers)
        return reply

    def _sample(self, address: int, train: RunFlag, move: list[int], block: dict[str, int]) -> tuple[int, int, int]:
        """Run the sample at an address; its prediction, loss and label."""
        intake, flags, last = Intake(self._core), train | RunFlag.FRESH, 0
        while not last & 1:
            size, label, last = RUN_HEADER.unpack(self._part(address, RUN_HEADER.size).tobytes())
            data = self._part(address + RUN_HEADER.size, size + size % 2).tobytes()[:size]
            inputs = min(self._core.read_register(Reg.INPUTS), self._core.limits.inputs)
            chunk = moved(intake.finish(data, label), move, block, inputs)
            result = self._core.run(chunk, label, flags)
            address, flags = address + RUN_HEADER.size + size + size % 2, train
        return result.prediction, result.loss, label

    def _counters(self) -> bytes:
        words = [self._core.read_register(COUNTER + word) for word in range(2 * len(Counter))]
        return struct.pack(f"<{len(words)}I", *words)

    def _part(self, address: int, count: int) -> np.ndarray:
        """``count`` bytes from ``address`` on."""
        require(address % 2 == 0 and address + count <= len(self.memory), Status.BAD_ADDRESS)
        return self.memory[address : address + count]


def _only(command: Command, data: bytes) -> tuple[int, int]:
    """Fields of a payload that consists of nothing else."""
    layout = REQUESTS[command]
    require(len(data) == layout.size, Status.BAD_LENGTH)
    address, count = layout.unpack(data)
    return address, count


def moved(chunk: Chunk, move: list[int], block: dict[str, int], inputs: int) -> Chunk:
    """The events of a chunk, moved by whole pixels; those that leave the image or the network are dropped.

    Parameters
    ----------
    move : list of int
        Pixels down, and right.
    block : dict
        ``height``, ``row`` and ``pixel`` as in RUN_STORED.
    inputs : int
        Inputs of the network.
    """
    down, right = move
    if not (down or right):
        return chunk
    row, column = np.divmod(chunk.addresses, block["row"]) if block["row"] else (chunk.addresses, chunk.addresses)
    row, column = row + down, column + right * block["pixel"]
    kept = (row >= 0) & (row < block["height"]) & (column >= 0) & (column < block["row"])
    addresses = row * block["row"] + column
    kept &= addresses < inputs
    ends = np.concatenate([[0], np.cumsum(kept)])[chunk.ends]
    return replace(chunk, addresses=addresses[kept], values=chunk.values[kept], ends=ends)
