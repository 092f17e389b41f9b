"""Arrays of an .npz file, without pickled objects."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.spec.errors import OpzoError

# What numpy and zipfile raise for files that are damaged, of another kind, or hold objects.
_UNREADABLE = (OSError, ValueError, TypeError, EOFError, AttributeError, RuntimeError, zipfile.BadZipFile, zlib.error)


def load_arrays(path: Path, remedy: str) -> dict[str, NDArray[Any]]:
    """All arrays by name; OpzoError, ending in ``remedy``, where ``path`` is absent or no such file."""
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise ValueError("it holds a single array")
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except FileNotFoundError:
        raise OpzoError(f"there is no file {path}; {remedy}") from None
    except _UNREADABLE as error:
        reason = getattr(error, "strerror", None) or error
        raise OpzoError(f"cannot read {path} as an .npz file: {reason}; {remedy}") from None
