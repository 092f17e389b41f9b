"""Cache of built files, named by the hash of their sources."""

import fcntl
import hashlib
import json
import logging
import os
import shutil
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from opzo.spec.errors import OpzoError
from opzo.system.durable import sync_file, sync_folder
from opzo.system.trust import REMEDY, check_entry, check_folder, check_status

logger = logging.getLogger(__name__)

MANIFEST = ".manifest.json"
"""File written last in a cached build: size and checksum of each of its files."""
DAMAGE = (ValueError, TypeError, AttributeError, RecursionError)
"""Errors of a manifest that is not what `_seal` wrote."""
BLOCK = 1 << 20
_swept: set[Path] = set()


def cache_root() -> Path:
    """Cache folder: ``$OPZO_CACHE``, else ``opzo`` in the user's cache folder."""
    chosen = os.environ.get("OPZO_CACHE")
    path = Path(chosen or os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    try:
        path = path.expanduser().absolute()
    except RuntimeError:
        raise OpzoError(f"there is no home folder for {path}; set OPZO_CACHE to a folder for the cache") from None
    return path if chosen else path / "opzo"


def check_cache() -> Path:
    """Folder of the cache, created if missing; OpzoError if it cannot be written, or if other users could change it.

    Every build in it is checked for what `cached` refuses, damage aside.
    """
    root = cache_root()
    try:
        _make(root)
        check_folder(root)
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(bytes(BLOCK))
        for manifest in root.rglob(MANIFEST):
            # Another process may replace a damaged build.
            with suppress(FileNotFoundError, *DAMAGE):
                _check_build(manifest.parent)
    except OSError as error:
        raise _unusable(root, error) from error
    return root


def content_hash(*parts: object) -> str:
    """Hash of the texts of ``parts``, short enough for a folder name."""
    digest = hashlib.sha256()
    for part in parts:
        text = part if isinstance(part, bytes) else os.fsencode(str(part))
        digest.update(len(text).to_bytes(8, "little") + text)
    return digest.hexdigest()[:20]


def cached(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return ``folder``; if it is missing or damaged, first let ``build`` fill a new folder that replaces it.

    Other processes that need the same folder wait. A build that fails or is killed leaves nothing that could be taken
    for a complete one. Raises OpzoError if the cache cannot be used, or if other users could have written to it.
    """
    try:
        _make(folder.parent)
        check_folder(folder.parent)
        _sweep(folder.parent)
        if _complete(folder):
            return folder
        with _locked(folder):
            if not _complete(folder):
                _keep(folder, build)
        return folder
    except OSError as error:
        if error.filename is not None and not _below(Path(os.fsdecode(error.filename)), folder.parent):
            # A file that the build reads, not a problem of the cache.
            raise
        raise _unusable(folder.parent, error) from error


def _unusable(folder: Path, error: OSError) -> OpzoError:
    # NumPy reports a full disk without an errno.
    reason = error.strerror or f"disk full: {error}"
    return OpzoError(
        f"cannot keep built files in {folder} ({reason}); set OPZO_CACHE to a folder with room that can be written"
    )


def _below(path: Path, folder: Path) -> bool:
    """Whether a path is in ``folder`` or is one of its parents."""
    return path.is_relative_to(folder) or folder.is_relative_to(path)


def _make(folder: Path) -> None:
    """Create a folder and its parents, accessible only to this user."""
    missing = [place for place in (folder, *folder.parents) if not os.path.lexists(place)]
    for place in reversed(missing):
        with suppress(FileExistsError):
            place.mkdir(0o700)


def _keep(folder: Path, build: Callable[[Path], None]) -> None:
    """Build in a temporary folder and rename it."""
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        build(work)
        _seal(work)
        if os.path.lexists(folder):
            # Damaged; processes that have it open can go on reading it.
            folder.rename(work.with_name(work.name + "_old"))
        work.rename(folder)
        sync_folder(folder.parent)
    finally:
        for left in (work, work.with_name(work.name + "_old")):
            shutil.rmtree(left, ignore_errors=True)


def _seal(work: Path) -> None:
    """Write the manifest of a complete build, bring all to the disk, and remove write permission for other users."""
    manifest: dict[str, tuple[int, int]] = {}
    places = [path for path in sorted(work.rglob("*")) if not path.is_symlink()]
    for path in places:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o022)
        if path.is_file():
            sync_file(path)
            manifest[str(path.relative_to(work))] = path.stat().st_size, _check_sum(path)
    (work / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    (work / MANIFEST).chmod(0o644)
    work.chmod(0o755)
    for place in (work / MANIFEST, *(path for path in places if path.is_dir()), work):
        sync_folder(place)


def _complete(folder: Path) -> bool:
    """Whether ``folder`` is a complete, undamaged build; OpzoError if other users could have changed it."""
    if not os.path.lexists(folder):
        return False
    try:
        return all(
            (folder / name).stat().st_size == size and _check_sum(folder / name) == check_sum
            for name, (size, check_sum) in _check_build(folder).items()
        )
    except (OSError, *DAMAGE):
        return False


def _check_build(folder: Path) -> dict[str, tuple[int, int]]:
    """Manifest of a build; OpzoError if other users could have changed a file of it, OSError or `DAMAGE` if broken."""
    check_entry(folder, stat.S_IFDIR)
    check_entry(folder / MANIFEST, stat.S_IFREG)
    manifest: dict[str, tuple[int, int]] = json.loads((folder / MANIFEST).read_bytes())
    for inner in {parent for name in manifest for parent in Path(name).parents}:
        check_entry(folder / inner, stat.S_IFDIR)
    for name in manifest:
        check_entry(folder / name, stat.S_IFREG)
    return manifest


def _check_sum(path: Path) -> int:
    """CRC-32 of a file's content, to detect damage; changes by other users are prevented separately."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            value = zlib.crc32(block, value)
    return value


@contextmanager
def _locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of ``folder``; without ``wait``, BlockingIOError if another process has it."""
    path = folder.with_name(folder.name + ".lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if path.is_symlink():
            raise OpzoError(f"{path} is a link, which opzo does not create; remove it, or {REMEDY}") from error
        raise
    try:
        check_status(path, os.fstat(descriptor), stat.S_IFREG)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    raise
                logger.info("waiting for another process that builds %s", folder.name)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        except BlockingIOError:
            raise
        except OSError as error:
            raise OpzoError(
                f"cannot lock files in {path.parent} ({error.strerror}); set OPZO_CACHE to another file system"
            ) from error
        yield
    finally:
        os.close(descriptor)


def _sweep(parent: Path) -> None:
    """Remove temporary folders of killed builds in ``parent``, once per process; their locks are free."""
    if parent in _swept:
        return
    _swept.add(parent)
    for path in parent.glob(".*-*"):
        name = path.name[1:].rpartition("-")[0]
        if path.is_dir() and not path.is_symlink() and (parent / f"{name}.lock").exists():
            with suppress(OSError, OpzoError), _locked(parent / name, wait=False):
                shutil.rmtree(path, ignore_errors=True)
