"""References in docstrings: homes of public names lead to their public names, private names are shown as code.

A docstring may name anything of opzo; only the public names have entries. A name that does not exist is a warning.
"""

import re
from functools import cache
from inspect import ismodule
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import opzo

DEFINED = re.compile(r"^ *(?:class|def) (\w+)", re.MULTILINE)


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element) -> nodes.Element | None:
    """Reference for a name that the Python domain does not know; None leaves it a warning."""
    if node.get("refdomain") != "py":
        return None
    target: str = node["reftarget"]
    public = _homes().get(target)
    if public is not None:
        found: nodes.Element | None = env.get_domain("py").resolve_xref(
            env, node["refdoc"], app.builder, node["reftype"], public, node, content
        )
        return found
    return content if target.split(".")[-1] in _defined() else None


def skip(app: Sphinx, kind: str, name: str, member: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out what other libraries put into a class; None leaves the decision to autodoc."""
    return True if str(getattr(member, "__module__", "")).startswith("sklearn.") else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Listen to references that nothing else resolves, and to members."""
    app.connect("missing-reference", resolve)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


@cache
def _homes() -> dict[str, str]:
    """Public name of each name that a type annotation or a docstring gives, with its module or without."""
    values = {name: value for name in opzo.__all__ if not ismodule(value := getattr(opzo, name))}
    values |= {f"plot.{name}": getattr(opzo.plot, name) for name in opzo.plot.__all__}
    full = {f"{value.__module__}.{value.__qualname__}": f"opzo.{name}" for name, value in values.items()}
    return full | {name: f"opzo.{name}" for name in values}


@cache
def _defined() -> set[str]:
    """Names of all modules, classes, functions and methods of opzo."""
    # In a checkout the folders of the package are links, into which rglob does not go.
    folders = [folder.resolve() for folder in Path(opzo.__file__).parent.iterdir() if folder.is_dir()]
    files = [file for folder in folders for file in folder.rglob("*.py")]
    return {file.stem for file in files} | {name for file in files for name in DEFINED.findall(file.read_text())}
