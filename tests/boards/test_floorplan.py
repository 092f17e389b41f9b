import json
import math
import re
from collections import Counter
from itertools import pairwise

import pytest
from amaranth.back import rtlil

from opzo.boards.board import Family, Resources
from opzo.boards.families.ecp5_dies import DIES
from opzo.boards.families.floorplan import cells_of_groups, floorplan, group_places
from opzo.boards.registry import BOARDS, ECP5_25, ECP5_85
from opzo.hw.core import Core
from opzo.spec.network import Network

GROUPS, SIZE, BANKS = 8, 8, 2


def netlist(banks=BANKS, groups=GROUPS):
    """What yosys makes of 64 lanes, as far as it matters here: name -> type."""
    cells = {
        "pll": "EHXPLLL",
        "top.link.receiver.memory.0.0": "DP16KD",
        "top.core.error.scaler.multiplier.block": "MULT18X18D",
    }
    for group in range(groups):
        at = f"top.core.lanes$304.group_{group}"
        cells |= {f"{at}.lane_{lane}.multiplier.block": "MULT18X18D" for lane in range(SIZE)}
        cells |= {f"{at}.lane_{lane}.update.decay$41.block": "MULT18X18D" for lane in range(SIZE)}
        cells |= {f"{at}.memory.bank_{bank}.0.{n}": "DP16KD" for bank in range(banks) for n in range(SIZE)}
        cells |= {f"{at}.neurons.state.{name}.0.0": "DP16KD" for name in ("credit$77", "code$75")}
        cells |= {f"{at}.lane_{lane}.update.row_TRELLIS_FF_Q": "TRELLIS_FF" for lane in range(SIZE)}
    return cells


def planned(folder, cells, resources=ECP5_85):
    """Sites that were fixed, and the netlist with them."""
    path, die = folder / "opzo.json", DIES[resources]
    modules = {
        "LUT4": {"attributes": {"blackbox": "1"}, "cells": {}},
        "opzo": {
            "attributes": {"top": "1"},
            "cells": {name: {"type": kind, "attributes": {"keep": "1"}} for name, kind in cells.items()},
        },
    }
    path.write_text(json.dumps({"modules": modules}))
    fixed = floorplan(path, die.kinds, die.width, die.group_rows)
    return fixed, json.loads(path.read_text())["modules"]["opzo"]["cells"]


def place(site):
    column, row = re.fullmatch(r"X(\d+)/Y(\d+)/\w+", site).groups()
    return int(column), int(row)


@pytest.mark.parametrize("resources", DIES, ids=lambda resources: str(resources.luts))
def test_a_die_has_as_many_sites_as_the_device_cells(resources: Resources):
    multipliers, block_rams = DIES[resources].kinds
    assert (len(multipliers.places), len(block_rams.places)) == (resources.multipliers, resources.block_rams)
    for sites in (multipliers, block_rams):
        assert all(place(name) == at for name, at in sites.places.items())
        assert all(0 < column < DIES[resources].width for column, _ in sites.places.values())


def test_every_board_of_the_family_has_a_die():
    assert {board.device for board in BOARDS if board.family is Family.ECP5} == set(DIES)


def test_a_small_device_has_its_groups_in_a_row(tmp_path):
    # It has fewer multipliers than 32 lanes.
    cells = {name: kind for name, kind in netlist(banks=1, groups=4).items() if "update" not in name}
    fixed, _ = planned(tmp_path, cells, ECP5_25)
    assert Counter(cells[name] for name in fixed) == {"DP16KD": 40}
    columns = {
        group: [place(site)[0] for name, site in fixed.items() if f"group_{group}." in name] for group in range(4)
    }
    order = sorted(columns, key=lambda group: sum(columns[group]))
    for left, right in pairwise(order):
        assert sum(columns[left]) / 10 + 8 < sum(columns[right]) / 10


def test_groups_lie_around_the_core():
    places = group_places(GROUPS, 126, (16, 40, 64))
    assert len(set(places)) == GROUPS
    assert (63, 40) not in places
    # Sums and rows go from group to group: each is beside the one before.
    for one, next_ in pairwise(places):
        assert math.dist(one, next_) <= 42
    assert len(set(group_places(3, 72, (19,)))) == 3


def test_every_cell_of_a_group_is_near_its_middle(tmp_path):
    cells = netlist()
    fixed, after = planned(tmp_path, cells)
    assert Counter(cells[name] for name in fixed) == {"MULT18X18D": 128, "DP16KD": 144}
    assert len(set(fixed.values())) == len(fixed)
    middles = group_places(GROUPS, 126, (16, 40, 64))

    def middle_of(name):
        return middles[int(re.search(r"group_(\d+)", name)[1])]

    assert all(abs(place(site)[0] - middle_of(name)[0]) <= 30 for name, site in fixed.items())
    # The block RAMs of three groups are two more than a row has.
    far = [name for name, site in fixed.items() if abs(place(site)[1] - middle_of(name)[1]) > 12]
    assert len(far) <= 4
    assert all(cells[name] == "DP16KD" for name in far)
    # Both multipliers of a lane, and its slices of the row memory, are beside each other.
    for group in range(GROUPS):
        for lane in range(SIZE):
            names = (f"lane_{lane}.multiplier.block", f"lane_{lane}.update.decay$41.block")
            slices = [f"top.core.lanes$304.group_{group}.memory.bank_{bank}.0.{lane}" for bank in range(BANKS)]
            first, second = (f"top.core.lanes$304.group_{group}.{name}" for name in names)
            assert math.dist(place(fixed[first]), place(fixed[second])) <= 10
            assert all(math.dist(place(fixed[first]), place(fixed[name])) <= 20 for name in slices if name not in far)
    # They are written down, and nothing else is changed.
    for name, cell in after.items():
        expected = {"keep": "1"} | ({"BEL": fixed[name]} if name in fixed else {})
        assert cell == {"type": cells[name], "attributes": expected}


def test_cells_that_the_device_has_no_room_for_are_left_to_the_placer(tmp_path):
    cells = netlist(banks=4)
    fixed, _ = planned(tmp_path, cells)
    assert Counter(cells[name] for name in fixed) == {"MULT18X18D": 128}


def test_the_gateware_has_such_names():
    modules = rtlil.convert(Core(Network.parse("8-4-4").limits(4, 16)), emit_src=False)
    for name in (r"lane_1\.multiplier", r"lane_1\.update\.decay\S*", "memory"):
        assert re.search(rf"^module \S+\.group_0\.{name}$", modules, re.MULTILINE), name
    assert re.search(r"^  memory .*\\bank_0$", modules, re.MULTILINE)


def test_unknown_names_are_noticed(tmp_path):
    cells = {name.replace("group_", "bundle_"): kind for name, kind in netlist().items()}
    assert cells_of_groups(cells, "DP16KD") == []
    with pytest.raises(AssertionError, match="no MULT18X18D belongs to a group"):
        planned(tmp_path, cells)
