"""Syncing of files and folders, so that they survive a power failure."""

import errno
import os
from pathlib import Path


def sync_file(path: Path) -> None:
    """Write a file's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Write a folder's entries to the disk, if its file system supports that."""
    try:
        sync_file(path)
    except OSError as error:
        if error.errno == errno.EIO:
            raise
