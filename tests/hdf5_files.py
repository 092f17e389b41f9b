"""HDF5 files with events for tests."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from recorded import Event

EVENTS_HDF5 = [(7, 639, 0, 1), (7, 0, 479, 0), (70_000, 5, 7, 1)]


def columns(given: list[Event]) -> dict[str, Any]:
    return dict(zip("txyp", np.array(given, np.int64).T, strict=True))


def datasets(path: Path, where: str, arrays: dict[str, Any], **attributes: Any) -> Path:
    with h5py.File(path, "w") as file:
        group = file.require_group(where)
        for name, values in arrays.items():
            group[name] = values
        file.attrs.update(attributes)
    return path
