"""The ``rtl`` device: cycle-accurate simulation of the complete chip's Verilog behind the host's byte transport."""

import ctypes
import os
import time
from enum import IntEnum
from functools import cache
from pathlib import Path

from opzo.sim.compile.cxx import load_library
from opzo.sim.rtl.library import chip_library, traced_library
from opzo.spec.limits import Limits

SLICE = 1 << 16
"""Clock cycles between two checks of the timeout and of Ctrl-C."""
OUTPUT = 1 << 16
"""Maximum number of bytes that one call returns."""


class Stop(IntEnum):
    """Why the simulation returned."""

    CYCLES = 0
    OUTPUT_FULL = 1
    IDLE = 2
    REPLY = 3
    FAILED = 4


class RtlTransport:
    """A simulated chip; its time advances only while `read` waits.

    Raises OpzoError if the chip must be compiled and a tool is missing.

    Parameters
    ----------
    limits : Limits
        Limits of the chip.
    library : path or None
        Compiled chip to use instead of the cached one for ``limits``.
    traced : bool
        The chip can write waveforms (`start_waveform`).

    Attributes
    ----------
    cycles : int
        Clock cycles that the chip has run.
    busy : bool
        Whether the chip is busy or has not taken all bytes.
    """

    def __init__(self, limits: Limits, *, library: Path | None = None, traced: bool = False) -> None:
        self.cycles = 0
        self.busy = False
        self.limits = limits
        self._lib = _load(library or (traced_library(limits) if traced else chip_library(limits)))
        self._chip: int | None = self._lib.opzo_new(limits.store, limits.store_bits)
        self._input = bytearray()
        self._output = ctypes.create_string_buffer(OUTPUT)

    def write(self, data: bytes) -> None:
        """Send ``data``; the chip takes it during `read`."""
        self._input += data
        self.busy |= bool(data)

    def read(self, timeout: float) -> bytes:
        """Run until the chip has sent a frame, at most ``timeout`` seconds; b"" immediately if the chip is idle.

        AssertionError, with the unit and the check, if an assertion in the gateware fails.
        """
        deadline = time.monotonic() + timeout
        while True:
            stop, data = self._run(SLICE)
            self.busy = stop is not Stop.IDLE
            if data or stop is Stop.IDLE or time.monotonic() >= deadline:
                return data

    def start_waveform(self, path: Path) -> list[Path]:
        """Write all signals of a chip with ``traced`` to a file (FST) from now on; returns all files it writes.

        Next to it are files that open it in GTKWave and in Surfer. Raises OSError if they cannot be written.
        """
        path.touch()
        # Imported here: it needs Amaranth, and a chip in the cache does not.
        from opzo.sim.rtl.trace.viewers import write_views

        views = write_views(path, self.limits)
        self._lib.opzo_trace(self._chip, os.fsencode(path))
        return [path, *views]

    def end_waveform(self) -> None:
        """Complete the file of `start_waveform`."""
        self._lib.opzo_trace(self._chip, None)

    def close(self) -> None:
        """Release the chip; a second call does nothing."""
        if self._chip is not None:
            self._lib.opzo_delete(self._chip)
            self._chip = None

    def __del__(self) -> None:
        if getattr(self, "_chip", None) is not None:
            self.close()

    def _run(self, cycles: int) -> tuple[Stop, bytes]:
        if self._chip is None:
            raise OSError("the simulated chip was closed")
        consumed, produced, ran = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_uint64()
        stop = self._lib.opzo_run(
            self._chip,
            bytes(self._input),
            len(self._input),
            self._output,
            OUTPUT,
            cycles,
            ctypes.byref(consumed),
            ctypes.byref(produced),
            ctypes.byref(ran),
        )
        del self._input[: consumed.value]
        self.cycles += ran.value
        if stop == Stop.FAILED:
            text = self._lib.opzo_failure(self._chip).decode()
            raise AssertionError(f"simulated chip, cycle {self.cycles}: {text}")
        return Stop(stop), ctypes.string_at(self._output, produced.value)


@cache
def _load(path: Path) -> ctypes.CDLL:
    library = load_library(path)
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    library.opzo_new.restype = pointer
    library.opzo_new.argtypes = [size, ctypes.c_uint]
    library.opzo_delete.restype = None
    library.opzo_delete.argtypes = [pointer]
    library.opzo_failure.restype = ctypes.c_char_p
    library.opzo_failure.argtypes = [pointer]
    if hasattr(library, "opzo_trace"):
        library.opzo_trace.restype = None
        library.opzo_trace.argtypes = [pointer, ctypes.c_char_p]
    library.opzo_run.restype = ctypes.c_int
    library.opzo_run.argtypes = [
        *(pointer, ctypes.c_char_p, size, pointer, size, ctypes.c_uint64),
        *(ctypes.POINTER(size), ctypes.POINTER(size), ctypes.POINTER(ctypes.c_uint64)),
    ]
    return library
