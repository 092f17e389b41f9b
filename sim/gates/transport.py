"""The ``netlist`` device: a board whose FPGA is simulated gate by gate, behind the host's byte transport."""

import ctypes
import time
from enum import IntEnum
from functools import cache
from pathlib import Path

from opzo.sim.compile.cxx import load_library
from opzo.sim.gates.family import PllSettings
from opzo.sim.gates.folder import BuildFolder, Pin
from opzo.sim.gates.library import board_library
from opzo.sim.gates.netlist import LIGHTS

SLICE = 1 << 13
"""Clock cycles between two checks of the timeout and of Ctrl-C: about a tenth of a second."""
OUTPUT = 1 << 16
"""Maximum number of bytes that one call returns."""
QUIET = 100_000
"""Clock cycles without a bit on either line after which `read` may end without data. They double each time that it
does, because the device may be at work."""
QUIET_MOST = QUIET << 10
CHATTER = 10
"""Multiple of those cycles after which lines that are not quiet, but carry no byte, count as quiet."""
POWER_UP = 1_000
"""Clock cycles from the lock of the PLL to the first byte."""


class Stop(IntEnum):
    """Why the simulation returned."""

    CYCLES = 0
    OUTPUT_FULL = 1
    QUIET = 2
    REPLY = 3


class BoardTransport:
    """A simulated board; its time advances only while `read` waits.

    Its host measures seconds, of which the board needs thousands for one of its own. So `read` does not end without
    data before both lines have been quiet for some time of the board.

    Parameters
    ----------
    library : path
        Compiled netlist.
    oscillator_mhz : float
        Frequency at the oscillator's pin.
    baud : int
        Rate of both lines.
    pll : PllSettings
        How its PLL is set up.
    pins : dict
        The board's pins, of which lights and button may be active low.

    Attributes
    ----------
    cycles : int
        Clock cycles of the core since the PLL locked.
    """

    def __init__(
        self, library: Path, *, oscillator_mhz: float, baud: int, pll: PllSettings, pins: dict[str, Pin]
    ) -> None:
        self.cycles = 0
        self._pins = pins
        self._lib = _load(library)
        limits = (float(mhz) for mhz in (*pll.comparator, *pll.vco))
        self._board: int | None = self._lib.opzo_new(
            *(oscillator_mhz * 1e6, float(baud), pll.reference, pll.feedback, pll.post), *limits
        )
        self._input = bytearray()
        self._output = ctypes.create_string_buffer(OUTPUT)
        self._quiet = QUIET
        self.press(False)
        self._run(POWER_UP)

    @property
    def clock_mhz(self) -> float:
        """Frequency of the core's clock in MHz; 0 if the PLL has not locked."""
        return float(self._lib.opzo_clock(self._open)) / 1e6

    @property
    def lights(self) -> dict[str, bool]:
        """Whether each LED is lit: link, training, error."""
        levels = self._lib.opzo_lights(self._open)
        return {name: bool(levels >> n & 1) is not self._pins[name].inverted for n, name in enumerate(LIGHTS)}

    def press(self, down: bool) -> None:
        """Press the reset button, or release it."""
        if "button" in self._pins:
            self._lib.opzo_button(self._open, down is not self._pins["button"].inverted)

    def write(self, data: bytes) -> None:
        """Send ``data``; the board receives it during `read`."""
        self._input += data

    def read(self, timeout: float) -> bytes:
        """Run until the board has sent a frame; b"" after ``timeout`` seconds or more without a byte."""
        deadline = time.monotonic() + timeout
        # A board that is broken may send what is no byte, without an end.
        quiet, end = False, 0
        while True:
            if self._input or not end:
                end = self.cycles + CHATTER * self._quiet
            stop, data = self._run(SLICE)
            if data:
                self._quiet = QUIET
                return data
            quiet |= stop is Stop.QUIET or self.cycles >= end
            if quiet and time.monotonic() >= deadline:
                self._quiet = min(2 * self._quiet, QUIET_MOST)
                return b""
            if quiet:
                # The board has nothing to say; wait for the host's clock.
                time.sleep(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """Release the board; a second call does nothing."""
        if self._board is not None:
            self._lib.opzo_delete(self._board)
            self._board = None

    def __del__(self) -> None:
        if getattr(self, "_board", None) is not None:
            self.close()

    @property
    def _open(self) -> int:
        if self._board is None:
            raise OSError("the simulated board was closed")
        return self._board

    def _run(self, cycles: int) -> tuple[Stop, bytes]:
        consumed, produced, ran = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_uint64()
        stop = self._lib.opzo_run(
            self._open,
            bytes(self._input),
            len(self._input),
            self._output,
            OUTPUT,
            cycles,
            self._quiet,
            ctypes.byref(consumed),
            ctypes.byref(produced),
            ctypes.byref(ran),
        )
        del self._input[: consumed.value]
        self.cycles += ran.value
        return Stop(stop), ctypes.string_at(self._output, produced.value)


def open_netlist(address: str) -> BoardTransport:
    """Board of an address, ``FOLDER`` or ``FOLDER/routed`` of a build; OpzoError if it has no netlist."""
    folder = BuildFolder(address)
    library, pll = board_library(folder)
    return BoardTransport(library, oscillator_mhz=folder.oscillator_mhz, baud=folder.baud, pll=pll, pins=folder.pins)


@cache
def _load(path: Path) -> ctypes.CDLL:
    library = load_library(path)
    pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    library.opzo_new.restype = pointer
    library.opzo_new.argtypes = [*[ctypes.c_double] * 2, *[number] * 3, *[ctypes.c_double] * 4]
    library.opzo_delete.restype = None
    library.opzo_delete.argtypes = [pointer]
    library.opzo_clock.restype = ctypes.c_double
    library.opzo_clock.argtypes = [pointer]
    library.opzo_lights.restype = number
    library.opzo_lights.argtypes = [pointer]
    library.opzo_button.restype = None
    library.opzo_button.argtypes = [pointer, number]
    library.opzo_run.restype = number
    library.opzo_run.argtypes = [
        *(pointer, ctypes.c_char_p, size, pointer, size, ctypes.c_uint64, ctypes.c_uint64),
        *(ctypes.POINTER(size), ctypes.POINTER(size), ctypes.POINTER(ctypes.c_uint64)),
    ]
    return library
