"""Sites of the block RAMs of a device that they fill: those of a memory together, near the logic that uses them."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, diags_array
from scipy.sparse.linalg import splu

from opzo.boards.families.floorplan import Sites

MOVES = 400_000
"""Moves of the annealing: 4 seconds."""
HOTTEST, COLDEST = 0.5, 5e-5
"""First and last temperature, in lengths of a block RAM at the start."""
WIDEST_NET = 300
"""Pins of a net above which it tells nothing about distances, as that of clock or reset."""
_UNPLACED = ("$scopeinfo", "DCCA", "EHXPLLL")

Floats = NDArray[np.float64]


def fix_block_rams(netlist: Path, sites: Sites, seed: int) -> dict[str, str]:
    """Fix the block RAMs in ``netlist`` (yosys' JSON) to ``sites``; return the site of each by its cell.

    If there are more of them than sites, all are left to the placer, which reports the error.
    """
    design = json.loads(netlist.read_text())
    (module,) = (module for module in design["modules"].values() if "top" in module["attributes"])
    cells = {name: cell for name, cell in module["cells"].items() if cell["type"] not in _UNPLACED}
    found = [name for name, cell in cells.items() if cell["type"] == sites.cell_type]
    if not found or len(found) > len(sites.places):
        return {}
    chosen = anneal(pulls(cells, sites.cell_type), np.array(list(sites.places.values()), float), seed)
    names = list(sites.places)
    fixed = {name: names[site] for name, site in zip(found, chosen, strict=True)}
    for name, site in fixed.items():
        module["cells"][name]["attributes"]["BEL"] = site
    netlist.write_text(json.dumps(design))
    return fixed


def pulls(cells: Mapping[str, Any], cell_type: str) -> Floats:
    """Symmetric matrix A for the cells of ``cell_type`` at ``x``: ``x @ A @ x`` is the sum of all squared lengths.

    Each cell is connected to the middle of its nets; other cells are where that sum is least (Schur complement).
    """
    nets = defaultdict(set)
    for number, cell in enumerate(cells.values()):
        for bit in (bit for bits in cell["connections"].values() for bit in bits if isinstance(bit, int)):
            nets[bit].add(number)
    wired = [sorted(pins) for pins in nets.values() if 1 < len(pins) <= WIDEST_NET]
    ends = np.array([cell for pins in wired for cell in pins], int)
    middles = np.repeat(np.arange(len(wired)), [len(pins) for pins in wired]) + len(cells)
    size = len(cells) + len(wired)
    links = coo_array((np.ones(len(ends)), (ends, middles)), shape=(size, size))
    links = csc_array(links + links.T)
    # A little more than the sum of its links holds a cell without any.
    laplacian = csc_array(diags_array(links.sum(axis=0) + 1e-6) - links)
    kept = np.array([cell["type"] == cell_type for cell in cells.values()] + [False] * len(wired))
    across = laplacian[~kept][:, kept].toarray()
    solver = splu(
        laplacian[~kept][:, ~kept],
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    result: Floats = laplacian[kept][:, kept].toarray() - across.T @ solver.solve(across)
    return (result + result.T) / 2


def anneal(pull: Floats, sites: Floats, seed: int) -> list[int]:
    """Site of each cell: ``sites`` (column, row), shape (n, 2), with a small ``x @ pull @ x`` in both directions.

    Simulated annealing; a move exchanges the site of a cell with that of another one or with a free site.
    """
    random, count = np.random.default_rng(seed), len(pull)
    # Sites of the cells, then free ones.
    chosen = random.permutation(len(sites))
    force = pull @ sites[chosen[:count]]
    scale = float((sites[chosen[:count]] * force).sum()) / count
    moves = zip(
        random.integers(0, count, MOVES).tolist(),
        random.integers(0, len(sites), MOVES).tolist(),
        (scale * np.geomspace(HOTTEST, COLDEST, MOVES) * random.exponential(size=MOVES)).tolist(),
        strict=True,
    )
    for one, other, allowed in moves:
        if one == other:
            continue
        way = sites[chosen[other]] - sites[chosen[one]]
        column = pull[:, one] - pull[:, other] if other < count else pull[:, one]
        moved = column[one] - column[other] if other < count else column[one]
        gain = force[one] - force[other] if other < count else force[one]
        # The exponential is that of the Metropolis rule: a move that costs c is made with probability exp(-c / T).
        if 2 * way @ gain + way @ way * moved < allowed:
            force += np.outer(column, way)
            chosen[one], chosen[other] = chosen[other], chosen[one]
    return [int(site) for site in chosen[:count]]
