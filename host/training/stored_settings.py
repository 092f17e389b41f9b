"""Settings that files contain: which of them are safe to use without asking the user."""

import os
from typing import Any

from opzo.host.data.data_sets import DATA_SETS
from opzo.host.driver.devices import is_simulated, simulated_devices
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable


def check_named(stored: dict[str, Any], values: dict[str, Any], source: str) -> dict[str, Any]:
    """Check that ``stored`` settings of a file or folder ``source`` are safe to use, and return them.

    Raises OpzoError for settings that ``values``, those of the user, must override: a serial port, which a file never
    opens; a relative path, whose meaning depends on the working folder; data that are not a regular file.
    """
    device = stored.get("device", "")
    if device and "device" not in values and not is_simulated(device):
        name = printable(device)
        raise OpzoError(
            f"{source} was trained on {name}, which is not opened unless you name it: give --device {name}, "
            f"or --device {simulated_devices()[0]} for a simulated one"
        )
    for key in ("data", "data_root"):
        path, option = stored.get(key, ""), f"--{key.replace('_', '-')}"
        if key in values or not path or (key == "data" and path in DATA_SETS):
            continue
        if not os.path.isabs(path):
            raise OpzoError(f"{source} names its data by the relative path '{printable(path)}'; give {option}")
        if key == "data" and os.path.exists(path) and not os.path.isfile(path):
            raise OpzoError(f"{source} names {printable(path)}, which is not a file, as its data; give {option}")
    return stored
