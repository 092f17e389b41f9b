"""A mutant: one file with one small change."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Site:
    """A place in a file, and all texts that may replace it.

    Attributes
    ----------
    start, end : int
        Bytes ``start:end`` of the file are replaced.
    kind : str
        Kind of the change: operator, constant, condition, removed, ...
    replacements : tuple of str
        Each makes a mutant.
    """

    start: int
    end: int
    kind: str
    replacements: tuple[str, ...]


@dataclass(frozen=True)
class Mutant:
    """One change to a file.

    Attributes
    ----------
    file : str
        Path in the repository.
    line : int
        Line of the change, from 1.
    text : str
        This line before the change, without spaces at its ends.
    before, after : str
        The bytes of the file from ``start`` on, decoded, and what replaces them.
    """

    file: str
    line: int
    text: str
    start: int
    kind: str
    before: str
    after: str

    @property
    def key(self) -> str:
        """Hash of the change; the same when other lines of the file change."""
        parts = "\0".join((self.file, self.text, self.before, self.after))
        return hashlib.sha256(parts.encode()).hexdigest()[:12]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {shown(self.before)} -> {shown(self.after)}"

    def applied(self, source: bytes) -> bytes:
        """``source`` with the change; ValueError if the text to be changed is not at its place."""
        end = self.start + len(self.before.encode())
        if source[self.start : end] != self.before.encode():
            raise ValueError(f"{self.file} has changed since the mutant was made: no {self.before!r} at {self.start}")
        return source[: self.start] + self.after.encode() + source[end:]


def mutant_at(file: str, source: bytes, site: Site, replacement: str) -> Mutant:
    """Mutant that replaces ``site`` of ``source``."""
    line = source.count(b"\n", 0, site.start) + 1
    text = source.split(b"\n")[line - 1].decode().strip()
    return Mutant(file, line, text, site.start, site.kind, source[site.start : site.end].decode(), replacement)


def shown(text: str) -> str:
    """``text`` in one line; nothing as "(removed)"."""
    return " ".join(text.split()) or "(removed)"
