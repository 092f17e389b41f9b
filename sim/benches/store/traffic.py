"""Random host traffic for a link with a sample store."""

import struct
from dataclasses import replace
from random import Random

from opzo.sim.benches.traffic import TEST_LIMITS, Exchange, Traffic
from opzo.spec.commands import MOST_ANSWERS, REQUESTS, SETTING, Command, StoredFlag
from opzo.spec.frames import Frame
from opzo.spec.registers import Reg
from opzo.spec.rules import Input
from opzo.spec.shuffle import MAX_SHIFT
from opzo.spec.store import ADDRESS_BYTES, record

STORE_LIMITS = replace(TEST_LIMITS, store=12_002)
SAMPLES = 9
"""Of each kind of input."""
PIECE = 1000
"""Bytes of an upload's frame."""
SCRATCH = 600
"""Bytes at the end of the store in which most writes are."""


class StoreTraffic(Traffic):
    """Traffic with commands of the sample store; the store has samples of each kind of input, each with its table."""

    def __init__(self, rng: Random) -> None:
        super().__init__(rng, STORE_LIMITS)
        self._tables: dict[int, int] = {}

    def begin(self) -> list[Exchange]:
        """Start a session, and fill the store."""
        return super().begin() + self._fill()

    def _fill(self) -> list[Exchange]:
        rng, exchanges, place = self._rng, [], 2 * self._rng.randrange(20)
        for kind in (*map(int, Input), 3):
            addresses, data, self._tables[kind] = [], b"", place
            place += ADDRESS_BYTES * SAMPLES
            for _ in range(SAMPLES):
                addresses.append(place + len(data))
                label = self._limits.classes if rng.random() < 0.02 else rng.randrange(self._limits.classes)
                runs = tuple(self._good_input(kind) for _ in range(rng.choice((1, 1, 1, 2, 3))))
                data += record(runs, label)
            image = struct.pack(f"<{SAMPLES}I", *addresses) + data
            for begin in range(0, len(image), PIECE):
                exchanges.append(self._ask(self._write_part(self._tables[kind] + begin, image[begin : begin + PIECE])))
            place += len(data)
        assert place + SCRATCH <= self._limits.store, "the samples do not fit"
        return exchanges

    def _good_input(self, kind: int) -> bytes:
        """Input that RUN usually takes: short, and without rare codes."""
        rng = self._rng
        if rng.random() < 0.1:
            return self._input(last=True, kind=kind)[: 2 * rng.randrange(30)]
        if kind == Input.FRAME:
            return bytes(b for _ in range(rng.randrange(25)) for b in (rng.randrange(10), rng.randrange(1, 256)))
        codes = b""
        for _ in range(1 if kind == Input.GRADED else rng.randint(1, self._limits.steps)):
            codes += bytes(rng.randrange(20) for _ in range(rng.randrange(12))) + b"\xf0"
        if kind != Input.GRADED:
            return codes
        return bytes(b for code in codes for b in (code, rng.randrange(1, 256)))

    def _ask(self, frame: Frame) -> Exchange:
        return self.exchange(frame.encode())

    def _random_frame(self) -> Frame:
        rng = self._rng
        if rng.random() < 0.5:
            return super()._random_frame()
        frame = rng.choices((self._read_store, self._write_store, self._check_store, self._run_stored), (1, 1, 1, 4))[
            0
        ]()
        if rng.random() < 0.03:
            return Frame(frame.seq, frame.code, frame.data[: rng.randrange(len(frame.data) + 1)])
        return frame

    def _span(self, count: int) -> int:
        """First of ``count`` bytes, sometimes just beyond the end, or odd."""
        rng, end = self._rng, self._limits.store
        places = (0, end - count, 2 * rng.randrange(end // 2), end - count + 2, 0xFFFFFFFE, rng.randrange(end))
        return max(0, rng.choices(places, (4, 4, 4, 1, 1, 1))[0])

    def _read_store(self) -> Frame:
        count = self._rng.choice((0, 2, 2, 30, 1022, 1024, 1026, 3000, 3, 0xFFFE, 0xFFFF))
        return self._frame(Command.READ_STORE, REQUESTS[Command.READ_STORE].pack(self._span(count), count))

    def _check_store(self) -> Frame:
        count = self._rng.choice((0, 2, 30, 1024, 1026, 2050, 5, 0x80000000, 0xFFFFFFFE))
        return self._frame(Command.CHECK_STORE, REQUESTS[Command.CHECK_STORE].pack(self._span(count), count))

    def _write_part(self, address: int, data: bytes) -> Frame:
        return self._frame(Command.WRITE_STORE, REQUESTS[Command.WRITE_STORE].pack(address) + data)

    def _write_store(self) -> Frame:
        rng = self._rng
        data = rng.randbytes(rng.choice((0, 1, 2, 2, 8, 40, SCRATCH)))
        if rng.random() < 0.3:
            return self._write_part(self._span(len(data)), data[:4])
        return self._write_part(self._limits.store - SCRATCH + 2 * rng.randrange(1 + (SCRATCH - len(data)) // 2), data)

    def _run_stored(self) -> Frame:
        rng, limits = self._rng, self._limits
        settings: list[tuple[int, int]] = []
        kind = self.core.read_register(Reg.INPUT) & 3
        for _ in range(rng.choice((0, 0, 1, 4, 20))):
            settings.append((rng.choice((Reg.RULE, Reg.SAMPLES, 254)), rng.getrandbits(32)))
        if rng.random() < 0.3:
            kind = rng.randrange(4)
            settings.append((Reg.INPUT, kind))
        if rng.random() < 0.1:
            settings.append((Reg.INPUTS, limits.inputs - rng.randrange(3) * 20))
        height, row, pixel = rng.choice(((43, 7, 1), (21, 14, 2), (15, 20, 1), (1, 301, 1), (3, 100, 50)))
        count = rng.randint(1, 4)
        block = {
            "flags": rng.choice((0, 1, 1, 2, 3, 0xFC)),
            "shift": rng.randrange(MAX_SHIFT + 1),
            "height": height,
            "row": row,
            "pixel": pixel,
            "table": self._tables[kind],
            "samples": SAMPLES,
            "seed": rng.choice((0, 1, rng.getrandbits(32))),
            "first": rng.randrange(SAMPLES - count + 1),
            "count": count,
        }
        if rng.random() < 0.25:
            block |= rng.choice(
                (
                    {"shift": MAX_SHIFT + 1},
                    {"count": 0},
                    {"count": SAMPLES + 1, "first": 0},
                    {"first": SAMPLES},
                    {"first": 0xFFFFFFFF},
                    {"table": self._tables[kind] + 1},
                    {"table": limits.store - ADDRESS_BYTES * SAMPLES + 2},
                    {"table": rng.randrange(0, limits.store // 2, 2)},
                    {"table": self._tables[rng.randrange(4)]},
                    {"samples": 0x40000000 + rng.randrange(9)},
                    {"samples": 1, "first": 0, "count": 1},
                    {"samples": 50, "first": 0, "count": MOST_ANSWERS + 1, "flags": int(StoredFlag.ANSWERS)},
                    {"height": rng.getrandbits(16), "row": rng.choice((0, 1, rng.getrandbits(16)))},
                )
            )
        given = [block[field.name] for field in REQUESTS[Command.RUN_STORED].fields]
        payload = REQUESTS[Command.RUN_STORED].pack(*given)
        return self._frame(Command.RUN_STORED, payload + b"".join(SETTING.pack(*setting) for setting in settings))
