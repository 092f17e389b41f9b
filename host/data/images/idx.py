"""IDX files, the format of MNIST, gzipped or not."""

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
GZIP_RATIO_MAX = 1100
"""Upper bound on the compression ratio of gzip, with some margin."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Array of an IDX file of unsigned bytes with that many dimensions; OpzoError if it is not one.

    No more data are unpacked than the shape in the file's header requires.
    """
    if path.exists() and not path.is_file():
        raise OpzoError(f"cannot read {path}: it is not a file; give the folder that contains the file")
    try:
        with path.open("rb") as file:
            packed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            if not packed:
                return _read(file, path, dimensions, path.stat().st_size)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read(unpacked, path, dimensions, GZIP_RATIO_MAX * path.stat().st_size)
    except (OSError, EOFError, zlib.error) as error:
        raise OpzoError(f"cannot read {path}: {reason(error)}; download it again") from None


def _read(file: _Readable, path: Path, dimensions: int, size_max: int) -> NDArray[np.uint8]:
    """Array of a file that has at most ``size_max`` bytes, unpacked."""
    head = file.read(4 + 4 * dimensions)
    if len(head) < 4 + 4 * dimensions or head[:2] != b"\0\0" or head[2] != UNSIGNED_BYTE or head[3] != dimensions:
        raise OpzoError(
            f"{path} is not an IDX file of unsigned bytes with {dimensions} dimensions "
            f"(it begins with {head[:4].hex(' ') or 'nothing'}); give the unchanged MNIST file"
        )
    shape = struct.unpack_from(f">{dimensions}I", head, 4)
    size = prod(shape)
    check_memory(f"{path}, which declares shape {shape},", size)
    # One extra byte shows whether the file is longer than expected.
    data = file.read(min(size, size_max) + 1)
    if len(data) != size:
        found = f"{len(data)}" if len(data) < size else f"more than {size}"
        raise OpzoError(f"{path} has {found} bytes of data for shape {shape}, expected {size}; download it again")
    try:
        return np.frombuffer(data, np.uint8).reshape(shape)
    except ValueError:
        # No data, of a shape whose other sides are too large for NumPy.
        raise OpzoError(f"{path} declares shape {shape}; download it again") from None
