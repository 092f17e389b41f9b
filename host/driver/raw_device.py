"""A device without its network: registers, memories and runs as typed calls over the link."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from opzo.host.driver.blocks import BlockSize
from opzo.host.driver.link import Link
from opzo.host.driver.request import Request
from opzo.host.driver.sample import Result, Sample
from opzo.host.driver.stored_block import BlockResult, StoredBlock
from opzo.spec.commands import ANSWERS, REQUESTS, Command, RunFlag
from opzo.spec.errors import LinkError, OpzoError
from opzo.spec.limits import Limits
from opzo.spec.memories import ENTRY_BYTES, Space
from opzo.spec.network import Network
from opzo.spec.protocol import REPLAY, Identity
from opzo.spec.registers import COUNTER, COUNTER_BITS, Counter, Reg

STROBES = frozenset({Reg.CLEAR_COUNTERS, Reg.HIDDEN_LAYERS})
"""Registers whose writing does something in a device that only infers."""
READ_BYTES = 8192
"""Bytes of a reply to READ_MEMORY on a clean line: about a tenth of a second at 1 Mbaud."""
WORD = 2
"""Bytes of a word of the sample store."""
RESULT = ANSWERS[Command.RUN]
NO_OUTPUTS = np.zeros(0, np.int32)
SETTINGS = frozenset(
    {
        Reg.ALPHA,
        Reg.RATE,
        Reg.ACTIVITY,
        Reg.DECAY_SHIFT,
        Reg.LEAK_SHIFT,
        Reg.MSE_SHIFT,
        Reg.BATCH,
        Reg.CONVOLUTION_RATE,
        Reg.CLEAR_COUNTERS,
    }
)
"""Registers that control learning and counters; all others belong to the network that the device holds."""


class RawDevice:
    """An open device: its registers, memories and runs.

    Attributes
    ----------
    name : str
        Device string that opened it.
    identity : Identity
    limits : Limits
        Sizes that the device was built for.
    network : Network or None
        Network that it is configured for.
    writes : int
        Number of writes to network or state. A device holds one model at a time: a model or stream whose count at its
        last write differs has been overwritten.
    turns : int
        Number of uninterrupted uses: series of samples, and streams since their reset. A use whose count differs has
        been interrupted.
    """

    def __init__(self, name: str, link: Link) -> None:
        self.name = name
        self.identity: Identity = link.identity
        self.limits: Limits = link.identity.limits
        self.network: Network | None = None
        self.writes = self.turns = 0
        self._opened: Link | None = link
        row = ENTRY_BYTES * self.limits.lanes
        self._read_size = BlockSize(max(1, READ_BYTES // row), row)
        self._store_read_size = BlockSize(READ_BYTES // WORD, WORD)
        room = self.identity.max_payload - REQUESTS[Command.WRITE_STORE].size
        self._store_write_size = BlockSize(max(1, room // WORD), WORD)
        self._write_size = BlockSize((self.identity.max_payload - REQUESTS[Command.WRITE_MEMORY].size) // row, row)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether the device was closed."""
        return self._opened is None

    @property
    def _link(self) -> Link:
        if self._opened is None:
            raise OpzoError(f"{self.name} is closed; open it again with opzo.connect")
        return self._opened

    @property
    def bytes_sent(self) -> int:
        """Bytes of the frames of all runs, without escapes and repetitions."""
        return self._link.bytes_sent

    @property
    def repeats(self) -> int:
        """Frames that were sent again, because they or their replies were lost or damaged."""
        return self._link.repeats

    def close(self) -> None:
        """Release the device; it keeps its state. A second call does nothing."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def require_learning(self) -> None:
        """Raise OpzoError for a device that only infers."""
        if not self.limits.learning:
            raise OpzoError(
                f"{self.name} only infers, with the network that it was built with; to learn, use another device, and "
                "build the core again from the new run (opzo verilog --inference RUN)"
            )

    def expect_damage(self) -> None:
        """Do not warn of a noisy line from now on: bytes are damaged on purpose."""
        self._link.expect_damage()

    def renew(self) -> None:
        """Start another session, after frames that were not sent through this object."""
        self._link.renew()

    def reset(self) -> None:
        """Discard a sample that was sent in part; memories, registers and counters are kept."""
        self._link.call(Command.RESET)

    def read_registers(self, address: int, count: int = 1) -> list[int]:
        """``count`` (1..255) registers from ``address`` on."""
        data = self._link.call(Command.READ_REGISTERS, REQUESTS[Command.READ_REGISTERS].pack(address, count))
        return [int(value) for value in self._array(data, "<u4", count)]

    def write_registers(self, values: dict[int, int]) -> None:
        """Write registers by address; consecutive ones share a frame.

        OpzoError for a setting of a device that only infers.
        """
        if not values.keys() <= STROBES:
            self.require_learning()
        self.writes += not values.keys() <= SETTINGS
        block: list[int] = []
        for address in sorted(values):
            if block and address != block[-1] + 1:
                self._write_block(block, values)
                block = []
            block.append(address)
        if block:
            self._write_block(block, values)

    def counters(self) -> dict[Counter, int]:
        """Statistics counters; LinkError for a value that they cannot have."""
        words = self.read_registers(COUNTER, 2 * len(Counter))
        counts = {counter: words[2 * counter] | words[2 * counter + 1] << 32 for counter in Counter}
        self._check_bits("a counter", counts.values(), COUNTER_BITS)
        return counts

    def clear_counters(self) -> None:
        """Set the statistics counters to 0."""
        self.write_registers({Reg.CLEAR_COUNTERS: 0})

    def run(self, samples: Iterable[Sample], *, train: bool = False, outputs: bool = False) -> Iterator[Result]:
        """Run samples; yields their results in order, while later samples are already being sent.

        Every sample taken from ``samples`` is run and answered, even if its result is not consumed. OpzoError where a
        device that only infers is to ``train``.
        """
        if train:
            self.require_learning()
        self.turns += 1
        flags = (RunFlag.TRAIN if train else RunFlag(0)) | (RunFlag.OUTPUTS if outputs else RunFlag(0))
        underway: deque[tuple[Request, bool]] = deque()

        def answers(most: int) -> Iterator[Result]:
            """Results of samples, until ``most`` runs are unanswered."""
            while len(underway) > most:
                request, last = underway.popleft()
                result = self._result(request, outputs)
                # The result of a sample is in the reply to its last run.
                if last:
                    yield result

        first, others = flags | RunFlag.FRESH, flags
        for sample in samples:
            for number, payload in enumerate(sample.runs, 1):
                request = self._link.start_run(first if number == 1 else others, sample.label, payload)
                underway.append((request, number == len(sample.runs)))
                yield from answers(self.identity.credits - 1)
        yield from answers(0)

    def start_run(self, payload: bytes, label: int, flags: RunFlag) -> Request:
        """Start one run of a stream once the device has a free buffer; `finish_run` returns its result.

        OpzoError for RunFlag.TRAIN to a device that only infers.
        """
        if flags & RunFlag.TRAIN:
            self.require_learning()
        return self._link.start_run(flags, label, payload)

    def finish_run(self, run: Request, *, outputs: bool = False) -> Result:
        """Wait for the result of a run that was started with RunFlag.OUTPUTS where ``outputs``."""
        return self._result(run, outputs)

    def read_memory(self, space: Space, address: int, rows: int) -> NDArray[np.uint16]:
        """``rows`` rows of a memory: (rows, lanes)."""
        lanes, done = self.limits.lanes, 0
        parts = [np.zeros(0, np.int64)]
        while done < rows:
            tries = self._read_size.tries(rows - done)
            requests = (REQUESTS[Command.READ_MEMORY].pack(space, address + done, count) for count in tries)
            reply = self._link.call(Command.READ_MEMORY, *requests)
            # The reply to a longer try may arrive after a shorter one was sent.
            count = len(reply) // (ENTRY_BYTES * lanes)
            parts.append(self._array(reply, "<u2", (count if count in tries else tries[0]) * lanes))
            self._read_size.record(count, tries[0])
            done += count
        return np.concatenate(parts).astype(np.uint16).reshape(rows, lanes)

    def write_memory(self, space: Space, address: int, rows: NDArray[np.uint16]) -> None:
        """Write rows of a memory: (rows, lanes). OpzoError for a device that only infers."""
        self.require_learning()
        self.writes += 1
        done = 0
        while done < len(rows):
            tries = self._write_size.tries(len(rows) - done)
            place = REQUESTS[Command.WRITE_MEMORY].pack(space, address + done)
            blocks = [place + rows[done : done + count].astype("<u2").tobytes() for count in tries]
            request = self._link.start(Command.WRITE_MEMORY, *blocks)
            self._link.finish(request)
            # At least this many were written, whichever try was answered.
            count = tries[request.shortened]
            self._write_size.record(count, tries[0])
            done += count

    def read_store(self, address: int, count: int) -> bytes:
        """``count`` bytes of the sample store; address and count are even."""
        data = b""
        while len(data) < count:
            tries = [WORD * words for words in self._store_read_size.tries((count - len(data)) // WORD)]
            place = address + len(data)
            reply = self._link.call(
                Command.READ_STORE, *(REQUESTS[Command.READ_STORE].pack(place, size) for size in tries)
            )
            # The reply to a longer try may arrive after a shorter one was sent.
            size = len(reply) if len(reply) in tries else tries[0]
            data += self._array(reply, "u1", size).tobytes()
            self._store_read_size.record(size // WORD, tries[0] // WORD)
        return data

    def write_store(self, address: int, data: bytes) -> None:
        """Write bytes of the sample store; address and number of bytes are even."""
        parts = deque([(0, len(data))])
        """Parts of ``data`` to be sent: begin and end."""
        underway: deque[tuple[int, list[int], Request]] = deque()
        while parts or underway:
            while parts and len(underway) < REPLAY:
                begin, end = parts.popleft()
                tries = [WORD * words for words in self._store_write_size.tries((end - begin) // WORD)]
                place = REQUESTS[Command.WRITE_STORE].pack(address + begin)
                request = self._link.start_write(*(place + data[begin : begin + size] for size in tries))
                underway.append((begin, tries, request))
                if begin + tries[0] < end:
                    parts.appendleft((begin + tries[0], end))
            begin, tries, request = underway.popleft()
            self._link.finish(request)
            # At least this much was written, whichever try was answered.
            size = tries[request.shortened]
            self._store_write_size.record(size // WORD, tries[0] // WORD)
            if size < tries[0]:
                parts.appendleft((begin + size, begin + tries[0]))

    def check_store(self, address: int, count: int) -> int:
        """CRC-32 of ``count`` bytes of the sample store; address and count are even."""
        data = self._link.call(Command.CHECK_STORE, REQUESTS[Command.CHECK_STORE].pack(address, count))
        return int(self._array(data, "<u4", 1)[0])

    def run_stored(self, blocks: Iterable[StoredBlock]) -> Iterator[BlockResult]:
        """Run blocks of samples of the sample store; yields their results in order, while later ones are under way.

        Every block taken from ``blocks`` is run and answered, even if its result is not consumed.
        """
        self.turns += 1
        underway: deque[tuple[StoredBlock, Request]] = deque()
        for block in blocks:
            underway.append((block, self._link.start_stored(block.pack())))
            if len(underway) == self.identity.credits:
                yield self._block_result(*underway.popleft())
        while underway:
            yield self._block_result(*underway.popleft())

    def _block_result(self, block: StoredBlock, request: Request) -> BlockResult:
        data = self._link.finish(request)
        layout = ANSWERS[Command.RUN_STORED]
        words = self._array(data[layout.size :], "<u4", block.answer_words)
        result = BlockResult.of(layout.unpack(data), words, block)
        self._check_bits("a counter", result.counters.tolist(), COUNTER_BITS)
        return result

    @property
    def _classes(self) -> int:
        if self.network is None:
            raise OpzoError(f"{self.name} holds no network; create an opzo.Model on it, or call configure")
        return self.network.classes

    def _write_block(self, addresses: list[int], values: dict[int, int]) -> None:
        words = struct.pack(f"<{len(addresses)}I", *(values[address] for address in addresses))
        self._link.call(Command.WRITE_REGISTERS, REQUESTS[Command.WRITE_REGISTERS].pack(addresses[0]) + words)

    def _result(self, request: Request, outputs: bool) -> Result:
        data = self._link.finish(request)
        if len(data) < RESULT.size:
            raise LinkError(f"{self.name} answered a sample with {len(data)} bytes; at least {RESULT.size} expected")
        prediction, loss = RESULT.unpack(data)
        if not outputs and len(data) == RESULT.size:
            return Result(prediction, loss, NO_OUTPUTS)
        sums = self._array(data[RESULT.size :], "<i4", self._classes if outputs else 0)
        return Result(prediction, loss, sums.astype(np.int32))

    def _check_bits(self, what: str, values: Iterable[int], bits: int) -> None:
        """LinkError for a value of more bits than ``what`` has."""
        if wrong := [value for value in values if value >> bits]:
            raise LinkError(
                f"{self.name} answered with {wrong[0]:#x} for {what}, which has {bits} bits; reset it and try again"
            )

    def _array(self, data: bytes, kind: str, count: int) -> NDArray[Any]:
        values = np.frombuffer(data, kind) if len(data) % np.dtype(kind).itemsize == 0 else None
        if values is None or len(values) != count:
            raise LinkError(f"{self.name} answered with {len(data)} bytes; {count * np.dtype(kind).itemsize} expected")
        return values
