"""The mutants of a folder in a random order that depends on the seed alone."""

import random
from collections.abc import Iterator
from pathlib import Path

from mutation.cxx_sites import cxx_sites
from mutation.mutant import Mutant, Site, mutant_at
from mutation.python_sites import python_sites, same_python


def sites(root: Path, folder: str) -> Iterator[tuple[str, bytes, Site]]:
    """All sites of a folder: path of the file in the repository, its content, site."""
    for path in sorted((root / folder).rglob("*")):
        if "__pycache__" in path.parts or path.suffix not in (".py", ".cpp", ".h"):
            continue
        source = path.read_bytes()
        for site in python_sites(source) if path.suffix == ".py" else cxx_sites(source):
            yield str(path.relative_to(root)), source, site


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
