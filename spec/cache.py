"""Built files that are kept between runs, named by the hash of what they were made from."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_root() -> Path:
    """Folder of kept builds: ``$OPZO_CACHE``, else ``opzo`` under the user's cache folder."""
    if chosen := os.environ.get("OPZO_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "opzo"


def content_hash(*parts: object) -> str:
    """Hash of the texts of ``parts``, short enough for a folder's name."""
    digest = hashlib.sha256()
    for part in parts:
        text = part if isinstance(part, bytes) else str(part).encode()
        digest.update(len(text).to_bytes(8, "little") + text)
    return digest.hexdigest()[:20]


def cached(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return ``folder``; where it is missing, let ``build`` fill an empty one, which then takes its place at once.

    Processes that want the same folder wait for the first of them; a build that fails or is killed leaves nothing
    that could be mistaken for a whole one.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(folder.name + ".lock")):
        if not folder.is_dir():
            work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
            try:
                build(work)
                work.chmod(0o755)
                work.rename(folder)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
