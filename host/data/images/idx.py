"""IDX files, the format of MNIST: gzipped or not."""

import gzip
import struct
import zlib
from math import prod
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from opzo.spec.errors import OpzoError
from opzo.spec.messages import reason
from opzo.system.bounds import check_memory

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 0x08
PACKED_MOST = 1100
"""Bytes that one packed byte can stand for, and a little more."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Array of an IDX file of unsigned bytes with that many dimensions; OpzoError where it is not one.

    No more is unpacked than the file's own shape says.
    """
    if path.exists() and not path.is_file():
        raise OpzoError(f"cannot read {path}: it is not a file; give the folder that holds the file")
    try:
        with path.open("rb") as file:
            packed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            if not packed:
                return _read(file, path, dimensions, path.stat().st_size)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read(unpacked, path, dimensions, PACKED_MOST * path.stat().st_size)
    except (OSError, EOFError, zlib.error) as error:
        raise OpzoError(f"cannot read {path}: {reason(error)}; download it again") from None


def _read(file: _Readable, path: Path, dimensions: int, most: int) -> NDArray[np.uint8]:
    """The array in a file of ``most`` bytes at most."""
    head = file.read(4 + 4 * dimensions)
    if len(head) < 4 + 4 * dimensions or head[:2] != b"\0\0" or head[2] != UNSIGNED_BYTE or head[3] != dimensions:
        raise OpzoError(
            f"{path} is not an IDX file of unsigned bytes with {dimensions} dimensions "
            f"(it begins with {head[:4].hex(' ') or 'nothing'}); give the unchanged MNIST file"
        )
    shape = struct.unpack_from(f">{dimensions}I", head, 4)
    size = prod(shape)
    check_memory(f"{path}, which declares shape {shape},", size)
    # One byte more tells whether the file goes on.
    data = file.read(min(size, most) + 1)
    if len(data) != size:
        found = f"{len(data)}" if len(data) < size else "more"
        raise OpzoError(f"{path} holds {found} bytes for shape {shape}; {size} expected; download it again")
    return np.frombuffer(data, np.uint8).reshape(shape)
