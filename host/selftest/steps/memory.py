"""Memory test: patterns over all rows of all memories that can be written, and what can only be read after a clear."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from opzo.host.selftest.check import Bench, entry_of, require_equal
from opzo.spec.commands import REQUESTS, Command
from opzo.spec.formats import WEIGHT
from opzo.spec.memories import ENTRY_BITS, ENTRY_BYTES, Space
from opzo.spec.network import Limits
from opzo.spec.registers import Reg

ODD, EVEN = 0xAAAA, 0x5555


def memory_step(bench: Bench) -> str:
    """Write and read back patterns, in random order of blocks and row by row; then read the histories, which are clear.

    What the memories held is overwritten.
    """
    limits, device = bench.limits, bench.device
    weights = keep_weights(
        bench.random(0, 2).integers(0, 1 << ENTRY_BITS, (limits.rows, limits.lanes), np.uint16), limits
    )
    patterns = 0
    for space in (space for space in Space if space.writable):
        rows, random = space.rows(limits), bench.random(0, space)
        bits = limits.weight_bits if space is Space.WEIGHTS else ENTRY_BITS
        for name, pattern in _patterns(rows, limits.lanes, bits, random):
            _fill(bench, space, pattern, random)
            kept = keep_weights(pattern, limits) if space is Space.WEIGHTS else pattern
            place = entry_of(f"{space.name}, pattern '{name}'", "row", "lane")
            require_equal(device.read_memory(space, 0, rows), kept, place)
            patterns += 1
        if space is Space.WEIGHTS:
            # The last row first: a write that changes a row behind its own would go unseen in a block.
            for row in range(limits.rows - 1, -1, -1):
                device.write_memory(space, row, weights[row : row + 1])
            _compare_weights(bench, weights, "row by row from the last")
    # Writing it clears them.
    device.write_registers({Reg.HIDDEN_LAYERS: 0})
    for space in (space for space in Space if space.cleared):
        cleared = device.read_memory(space, 0, space.rows(limits))
        require_equal(cleared, np.zeros_like(cleared), entry_of(f"{space.name} after a clear", "row", "lane"))
    # Nothing since then has touched them, reading them neither.
    _compare_weights(bench, weights, "read again")
    entries = limits.rows * limits.lanes
    bench.details |= {"patterns": patterns, "rows": limits.rows, "entries": entries}
    return f"{patterns} patterns; {entries:,} weights of {limits.weight_bits} bits, LFSRs; histories clear"


def _compare_weights(bench: Bench, written: NDArray[np.uint16], how: str) -> None:
    kept = bench.device.read_memory(Space.WEIGHTS, 0, len(written))
    require_equal(kept, written, entry_of(f"WEIGHTS, random rows, {how}", "row", "lane"))


def keep_weights(pattern: NDArray[np.uint16], limits: Limits) -> NDArray[np.uint16]:
    """What the weight memory of a device keeps of words: uint16 (rows, lanes); see ``Space.WEIGHTS``."""
    top = WEIGHT.width - limits.low_bits - limits.weight_bits
    stored = (pattern << top).astype(np.int16) >> (top + limits.low_bits) << limits.low_bits
    return stored.astype(np.uint16)


def _patterns(
    rows: int, lanes: int, bits: int, random: np.random.Generator
) -> Iterator[tuple[str, NDArray[np.uint16]]]:
    """Patterns by name, uint16 (rows, lanes); ``bits`` are those that a memory keeps of a word."""
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


def _fill(bench: Bench, space: Space, pattern: NDArray[np.uint16], random: np.random.Generator) -> None:
    """Write all rows in blocks of one frame each, in random order."""
    block = (bench.device.identity.max_payload - REQUESTS[Command.WRITE_MEMORY].size) // (
        ENTRY_BYTES * bench.limits.lanes
    )
    if space is Space.LFSR:
        block = 1
    for start in random.permutation(np.arange(0, len(pattern), block)).tolist():
        bench.device.write_memory(space, start, pattern[start : start + block])
