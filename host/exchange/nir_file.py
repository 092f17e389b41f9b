"""Safe reading of ``.nir`` files (HDF5): no links to other files, and no data larger than memory."""

from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable, reason
from opzo.system.bounds import check_memory
from opzo.system.probe import probe

REMEDY = "write it with nir.write"
NEURONS = frozenset({"LIF", "IF", "LI", "CubaLI", "CubaLIF"})
"""Kinds with a parameter value per neuron; some programs write a scalar for all neurons."""


def read_nir(path: Path) -> nir.NIRGraph:
    """Graph of a ``.nir`` file; OpzoError if it is not one. Whether nodes match each other is not checked."""
    if not path.exists():
        raise OpzoError(f"there is no file {path}; give a .nir file of a graph")
    if not path.is_file():
        raise OpzoError(f"{path} is not a NIR graph: it is not a file; give a .nir file of a graph")
    try:
        # The HDF5 library may loop or crash on a damaged file.
        probe(str(path), path.stat().st_size, lambda: _tree(path))
        graph = _graph(_tree(path))
    except OpzoError:
        raise
    except KeyError:
        raise OpzoError(f"{path} is not a NIR graph (it lacks the groups of one); {REMEDY}") from None
    # The libraries raise many types of exceptions, assertions included; those of HDF5 have several lines of text.
    except Exception as error:
        raise OpzoError(f"{path} is not a NIR graph ({reason(error)}); {REMEDY}") from None
    return graph


def _tree(path: Path) -> dict[str, Any]:
    with h5py.File(path, "r") as file:
        return _Tree(path).read(file["node"])


class _Tree:
    """Reads groups of a file as dictionaries, and its datasets as arrays and strings."""

    def __init__(self, path: Path) -> None:
        self._path, self._size = path, 0
        self._seen: set[tuple[int, int]] = set()

    def read(self, group: Any) -> dict[str, Any]:
        """Contents of a group; OpzoError for links, and for data larger than memory."""
        if not isinstance(group, h5py.Group):
            raise KeyError("no group")
        info = h5py.h5o.get_info(group.id)
        if (info.fileno, info.addr) in self._seen:
            raise self._refused(group.name, "is in two places, or inside itself")
        self._seen.add((info.fileno, info.addr))
        return {name: self._item(group, name) for name in group}

    def _item(self, group: Any, name: str) -> Any:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise self._refused(f"{group.name}/{name}", "is a link to another place")
        item = group[name]
        if isinstance(item, h5py.Group):
            return self.read(item)
        if item.external or item.is_virtual:
            raise self._refused(item.name, "has its data in another file")
        if item.shape is None:
            raise self._refused(item.name, "has no data")
        self._size += item.size * item.dtype.itemsize
        check_memory(str(self._path), self._size)
        value = item[()]
        return value.decode("utf8", "replace") if isinstance(value, bytes) else value

    def _refused(self, name: str, why: str) -> OpzoError:
        return OpzoError(f"{self._path}: {printable(name)} {why}; {REMEDY}, into one file")


def _graph(tree: dict[str, Any]) -> nir.NIRGraph:
    kind = _kind(tree)
    if kind != "NIRGraph":
        raise OpzoError(f"the file is a {printable(kind)} node; write a graph of linear layers and LIF nodes")
    nodes = {str(name): _node(str(name), node) for name, node in tree["nodes"].items()}
    edges = [(text_of(source), text_of(target)) for source, target in tree["edges"]]
    metadata = tree.get("metadata", {})
    if not isinstance(metadata, dict):
        raise KeyError("metadata")
    return nir.NIRGraph(nodes, edges, metadata, type_check=False)


def _node(name: str, tree: dict[str, Any]) -> nir.NIRNode:
    kind = _kind(tree)
    values = {key: value for key, value in tree.items() if key != "metadata"}
    try:
        if kind == "NIRGraph":
            return _graph(tree)
        if kind in NEURONS:
            names = [key for key in values if key != "type"]
            arrays = np.broadcast_arrays(*(np.asarray(values[key]) for key in names))
            values |= dict(zip(names, arrays, strict=True))
        return nir.dict2NIRNode(values)
    except OpzoError:
        raise
    except Exception as error:
        what = f"node '{printable(name)}' is {printable(kind)} and cannot be read ({reason(error)})"
        raise OpzoError(f"{what}; {REMEDY}") from None


def _kind(tree: Any) -> str:
    return text_of(tree["type"]) if isinstance(tree, dict) and "type" in tree else "untyped"


def text_of(value: Any) -> str:
    """String from a file, which the library returns as str or bytes."""
    return value.decode("utf8", "replace") if isinstance(value, bytes) else str(value)
