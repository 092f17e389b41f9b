"""Floorplan of a full device: positions of the multipliers and block RAMs of each group of lanes."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

_CELL = re.compile(r"\.group_(?P<group>\d+)\.(?:lane_(?P<lane>\d+)\.|memory\.bank_\d+\.\d+\.(?P<slice>\d+)$|)")

Point = tuple[float, float]
"""Position as (column, row)."""


@dataclass(frozen=True)
class Sites:
    """Sites of a device for cells of one type: nextpnr's name -> position."""

    cell_type: str
    places: dict[str, Point]


@dataclass(frozen=True)
class GroupCell:
    """A cell of a group; ``part`` is its position along the group's lanes, from 0 to 1."""

    name: str
    group: int
    part: float


def cells_of_groups(cells: dict[str, str], cell_type: str) -> list[GroupCell]:
    """Cells among ``cells`` (name -> type) that belong to a group and have type ``cell_type``.

    Cells of a lane have the position of the lane, slices of a bank of the row memory are adjacent, others are in the
    middle.
    """
    found = []
    for name, type_ in cells.items():
        match = _CELL.search(name)
        if match and type_ == cell_type:
            found.append((name, int(match["group"]), match["lane"], match["slice"]))
    lanes, slices = (1 + max((int(row[n]) for row in found if row[n]), default=0) for n in (2, 3))
    return [
        GroupCell(name, group, (int(lane) + 0.5) / lanes if lane else (int(slice_) + 0.5) / slices if slice_ else 0.5)
        for name, group, lane, slice_ in found
    ]


def group_places(groups: int, width: int, rows: Sequence[int]) -> list[Point]:
    """Centres of the groups, in a grid of ``rows`` on a device of ``width`` columns.

    Consecutive groups are neighbours on a path around the centre of the grid, which is left to the core.
    """
    columns = _columns(groups, rows)
    grid = [((column + 0.5) * width / columns, row) for column in range(columns) for row in rows]
    middle = min(grid, key=lambda place: math.dist(place, (width / 2, sum(rows) / len(rows))))
    others = sorted((place for place in grid if place != middle), key=lambda place: math.dist(place, middle))[:groups]
    return sorted(others, key=lambda place: math.atan2(place[1] - middle[1], place[0] - middle[0]))


def _columns(groups: int, rows: Sequence[int]) -> int:
    """Number of columns of the grid of groups and core."""
    return -(-(groups + 1) // len(rows))


def assign(cells: Sequence[GroupCell], sites: Sites, width: int, rows: Sequence[int]) -> dict[str, str]:
    """Site of each of ``cells``, with the smallest sum of squared distances to their target positions."""
    groups = 1 + max(cell.group for cell in cells)
    middles, group_width = group_places(groups, width, rows), width / _columns(groups, rows)
    wanted = np.array(
        [(middles[cell.group][0] + (cell.part - 0.5) * group_width, middles[cell.group][1]) for cell in cells]
    )
    names, places = list(sites.places), np.array(list(sites.places.values()))
    distances = ((wanted[:, None, :] - places[None, :, :]) ** 2).sum(axis=2)
    return {cells[n].name: names[site] for n, site in zip(*linear_sum_assignment(distances), strict=True)}


def floorplan(netlist: Path, kinds: Sequence[Sites], width: int, rows: Sequence[int]) -> dict[str, str]:
    """Fix the cells of the groups of lanes in ``netlist`` (yosys' JSON) to sites of ``kinds``; return them by cell.

    The device has ``width`` columns; the groups are placed around ``rows``. A kind with too few sites is left to the
    placer, which reports the error.
    """
    design = json.loads(netlist.read_text())
    (module,) = (module for module in design["modules"].values() if "top" in module["attributes"])
    cells = {name: cell["type"] for name, cell in module["cells"].items()}
    fixed: dict[str, str] = {}
    for sites in kinds:
        found = cells_of_groups(cells, sites.cell_type)
        if not found:
            raise AssertionError(f"no {sites.cell_type} belongs to a group: have the groups been renamed?")
        if len(found) <= len(sites.places):
            fixed |= assign(found, sites, width, rows)
    for name, site in fixed.items():
        module["cells"][name]["attributes"]["BEL"] = site
    netlist.write_text(json.dumps(design))
    return fixed
