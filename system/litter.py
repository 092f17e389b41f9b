"""Files that operating systems leave next to data."""

from pathlib import Path

NAMES = frozenset(
    {
        "__macosx",
        "$recycle.bin",
        "@eadir",
        "desktop.ini",
        "ehthumbs.db",
        "icon\r",
        "lost+found",
        "system volume information",
        "thumbs.db",
    }
)
"""Names in lower case; names that start with a dot count as well (.DS_Store, ._NAME, .nfs...)."""


def is_litter(path: Path) -> bool:
    """Whether an operating system or a program left this file or folder."""
    return path.name.startswith(".") or path.name.lower() in NAMES
