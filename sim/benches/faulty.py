"""Golden models with a fault: a second copy of the modules of `opzo.sim.golden` with some changed lines."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

PACKAGE = "opzo.sim.golden"
MODULES = (
    *("saturate", "lfsr", "counters", "credit", "error", "feedback", "fire", "integrate", "local_readout"),
    *("feedback_scale", "traces", "update", "hidden", "readouts", "windows", "gradient"),
    *("learn", "run", "core", "refusal", "intake", "store", "link"),
)
"""Modules in import order: each imports only earlier ones."""


@dataclass(frozen=True)
class Edit:
    """A change to the source of a module: all occurrences of ``good``, at least one, are replaced by ``bad``."""

    module: str
    good: str
    bad: str


def golden_copy(edits: Iterable[Edit] = ()) -> SimpleNamespace:
    """Copies of the modules of the golden model, by name, with ``edits``; the originals are not changed.

    Raises ValueError if an edit does not apply to the source.
    """
    sources = {name: _path(name).read_text("utf-8") for name in MODULES}
    for edit in edits:
        if edit.good not in sources[edit.module]:
            raise ValueError(f"'{edit.good}' is not in {edit.module}.py")
        sources[edit.module] = sources[edit.module].replace(edit.good, edit.bad)
    return copy_of_sources(sources)


def copy_of_sources(sources: dict[str, str]) -> SimpleNamespace:
    """Modules executed from ``sources``, which are in import order."""
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
