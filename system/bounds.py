"""Sizes that a file declares, held against the machine's memory before anything of that size is read."""

import os

from opzo.spec.errors import OpzoError

SHARE = 0.5
"""Share of the free memory that what is read may take: decoding needs room of its own."""


def check_memory(what: str, size: int) -> None:
    """Raise OpzoError where ``size`` bytes, as ``what`` says of itself, are more than memory can take.

    Parameters
    ----------
    what : str
        Names file and part, for the message.
    size : int
        Bytes that reading it would need, as it declares them.
    """
    room = int(free_memory() * SHARE)
    if size > room:
        raise OpzoError(
            f"{what} needs {size / 1e9:,.1f} GB of memory, and {room / 1e9:,.1f} GB can be used for it; "
            "give a smaller file, or one that is not damaged"
        )


def free_memory() -> int:
    """Bytes of memory that new data can take, as the operating system estimates them."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    # Elsewhere there is no such estimate: all of the memory.
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
