"""The bus side of the chip over a golden core; ``opzo.spec.bus`` has the map and its rules.

The engine of a golden core answers at once, so no access waits and no run is ever under way.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np

from opzo.sim.golden.intake import Core
from opzo.sim.golden.link import GoldenLink
from opzo.spec.bus import (
    CONTROL,
    CONTROL_REGISTERS,
    CORE,
    COUNT_BITS,
    EVENT_FIELDS,
    IDENTITY_BASE,
    LINK_IN,
    LINK_OUT,
    MAP_VERSION,
    PENDING_RESULTS,
    RING_BYTES,
    ROW,
    ROW_BYTES,
    RUN_FIELDS,
    BitField,
    Interrupt,
    Owner,
    StatusBit,
    result_head,
)
from opzo.spec.commands import RunFlag, Status
from opzo.spec.events import SPIKE, Chunk
from opzo.spec.memories import Space, rows_of
from opzo.spec.protocol import IDENTITY, Identity
from opzo.spec.registers import Reg
from opzo.spec.rules import Input

_WORD = 0xFFFFFFFF
_COUNT = (1 << COUNT_BITS) - 1
_NAMES = {register.address: name for name, register in CONTROL_REGISTERS.items()}
_RUN_FLAGS = sum(RunFlag)


class BusError(Exception):
    """An access is answered with an error, and has no effect."""


def _require(condition: bool) -> None:
    if not condition:
        raise BusError


def _named(word: int, fields: Sequence[BitField]) -> dict[str, int]:
    return {field.name: field.of(word) for field in fields}


class GoldenBus:
    """Carry out accesses of a bus, and run samples, by means of ``core``.

    Parameters
    ----------
    core : Core
        Executes what the bus asks for.
    clock_khz : int
        Clock to report, 0 for none.
    streams : bool
        Whether samples and results travel in streams of their own.

    Attributes
    ----------
    owner : Owner
    pending, enable : int
        Interrupts.
    """

    def __init__(self, core: Core, clock_khz: int = 0, *, streams: bool) -> None:
        self.core, self.streams, self._clock_khz = core, streams, clock_khz
        self.owner = Owner.BUS
        self.pending = self.enable = 0
        self._space = 0
        self._window = np.zeros(core.limits.lanes, np.uint16)
        self._sample: list[int] = []
        self._results: deque[tuple[int, bool]] = deque()
        self._link = GoldenLink(core, clock_khz)
        self._in, self._out = bytearray(RING_BYTES), bytearray(RING_BYTES)
        self._in_put = self._in_taken = self._out_put = self._out_taken = 0
        self._replies = bytearray()

    @property
    def interrupt(self) -> bool:
        """Level of the interrupt."""
        return bool(self.pending & self.enable)

    def read(self, address: int) -> int:
        """Word at ``address``, a multiple of 4 below 4096; BusError where the bus answers with an error."""
        if address < IDENTITY_BASE:
            _require(self.owner is Owner.BUS)
            return self.core.read_register((address - CORE) // 4)
        if address < CONTROL:
            index = (address - IDENTITY_BASE) // 4
            identity = Identity.of(self.core.limits, self._clock_khz)
            return int(getattr(identity, IDENTITY.fields[index].name)) if index < len(IDENTITY.fields) else 0
        if ROW <= address < ROW + ROW_BYTES:
            lane = (address - ROW) // 2
            pair = self._window[lane : lane + 2].astype("<u2").tobytes()
            return int.from_bytes(pair, "little") if lane < len(self._window) else 0
        if address >= LINK_OUT:
            return int.from_bytes(self._out[address - LINK_OUT : address - LINK_OUT + 4], "little")
        return self._control().get(_NAMES.get(address, ""), 0)

    def _control(self) -> dict[str, int]:
        room = sum(last for _, last in self._results) < PENDING_RESULTS
        bus = self.owner is Owner.BUS
        status = {
            StatusBit.IDLE: bus and not self._sample,
            StatusBit.BEGUN: bool(self._sample),
            StatusBit.RESULT: bool(self._results),
            StatusBit.ROOM: room,
            StatusBit.READY: bus,
        }
        return {
            "MAP": MAP_VERSION | self.streams << 16,
            "STATUS": sum(value << bit for bit, value in status.items()),
            "INTERRUPT_PENDING": self.pending,
            "INTERRUPT_ENABLE": self.enable,
            "OWNER": self.owner,
            "MEMORY_SPACE": self._space,
            "RESULT": self._results[0][0] if self._results else 0,
            "LINK_IN_PUT": self._in_put,
            "LINK_IN_TAKEN": self._in_taken,
            "LINK_OUT_PUT": self._out_put,
            "LINK_OUT_TAKEN": self._out_taken,
        }

    def write(self, address: int, value: int, *, complete: bool = True) -> None:
        """Write a word, ``complete`` with all its bytes; BusError where the bus answers with an error."""
        _require(complete)
        name = _NAMES.get(address)
        if address < IDENTITY_BASE:
            self._exclusive()
            self.core.write_register((address - CORE) // 4, value)
        elif ROW <= address < ROW + ROW_BYTES:
            lane = (address - ROW) // 2
            if lane < len(self._window):
                self._window[lane : lane + 2] = value & 0xFFFF, value >> 16
        elif LINK_IN <= address < LINK_OUT:
            self._in[address - LINK_IN : address - LINK_IN + 4] = value.to_bytes(4, "little")
        else:
            write = getattr(self, f"_write_{name.lower()}", None) if name else None
            if write is None:
                raise BusError
            write(value)

    def _exclusive(self) -> None:
        """What needs the core for itself; afterwards it becomes idle again."""
        _require(self.owner is Owner.BUS and not self._sample)
        self._happened(Interrupt.IDLE)

    def _happened(self, *interrupts: Interrupt) -> None:
        for each in interrupts:
            self.pending |= 1 << each

    def _write_interrupt_pending(self, value: int) -> None:
        self.pending &= ~value

    def _write_interrupt_enable(self, value: int) -> None:
        self.enable = value & (1 << len(Interrupt)) - 1

    def _write_owner(self, value: int) -> None:
        owner = Owner(value & 1)
        if self.owner is Owner.BUS:
            _require(not self._sample)
            if owner is Owner.LINK:
                self.owner = owner
                self._link = GoldenLink(self.core, self._clock_khz)
                self._serve()
        elif owner is Owner.BUS:
            _require(not self._replies)
            self.owner = owner
            self._happened(Interrupt.IDLE)

    def _write_discard(self, value: int) -> None:
        _require(self.owner is Owner.BUS)
        if self._sample:
            self._sample.clear()
            self._happened(Interrupt.IDLE)

    def _write_memory_space(self, value: int) -> None:
        self._space = value & (1 << max(Space).bit_length()) - 1

    def _write_memory_read(self, value: int) -> None:
        self._row(value)
        self._window[:] = self.core.read_row(Space(self._space), value)

    def _write_memory_write(self, value: int) -> None:
        _require(self._space in tuple(Space) and Space(self._space).writable)
        self._row(value)
        self.core.write_row(Space(self._space), value, self._window.copy())

    def _row(self, row: int) -> None:
        _require(row < rows_of(self._space, self.core.limits))
        self._exclusive()

    def _write_sample(self, value: int) -> None:
        _require(not self.streams and self.owner is Owner.BUS)
        self._sample.append(value)

    def _write_run(self, value: int) -> None:
        _require(not self.streams and self.owner is Owner.BUS and bool(self._control()["STATUS"] >> StatusBit.ROOM & 1))
        words, self._sample = [*self._sample, value], []
        result = self.run(words)
        self._results += [(word, number == len(result) - 1) for number, word in enumerate(result)]

    def _write_result_take(self, value: int) -> None:
        _require(not self.streams and bool(self._results))
        self._results.popleft()

    def _write_link_in_put(self, value: int) -> None:
        _require((value - self._in_taken) & _COUNT <= RING_BYTES)
        self._in_put = value & _COUNT
        self._serve()

    def _write_link_out_taken(self, value: int) -> None:
        _require((self._out_put - value) & _COUNT <= (self._out_put - self._out_taken) & _COUNT)
        self._out_taken = value & _COUNT
        self._serve()

    def _serve(self) -> None:
        """Let the link take its bytes, and put what it answers."""
        if self.owner is Owner.BUS:
            return
        while self._in_taken != self._in_put:
            place = self._in_taken % RING_BYTES
            self._replies += self._link.feed(bytes(self._in[place : place + 1]))
            self._in_taken = (self._in_taken + 1) & _COUNT
        while self._replies and (self._out_put - self._out_taken) & _COUNT != RING_BYTES:
            self._out[self._out_put % RING_BYTES] = self._replies.pop(0)
            self._out_put = (self._out_put + 1) & _COUNT
            self._happened(Interrupt.LINK)

    def run(self, words: Sequence[int]) -> list[int]:
        """Run a sample, a packet of words, and return the words of its result."""
        *events, last = words
        run = _named(last, RUN_FIELDS)
        self._happened(Interrupt.IDLE, Interrupt.RESULT)
        chunk, status = self._checked(events)
        classes = min(self.core.read_register(Reg.CLASSES), self.core.limits.classes)
        if status is Status.OK and run["LABEL"] >= classes:
            status = Status.BAD_LABEL
        if status is not Status.OK:
            self._happened(Interrupt.REFUSED)
            return [result_head(status, run["TAG"])]
        flags = RunFlag(run["FLAGS"] & _RUN_FLAGS)
        result = self.core.run(chunk, run["LABEL"], flags)
        rest = [result.loss, *(result.outputs if flags & RunFlag.OUTPUTS else ())]
        head = result_head(Status.OK, run["TAG"], result.prediction, len(rest))
        return [head, *(int(word) & _WORD for word in rest)]

    def _checked(self, events: Sequence[int]) -> tuple[Chunk, Status]:
        """Input of a run, and the first error in it."""
        limits = self.core.limits
        kind = Input.of_register(self.core.read_register(Reg.INPUT))
        inputs = min(self.core.read_register(Reg.INPUTS), limits.inputs)
        addresses: list[int] = []
        values: list[int] = []
        ends: list[int] = []
        bad_event = open_step = False
        following = 0
        for word in events:
            event = _named(word, EVENT_FIELDS)
            if event["ENDS"]:
                bad_event |= event["RESERVED"] != 0
                ends += [len(addresses)] * event["ENDS"]
                open_step, following = False, 0
                continue
            value = event["VALUE"] if kind.values else SPIKE
            in_order = following <= event["ADDRESS"] < inputs and not event["RESERVED"]
            following = event["ADDRESS"] + 1
            if not kind.events and not value:
                bad_event |= not in_order
                continue
            bad_event |= not in_order or not value
            open_step = True
            addresses.append(event["ADDRESS"])
            values.append(value)
        most = min(kind.run_steps, limits.steps) if kind.events else 0
        bad_steps = not (0 < len(ends) <= most) or open_step if kind.events else bool(ends)
        errors = {
            Status.BAD_EVENT: bad_event,
            Status.FULL: len(addresses) > limits.events,
            Status.BAD_STEPS: bad_steps,
        }
        chunk = Chunk(*(np.array(part, np.int64) for part in (addresses, values, ends)))
        return chunk, next((status for status, found in errors.items() if found), Status.OK)
