"""Golden models with a fault: a second copy of the modules of `opzo.sim.golden`, some lines of which are changed."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

PACKAGE = "opzo.sim.golden"
MODULES = (
    *("saturate", "lfsr", "counters", "credit", "error", "feedback", "fire", "integrate", "local_readout", "scale"),
    *("traces", "update", "run", "core", "link"),
)
"""Each imports only what stands before it."""


@dataclass(frozen=True)
class Edit:
    """A change of the source of a module: ``good``, which must occur there, becomes ``bad`` at all places."""

    module: str
    good: str
    bad: str


def golden_copy(edits: Iterable[Edit] = ()) -> SimpleNamespace:
    """Modules of the golden model by name, as copies with ``edits``; the originals stay as they are.

    Raises ValueError where an edit does not fit the source.
    """
    sources = {name: _path(name).read_text("utf-8") for name in MODULES}
    for edit in edits:
        if edit.good not in sources[edit.module]:
            raise ValueError(f"'{edit.good}' is not in {edit.module}.py")
        sources[edit.module] = sources[edit.module].replace(edit.good, edit.bad)
    return copy_of_sources(sources)


def copy_of_sources(sources: dict[str, str]) -> SimpleNamespace:
    """Modules of these sources, in the order in which they import each other."""
    names = [f"{PACKAGE}.{name}" for name in sources]
    originals = {name: sys.modules[name] for name in names if name in sys.modules}
    copies = {}
    try:
        for (name, source), full in zip(sources.items(), names, strict=True):
            copies[name] = sys.modules[full] = ModuleType(full)
            exec(compile(source, str(_path(name)), "exec"), copies[name].__dict__)
    finally:
        for full in names:
            sys.modules.pop(full, None)
        sys.modules.update(originals)
    return SimpleNamespace(**copies)


def _path(name: str) -> Path:
    spec = find_spec(PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / f"{name}.py"
