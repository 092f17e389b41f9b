"""Reading of torch.save files without running code from them, with messages that say what to do."""

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable
from opzo.system.bounds import check_memory

SAVE = "write torch.save(model.state_dict(), path)"
LFS = b"version https://git-lfs"


def read_torch(path: Path, what: str, remedy: str, device: str = "cpu") -> Any:
    """Content of a file of torch.save: tensors and plain values.

    The OpzoError if that fails says ``path``, ``what`` (such as "is not a state dict"), the reason and ``remedy``.
    """
    if path.exists() and not path.is_file():
        raise OpzoError(f"{path} {what} (it is not a file); {remedy}")
    try:
        with path.open("rb") as file:
            begin = file.read(len(LFS))
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
                scripted = any(Path(entry.filename).name == "constants.pkl" for entry in archive.infolist())
        else:
            size, scripted = path.stat().st_size, False
        check_memory(str(path), size)
        if not scripted and begin and begin != LFS:
            with warnings.catch_warnings():
                # Advice to programmers, such as on classes of torch that will go.
                warnings.simplefilter("ignore")
                return torch.load(path, map_location=device, weights_only=True)
        reason = (
            "it is a TorchScript archive"
            if scripted
            else "it is empty"
            if not begin
            else "it is a pointer of Git LFS, not the file itself: git lfs pull"
        )
    except FileNotFoundError:
        raise OpzoError(f"there is no file {path}; {remedy}") from None
    except OpzoError:
        raise
    # torch raises nearly anything for a damaged file; its texts are for programmers, and some are coloured.
    except Exception as error:
        if isinstance(error, pickle.UnpicklingError) and "Unsupported" in str(error):
            reason = "it holds objects such as a complete module, which could run code when they are loaded"
        elif isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        else:
            reason = "it is damaged, or was not written by torch.save"
    raise OpzoError(f"{path} {what} ({reason}); {remedy}")


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """State dict of a ``.pt`` file; OpzoError if it is not one."""
    content = read_torch(path, "is not a state dict", SAVE)
    what = f"{path} is not a state dict of tensors"
    if not isinstance(content, dict):
        raise OpzoError(f"{what} but of type {type(content).__name__}; {SAVE}")
    for key, value in content.items():
        name = printable(key)
        if not isinstance(key, str):
            raise OpzoError(f"{what}: its key {name} is not a tensor name such as 0.weight; {SAVE}")
        if isinstance(value, dict):
            raise OpzoError(f"{what}: its entry '{name}' is a dictionary; write torch.save(content['{name}'], path)")
        if not isinstance(value, Tensor):
            raise OpzoError(f"{what}: its entry '{name}' is of type {type(value).__name__}; {SAVE}")
    return content
