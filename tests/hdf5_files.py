"""HDF5 files with events for tests."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from recorded import Event

EVENTS_HDF5 = [(7, 639, 0, 1), (7, 0, 479, 0), (70_000, 5, 7, 1)]


def columns(given: list[Event]) -> dict[str, Any]:
    return dict(zip("txyp", np.array(given, np.int64).T, strict=True))


def structured(given: list[Event]) -> Any:
    table = np.zeros(len(given), [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    for name, values in columns(given).items():
        table[name] = values
    return table


def datasets(path: Path, where: str, arrays: dict[str, Any], **attributes: Any) -> Path:
    with h5py.File(path, "w") as file:
        group = file.require_group(where)
        for name, values in arrays.items():
            group[name] = values
        file.attrs.update(attributes)
    return path
