"""Check of sizes declared in files against the available memory, before data of that size are read."""

import os

from opzo.spec.errors import OpzoError

SHARE = 0.5
"""Fraction of the free memory that data may use; decoding needs additional memory."""


def check_memory(what: str, size: int) -> None:
    """Raise OpzoError if the ``size`` that ``what`` declares exceeds the available memory.

    Parameters
    ----------
    what : str
        File and part, for the message.
    size : int
        Declared size in bytes.
    """
    most = room()
    if size > most:
        raise OpzoError(
            f"{what} needs {size / 1e9:,.1f} GB of memory, but only {most / 1e9:,.1f} GB are available; "
            "give a smaller file, or copy the file again if it is damaged"
        )


def room() -> int:
    """Bytes that data may use, for readers that learn the size of their data only by reading them."""
    return int(free_memory() * SHARE)


def free_memory() -> int:
    """Memory available for new data in bytes, as estimated by the operating system."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    # Other systems have no such estimate: use the total memory.
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
