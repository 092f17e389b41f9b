"""IDX files, the format of MNIST: gzipped or not."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from opzo.spec.errors import OpzoError

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 0x08


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Array of an IDX file of unsigned bytes with that many dimensions; OpzoError where it is not one."""
    try:
        data = path.read_bytes()
        if data[:2] == GZIP_MAGIC:
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        # gzip.BadGzipFile is an OSError without strerror.
        reason = getattr(error, "strerror", None) or str(error)
        raise OpzoError(f"cannot read {path}: {reason}; download it again") from None
    head = 4 + 4 * dimensions
    if len(data) < head or data[:2] != b"\0\0" or data[2] != UNSIGNED_BYTE or data[3] != dimensions:
        raise OpzoError(
            f"{path} is not an IDX file of unsigned bytes with {dimensions} dimensions "
            f"(it begins with {data[:4].hex(' ') or 'nothing'}); give the unchanged MNIST file"
        )
    shape = struct.unpack_from(f">{dimensions}I", data, 4)
    size = int(np.prod(shape, dtype=np.int64))
    if len(data) != head + size:
        raise OpzoError(f"{path} holds {len(data) - head} bytes for shape {shape}; {size} expected; download it again")
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)
