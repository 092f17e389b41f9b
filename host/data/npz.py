"""Safe reading of .npz files: no pickled objects, and no arrays larger than memory."""

import sys
import zipfile
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable, reason
from opzo.system.bounds import check_memory
from opzo.system.litter import is_litter

SUFFIX = ".npy"


def load_arrays(path: Path, remedy: str) -> dict[str, NDArray[Any]]:
    """All arrays by name; OpzoError, ending in ``remedy``, if ``path`` is missing or not an .npz file.

    Before anything is unpacked, the declared size of each array is checked against its size in the archive, and the
    sum against memory. Files that an operating system has added to the archive are ignored.
    """
    try:
        if not path.exists():
            raise OpzoError(f"there is no file {path}; {remedy}")
        if not path.is_file():
            raise OpzoError(f"cannot read {path} as an .npz file: it is not a file; {remedy}")
        with path.open("rb") as file:
            if file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
                raise OpzoError(f"cannot read {path} as an .npz file: it is a single .npy array; {remedy}")
        with zipfile.ZipFile(path) as archive:
            members = _members(archive)
            check_memory(str(path), sum(_size(archive, member) for member in members.values()))
            return {name: _read(archive, member) for name, member in members.items()}
    except OpzoError:
        raise
    # A damaged file can raise nearly anything, in zipfile and in numpy.
    except Exception as error:
        raise OpzoError(f"cannot read {path} as an .npz file: {reason(error)}; {remedy}") from None


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Archive entries of the arrays, by name; ValueError if two have the same name."""
    members: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        place = Path(entry.filename)
        if place.suffix != SUFFIX or any(map(is_litter, (place, *place.parents[:-1]))):
            continue
        name = printable(entry.filename.removesuffix(SUFFIX))
        if name in members:
            raise ValueError(f"it has two arrays named {name}")
        members[name] = entry
    return members


def _size(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> int:
    """Size of an array in bytes as its header declares it; ValueError if that is not its size in the archive."""
    with archive.open(entry) as file:
        shape, dtype = _header(file)
        size: int = prod(shape) * dtype.itemsize
        packed = entry.file_size - file.tell()
    if dtype.hasobject:
        raise ValueError(f"{entry.filename} contains Python objects, not numbers")
    if min(shape, default=0) < 0 or size != packed:
        raise ValueError(f"{entry.filename} declares {dtype} of shape {shape}, but {packed} bytes are packed")
    return size


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = npy.read_array_header_2_0(file)
    else:
        raise ValueError(f"its arrays have format version {version[0]}.{version[1]}; 1.0 and 2.0 can be read")
    return shape, dtype


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(entry) as file:
        array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
    if array.dtype.kind == "U" and array.nbytes:
        codes = np.ascontiguousarray(array).reshape(-1).view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if codes.max() > sys.maxunicode:
            raise ValueError(f"{entry.filename} has strings with invalid characters")
    return array
