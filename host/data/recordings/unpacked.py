"""Upper bounds on the unpacked size of compressed packets, found without unpacking them."""

LZ4_MAGIC, ZSTANDARD_MAGIC = b"\x04\x22\x4d\x18", b"\x28\xb5\x2f\xfd"
LZ4_RATIO = 255
"""Maximum compression ratio of LZ4."""
ZSTANDARD_BLOCK = 1 << 17
"""Largest block of Zstandard, unpacked."""
_RAW, _REPEATED, _PACKED = range(3)


def unpacked_bound(packed: bytes) -> int:
    """Maximum size in bytes of an unpacked LZ4 or Zstandard frame; the size of ``packed`` if it is neither."""
    if packed.startswith(LZ4_MAGIC):
        return LZ4_RATIO * len(packed)
    if packed.startswith(ZSTANDARD_MAGIC):
        return _zstandard_bound(packed)
    return len(packed)


def _zstandard_bound(packed: bytes) -> int:
    """Bound for Zstandard: the size declared by the frame, else the sum over its block headers."""
    flags = packed[4] if len(packed) > 4 else 0
    single = flags >> 5 & 1
    begin = 5 + (not single) + (0, 1, 2, 4)[flags & 3]
    size_bytes = (single, 2, 4, 8)[flags >> 6]
    declared = int.from_bytes(packed[begin : begin + size_bytes], "little") + (256 if size_bytes == 2 else 0)
    if size_bytes:
        return declared
    bound, position, last = 0, begin, 0
    while not last and position + 3 <= len(packed):
        head = int.from_bytes(packed[position : position + 3], "little")
        last, kind, size = head & 1, head >> 1 & 3, head >> 3
        bound += ZSTANDARD_BLOCK if kind == _PACKED else size
        position += 3 + (1 if kind == _REPEATED else size)
    return bound
