"""The mutants of a folder in a random order that depends on the seed alone."""

import random
from collections.abc import Iterator
from pathlib import Path

from mutation.cxx_sites import cxx_sites
from mutation.mutant import Mutant, Site, mutant_at
from mutation.python_sites import python_sites, same_python


def present(root: Path, mutant: Mutant) -> Mutant | None:
    """The same change where it is in the sources of ``root`` now; None if the line that it changes is gone.

    Of equal lines it is the nearest to the old place.
    """
    path = root / mutant.file
    if not path.exists():
        return None
    source = path.read_bytes()
    every = (mutant_at(mutant.file, source, site, text) for site in _sites(path, source) for text in site.replacements)
    return min(
        (now for now in every if now.key == mutant.key), key=lambda now: abs(now.start - mutant.start), default=None
    )


def sites(root: Path, folder: str) -> Iterator[tuple[str, bytes, Site]]:
    """All sites of a folder: path of the file in the repository, its content, site."""
    for path in sorted((root / folder).rglob("*")):
        if "__pycache__" in path.parts or path.suffix not in (".py", ".cpp", ".h"):
            continue
        source = path.read_bytes()
        for site in _sites(path, source):
            yield str(path.relative_to(root)), source, site


def _sites(path: Path, source: bytes) -> list[Site]:
    return python_sites(source) if path.suffix == ".py" else cxx_sites(source)


def mutants(root: Path, folder: str, seed: int) -> Iterator[Mutant]:
    """At most one mutant of each site of a folder, in random order; none has the syntax tree of its original."""
    rng = random.Random(f"{seed} {folder}")
    places = list(sites(root, folder))
    rng.shuffle(places)
    seen = set()
    for file, source, site in places:
        mutant = mutant_at(file, source, site, rng.choice(site.replacements))
        # Two changes of equal lines have one key.
        if mutant.key not in seen and (not file.endswith(".py") or not same_python(source, mutant.applied(source))):
            seen.add(mutant.key)
            yield mutant
