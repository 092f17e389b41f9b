"""Memory test: patterns in all rows of the writable memories, and the read-only memories after a clear."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from opzo.host.selftest.device_under_test import DeviceUnderTest
from opzo.host.selftest.mismatch import entry_of, require_equal
from opzo.spec.commands import REQUESTS, Command
from opzo.spec.formats import WEIGHT
from opzo.spec.limits import Limits
from opzo.spec.memories import ENTRY_BITS, ENTRY_BYTES, Space
from opzo.spec.registers import Reg

ODD, EVEN = 0xAAAA, 0x5555


def memory_step(dut: DeviceUnderTest) -> str:
    """Write and read back patterns, in random order of blocks and row by row; then check that a clear zeroes histories.

    Overwrites the memories.
    """
    limits, device = dut.limits, dut.device
    weights = keep_weights(
        dut.random(0, 2).integers(0, 1 << ENTRY_BITS, (limits.rows, limits.lanes), np.uint16), limits
    )
    patterns = 0
    for space in (space for space in Space if space.writable):
        rows, random = space.rows(limits), dut.random(0, space)
        bits = limits.weight_bits if space is Space.WEIGHTS else ENTRY_BITS
        for name, pattern in _patterns(rows, limits.lanes, bits, random):
            _fill(dut, space, pattern, random)
            kept = keep_weights(pattern, limits) if space is Space.WEIGHTS else pattern
            place = entry_of(f"{space.name}, pattern '{name}'", "row", "lane")
            require_equal(device.read_memory(space, 0, rows), kept, place)
            patterns += 1
        if space is Space.WEIGHTS:
            # From the last row down, because a block write would hide a write that changes a later row.
            for row in range(limits.rows - 1, -1, -1):
                device.write_memory(space, row, weights[row : row + 1])
            _compare_weights(dut, weights, "row by row from the last")
    # Writing this register clears the histories.
    device.write_registers({Reg.HIDDEN_LAYERS: 0})
    for space in (space for space in Space if space.cleared):
        cleared = device.read_memory(space, 0, space.rows(limits))
        require_equal(cleared, np.zeros_like(cleared), entry_of(f"{space.name} after a clear", "row", "lane"))
    # Neither the clear nor reading may change the weights.
    _compare_weights(dut, weights, "read again")
    entries = limits.rows * limits.lanes
    dut.details |= {"patterns": patterns, "rows": limits.rows, "entries": entries}
    return f"{patterns} patterns; {entries:,} weights of {limits.weight_bits} bits, LFSRs; histories clear"


def _compare_weights(dut: DeviceUnderTest, written: NDArray[np.uint16], how: str) -> None:
    kept = dut.device.read_memory(Space.WEIGHTS, 0, len(written))
    require_equal(kept, written, entry_of(f"WEIGHTS, random rows, {how}", "row", "lane"))


def keep_weights(pattern: NDArray[np.uint16], limits: Limits) -> NDArray[np.uint16]:
    """Values that the weight memory stores for these words: uint16 (rows, lanes); see ``Space.WEIGHTS``."""
    top = WEIGHT.width - limits.low_bits - limits.weight_bits
    stored = (pattern << top).astype(np.int16) >> (top + limits.low_bits) << limits.low_bits
    return stored.astype(np.uint16)


def _patterns(
    rows: int, lanes: int, bits: int, random: np.random.Generator
) -> Iterator[tuple[str, NDArray[np.uint16]]]:
    """Patterns by name, uint16 (rows, lanes); ``bits`` is the width of a stored entry."""
    address = np.arange(rows * lanes).reshape(rows, lanes)
    # A narrow memory leaves out as many low bits as high ones.
    low = (ENTRY_BITS - bits) // 2
    # In as many parts as the bits of an address take.
    for part in range(-(-max(1, (rows * lanes - 1).bit_length()) // bits)):
        yield f"address, bits from {part * bits} on", (address >> (part * bits) << low).astype(np.uint16)
    odd = (address // lanes + address) % 2 == 1
    checkerboard = np.where(odd, ODD, EVEN).astype(np.uint16)
    yield "checkerboard", checkerboard
    yield "checkerboard, inverted", ~checkerboard
    yield "random", random.integers(0, 1 << ENTRY_BITS, (rows, lanes), np.uint16)


def _fill(dut: DeviceUnderTest, space: Space, pattern: NDArray[np.uint16], random: np.random.Generator) -> None:
    """Write all rows in blocks of one frame each, in random order."""
    block = (dut.device.identity.max_payload - REQUESTS[Command.WRITE_MEMORY].size) // (ENTRY_BYTES * dut.limits.lanes)
    if space is Space.LFSR:
        block = 1
    for start in random.permutation(np.arange(0, len(pattern), block)).tolist():
        dut.device.write_memory(space, start, pattern[start : start + block])
