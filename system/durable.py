"""Files and folders that outlast a power cut."""

import errno
import os
from pathlib import Path


def sync_file(path: Path) -> None:
    """Bring a file's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk, where its file system can: some know no such thing, and say so."""
    try:
        sync_file(path)
    except OSError as error:
        if error.errno == errno.EIO:
            raise
