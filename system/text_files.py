"""Text files from other systems, with byte-order marks, in UTF-16 or in older encodings; text as bytes for files."""

import codecs
from pathlib import Path

from opzo.spec.errors import OpzoError

TEXT_MAX = 1 << 26
"""Maximum size in bytes; lists of recordings and labels are much smaller."""
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def read_text(path: Path, remedy: str) -> str:
    """Text of a file; OpzoError, ending in ``remedy``, if it is missing or not text.

    A byte-order mark selects the encoding and is removed; without one it is UTF-8, or Latin 1 if that fails.
    """
    try:
        if not path.is_file():
            raise OpzoError(f"there is no file {path}; {remedy}")
        if path.stat().st_size > TEXT_MAX:
            raise OpzoError(f"{path} has {path.stat().st_size:,} bytes, which is too large for a list; {remedy}")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise OpzoError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}; {remedy}") from None
    mark = next((mark for mark in MARKS if data.startswith(mark)), b"")
    try:
        text = data.removeprefix(mark).decode(MARKS.get(mark, "utf-8"))
    except UnicodeDecodeError as error:
        if mark:
            raise OpzoError(f"{path} is damaged text at byte {error.start + len(mark)}; {remedy}") from None
        text = data.decode("latin-1")
    if "\0" in text:
        raise OpzoError(f"{path} is not a text file; {remedy}")
    return text


def encoded(text: str) -> bytes:
    """UTF-8 of ``text``, in which the bytes of a path that are not UTF-8 are kept.

    Other halves of surrogate pairs, which JSON can have, are written as escapes.
    """
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace")
