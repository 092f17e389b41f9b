"""A folder that a command writes several files to."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from opzo.host.cli.output import print_json
from opzo.spec.errors import OpzoError
from opzo.system.atomic import check_output, write_atomically


def ready_folder(folder: Path, names: Iterable[str]) -> None:
    """Make ``folder`` if it does not exist; OpzoError where it or a file of ``names`` in it cannot be written."""
    check_output(folder, folder=True)
    for name in names:
        if (folder / name).is_dir():
            raise OpzoError(f"cannot write {folder / name}: it is a folder; give another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OpzoError(f"cannot make the folder {folder}: {error.strerror}; give another --out") from None


def print_files(folder: Path, texts: Mapping[str, str], facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Write ``texts`` by file name, and print the paths, or one JSON object of ``files`` and ``facts``."""
    paths = [folder / name for name in texts]
    for path in paths:
        write_atomically(path, texts[path.name].encode())
        if not as_json:
            print(path)
    if as_json:
        print_json({"files": list(map(str, paths)), **facts})
