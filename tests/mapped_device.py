"""A chip behind a bus as Linux would map it: a file, and a thread that plays the chip with a golden core."""

import mmap
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from opzo.sim.golden.bus import BusError, GoldenBus
from opzo.sim.golden.core import GoldenCore
from opzo.spec.bus import (
    BUS_REGISTERS,
    LINK_IN,
    LINK_OUT,
    RING_BYTES,
    Owner,
    address_of,
)
from opzo.spec.limits import Limits

SIZE = 0x1000
HOST_WRITES = ("OWNER", "LINK_IN_PUT", "LINK_OUT_TAKEN")
DEVICE_WRITES = ("MAP", "STATUS", "LINK_IN_TAKEN", "LINK_OUT_PUT")


class MappedDevice:
    """Serve ``path`` as the registers of a chip with ``limits``, in a thread, while it is a context.

    Attributes
    ----------
    bus : GoldenBus
        The chip.
    error : Exception or None
        What ended the thread too early: a write that the bus answers with an error, for instance.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.bus = GoldenBus(GoldenCore(limits), streams=True)
        self.error: Exception | None = None
        path.write_bytes(bytes(SIZE))
        self._file = path.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), SIZE)
        self._words = memoryview(self._map).cast("I")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        # The identity does not change.
        for register in BUS_REGISTERS:
            if register.name.startswith("IDENTITY_"):
                self[register.address] = self.bus.read(register.address)
        self._show()

    def __getitem__(self, address: int) -> int:
        return self._words[address // 4]

    def __setitem__(self, address: int, value: int) -> None:
        self._words[address // 4] = value

    def _show(self) -> None:
        """Write what the device says, the ring before its count."""
        for address in range(LINK_OUT, LINK_OUT + RING_BYTES, 4):
            self[address] = self.bus.read(address)
        for name in DEVICE_WRITES:
            self[address_of(name)] = self.bus.read(address_of(name))

    def step(self) -> bool:
        """Carry out what the host has written since the last call; whether there was anything."""
        changed = [name for name in HOST_WRITES if self[address_of(name)] != self.bus.read(address_of(name))]
        for name in changed:
            value = self[address_of(name)]
            if name == "LINK_IN_PUT" and self.bus.owner is Owner.LINK:
                for address in range(LINK_IN, LINK_IN + RING_BYTES, 4):
                    self.bus.write(address, self[address])
            self.bus.write(address_of(name), value)
        if changed:
            self._show()
        return bool(changed)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if not self.step():
                    time.sleep(20e-6)
        except (BusError, ValueError) as error:
            self.error = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._words.release()
        self._map.close()
        self._file.close()
