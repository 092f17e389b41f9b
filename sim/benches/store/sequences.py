"""Random sequences with blocks from the sample store among the other steps."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from opzo.sim.benches.sequences import Run, Sequence, Step
from opzo.spec.commands import REQUESTS, SETTING, Command, StoredFlag
from opzo.spec.registers import Reg
from opzo.spec.rules import Input
from opzo.spec.shuffle import MAX_SHIFT, SEED_BITS
from opzo.spec.store import ADDRESS_BYTES, record

MOST_SAMPLES = 5
MOST_RUNS = 3


@dataclass(frozen=True)
class Stored:
    """Samples written to the store, and blocks of them.

    Attributes
    ----------
    address : int
        Where the ``image`` is written: the table of samples, then these.
    blocks : tuple of bytes
        Payloads of RUN_STORED.
    pending : bytes
        Input that no run follows: the first block discards it.
    """

    address: int
    image: bytes
    blocks: tuple[bytes, ...]
    pending: bytes


class StoredSequence(Sequence):
    """Steps for a chip with a sample store; nearly half of them are blocks."""

    def _go_on(self) -> Iterator[Step | Stored]:  # type: ignore[override]
        if self._rng.random() < 0.45:
            yield self._stored()
        else:
            yield from super()._go_on()

    def _stored(self) -> Stored:
        rng, end = self._rng, self._limits.store
        count = int(rng.integers(1, MOST_SAMPLES + 1))
        records = [self._record() for _ in range(count)]
        size = ADDRESS_BYTES * count + sum(map(len, records))
        address = int(rng.choice((0, end - size, 2 * int(rng.integers((end - size) // 2)))))
        places, place = [], address + ADDRESS_BYTES * count
        for data in records:
            places.append(place if rng.random() > 0.02 else end - 2)
            place += len(data)
        image = struct.pack(f"<{count}I", *places) + b"".join(records)
        first, blocks = 0, []
        while first < count:
            block = int(rng.integers(1, count - first + 1))
            blocks.append(self._block(address, count, first, block))
            first += block
        pending = self.run().payload[: 2 * int(rng.integers(20))] if rng.random() < 0.3 else b""
        return Stored(address, image, tuple(blocks), pending)

    def _record(self) -> bytes:
        """A sample; one of twelve has an error in some run."""
        rng = self._rng
        runs: list[Run] = [self.run() for _ in range(int(rng.choice((1, 1, 2, MOST_RUNS))))]
        parts, label = [run.payload for run in runs], runs[0].label
        if rng.random() < 1 / 12:
            what = rng.choice(("label", "event", "cut", "more"))
            if what == "label":
                label = 255
            elif what == "event":
                parts[-1] = b"\xff\1" * 9 + parts[-1]
            elif what == "cut":
                parts[-1] = parts[-1][:-1]
            else:
                parts[0] += b"\1\1\1\1" * 300
        return record(tuple(parts), label)

    def _block(self, table: int, samples: int, first: int, count: int) -> bytes:
        rng = self._rng
        inputs, pixel = self.network.inputs, int(rng.integers(1, 4))
        row = pixel * int(rng.integers(1, 1 + max(1, inputs // pixel)))
        given = {
            "flags": int(rng.integers(sum(StoredFlag) + 1)),
            "shift": int(rng.integers(MAX_SHIFT + 1)),
            "height": max(1, inputs // row),
            "row": row,
            "pixel": pixel,
            "table": table,
            "samples": samples,
            "seed": int(rng.choice((0, int(rng.integers(1 << SEED_BITS)), 1))),
            "first": first,
            "count": count,
        }
        settings = list(self._rates().items()) if rng.random() < 0.5 else []
        if rng.random() < 0.2:
            settings.append((int(Reg.CLEAR_COUNTERS), 0))
        if rng.random() < 0.1:
            # Clears the traces.
            settings.append((int(Reg.HIDDEN_LAYERS), len(self.network.hidden)))
        if rng.random() < 0.1:
            self._kind = int(rng.choice((*map(int, Input), 3)))
            settings.append((int(Reg.INPUT), self._kind))
        fields = (given[field.name] for field in REQUESTS[Command.RUN_STORED].fields)
        return REQUESTS[Command.RUN_STORED].pack(*fields) + b"".join(SETTING.pack(*setting) for setting in settings)
