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
"""In lower case; names that begin with a dot are left by systems and programs too (.DS_Store, ._NAME, .nfs...)."""


def is_litter(path: Path) -> bool:
    """Whether nobody put this file or folder there on purpose."""
    return path.name.startswith(".") or path.name.lower() in NAMES
