"""State of a simulated core in a cocotb testbench: memories and registers accessed by their paths in the hierarchy."""

from typing import Any

import numpy as np
from cocotb.handle import ArrayObject, HierarchyObject

from opzo.hw.lib.row_memory import BANK_ROWS
from opzo.spec.formats import GRADIENT, MEMBRANE
from opzo.spec.limits import Limits

PUBLIC = ("bank_*", "memory", "membrane", "entries", "state")
"""Signals and memories that the testbench of a core accesses."""


class CoreState:
    """State of the core ``dut`` (built with ``public=PUBLIC``), read and written without using clock cycles.

    Parameters
    ----------
    dut : cocotb handle
        Top of the hierarchy, an ``opzo.hw.core.Core``.
    limits : Limits
    """

    def __init__(self, dut: Any, limits: Limits) -> None:
        self._limits = limits
        size = limits.lanes_per_group
        engine = child(dut, "engine", HierarchyObject)
        lanes = child(engine, "lanes", HierarchyObject)
        groups = [child(lanes, f"group_{n}", HierarchyObject) for n in range(limits.groups)]
        memories = [child(group, "memory", HierarchyObject) for group in groups]
        banks = -(-limits.rows // BANK_ROWS)
        self._banks = [[child(memory, f"bank_{n}", ArrayObject) for n in range(banks)] for memory in memories]
        self._gradients = [
            child(child(group, "gradients", HierarchyObject), "memory", ArrayObject)
            for group in groups
            if limits.gradients
        ]
        each = [child(group, f"lane_{n}", HierarchyObject) for group in groups for n in range(size)]
        self._lfsrs = [child(lane, "lfsr", HierarchyObject).state for lane in each]
        neurons = [child(group, "neurons", HierarchyObject) for group in groups]
        self._membranes = [child(child(unit, "state", HierarchyObject), "membrane", ArrayObject) for unit in neurons]
        rows = child(engine, "active_rows", HierarchyObject)
        self._entries = [
            child(child(rows, name, HierarchyObject), "entries", ArrayObject) for name in ("traces", "inputs")
        ]
        self._size = size

    def rows(self, count: int) -> np.ndarray:
        """First ``count`` rows of the weight memory: int32 (count, lanes)."""
        parts = []
        size, bits, low = self._size, self._limits.weight_bits, self._limits.low_bits
        for banks in self._banks:
            words = [int(banks[row // BANK_ROWS][row % BANK_ROWS].value) for row in range(count)]
            data = b"".join(word.to_bytes(size * bits // 8, "little") for word in words)
            each = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").reshape(count, size, bits)
            weight = 1 << np.arange(bits)
            weight[-1] = -weight[-1]
            parts.append(each @ weight << low)
        return np.concatenate(parts, axis=1).astype(np.int32)

    def gradients(self) -> np.ndarray:
        """Gradient accumulators: int32 (gradients, lanes)."""
        count, width = self._limits.gradients, self._size * GRADIENT.width // 8
        parts = []
        for memory in self._gradients:
            data = b"".join(int(memory[row].value).to_bytes(width, "little") for row in range(count))
            parts.append(np.frombuffer(data, "<i4").reshape(count, -1))
        return np.concatenate(parts, axis=1)

    def write_gradients(self, gradients: np.ndarray) -> None:
        """Set all gradient accumulators: int32 (gradients, lanes)."""
        for group, memory in enumerate(self._gradients):
            for row, values in enumerate(gradients[:, group * self._size :][:, : self._size]):
                memory[row].value = int.from_bytes(values.astype("<i4").tobytes(), "little")

    def lfsrs(self) -> np.ndarray:
        """LFSR states: uint32 (lanes,)."""
        return np.array([int(state.value) for state in self._lfsrs], np.uint32)

    def membranes(self, words: int) -> np.ndarray:
        """Membrane potentials of the first ``words`` hidden words: int64 (words, lanes)."""
        value = self._neurons(words) & ((1 << MEMBRANE.width) - 1)
        return np.where(value > MEMBRANE.max, value - (1 << MEMBRANE.width), value)

    def negatives(self, words: int) -> np.ndarray:
        """Whether the noise was negative in the last even step, for the same words: bool (words, lanes)."""
        negative: np.ndarray = self._neurons(words) >> MEMBRANE.width != 0
        return negative

    def _neurons(self, words: int) -> np.ndarray:
        places = range(words * self._size)
        each = np.array([[int(memory[n].value) for n in places] for memory in self._membranes], np.int64)
        return each.reshape(len(self._membranes), words, self._size).swapaxes(0, 1).reshape(words, -1)

    def traces(self, words: int) -> np.ndarray:
        """Traces and histories of the first ``words`` hidden words, as in Space.HISTORY: uint16 (words, lanes)."""
        return self._read(self._entries[0], words)

    def input_traces(self) -> np.ndarray:
        """Traces and histories of the inputs, as in Space.INPUT_HISTORY: uint16 (inputs / lanes, lanes)."""
        return self._read(self._entries[1], self._limits.input_words)

    def _read(self, entries: Any, words: int) -> np.ndarray:
        lanes = self._limits.lanes
        return np.array([int(entries[n].value) for n in range(words * lanes)], np.uint16).reshape(words, lanes)

    def write_rows(self, rows: np.ndarray, first: int = 0) -> None:
        """Set rows of the weight memory, starting at ``first``: int (count, lanes)."""
        size, bits = self._size, self._limits.weight_bits
        words = rows >> self._limits.low_bits
        each = (words[:, :, None] >> np.arange(bits) & 1).astype(np.uint8)
        for group, banks in enumerate(self._banks):
            part = each[:, group * size : (group + 1) * size].reshape(len(rows), -1)
            for row, word in enumerate(np.packbits(part, axis=1, bitorder="little"), first):
                banks[row // BANK_ROWS][row % BANK_ROWS].value = int.from_bytes(word.tobytes(), "little")


def child(handle: Any, name: str, kind: type[Any]) -> Any:
    """Member ``name`` of a handle that has type ``kind``; the Verilog writer makes equal names unique by a suffix."""
    for item in handle:
        if isinstance(item, kind) and item._name.strip("\\ ").split("$")[0] == name:
            return item
    raise AttributeError(f"{handle._path} has no {name}; it has {', '.join(item._name for item in handle)}")
