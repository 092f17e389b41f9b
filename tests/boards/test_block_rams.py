import json
from itertools import combinations, pairwise

import numpy as np

from opzo.boards.families import block_rams
from opzo.boards.families.block_rams import fix_block_rams
from opzo.boards.families.ecp5_dies import DIES
from opzo.boards.registry import ECP5_25

SITES = DIES[ECP5_25].kinds[1]
MEMORIES, SIZE = 6, 8


def netlist(path, memories=MEMORIES):
    """Memories in a chain: the block RAMs of each share an address and have the look-up tables of their outputs."""
    cells, bit = {}, iter(range(10_000))
    outputs = [[next(bit) for _ in range(SIZE)] for _ in range(memories)]
    clock = next(bit)
    for memory in range(memories):
        address, below = [next(bit) for _ in range(12)], outputs[memory - 1] if memory else [next(bit)]
        for n in range(SIZE):
            read = next(bit)
            cells[f"top.memory_{memory}.0.{n}"] = (
                "DP16KD",
                {"CLKA": [clock], "ADA": address, "DIA": below, "DOA": [read, "x"]},
            )
            cells[f"top.select_{memory}.{n}"] = ("LUT4", {"A": [read], "B": ["0"], "Z": [outputs[memory][n]]})
    cells["pll"] = ("EHXPLLL", {"CLKOP": [clock]})
    module = {
        "attributes": {"top": "1"},
        "cells": {name: {"type": kind, "attributes": {}, "connections": pins} for name, (kind, pins) in cells.items()},
    }
    path.write_text(json.dumps({"modules": {"opzo": module, "LUT4": {"attributes": {}, "cells": {}}}}))
    return path


def test_the_block_rams_of_a_memory_lie_together(tmp_path):
    path = netlist(tmp_path / "opzo.json")
    before = json.loads(path.read_text())["modules"]["opzo"]["cells"]
    fixed = fix_block_rams(path, SITES, 1)
    assert len(fixed) == len(set(fixed.values())) == MEMORIES * SIZE
    places = np.array([[SITES.places[fixed[f"top.memory_{m}.0.{n}"]] for n in range(SIZE)] for m in range(MEMORIES)])

    def apart(pairs):
        return np.mean([np.linalg.norm(one - other) for one, other in pairs])

    inside = apart(pair for memory in places for pair in combinations(memory, 2))
    assert inside < 0.35 * apart(combinations(places.reshape(-1, 2), 2))
    middles = places.mean(axis=1)
    assert apart(pairwise(middles)) < 0.8 * apart(combinations(middles, 2))
    after = json.loads(path.read_text())["modules"]["opzo"]["cells"]
    for name, cell in before.items():
        assert after[name] == cell | {"attributes": {"BEL": fixed[name]} if name in fixed else {}}


def test_the_same_seed_gives_the_same_sites(tmp_path, monkeypatch):
    monkeypatch.setattr(block_rams, "MOVES", 1_000)
    one, same, other = (
        fix_block_rams(netlist(tmp_path / f"{n}.json"), SITES, seed) for n, seed in enumerate((1, 1, 2))
    )
    assert one == same != other


def test_more_block_rams_than_sites_are_left_to_the_placer(tmp_path):
    path = netlist(tmp_path / "opzo.json", memories=8)
    before = path.read_text()
    assert fix_block_rams(path, SITES, 1) == {}
    assert path.read_text() == before
