"""bench/store_memory.py with few records."""

import json
import sys

import pytest
import store_memory


@pytest.mark.slow
def test_figures_are_one_object(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["store_memory.py", "--clocks", "62.5", "--records", "5", "--route", "--json"])
    assert store_memory.main() == 0
    figures = json.loads(capsys.readouterr().out)
    (row,) = figures["simulated"]
    assert set(row["words_per_cycle"]) == {
        f"{kind} in {how}order" for kind in ("writes", "reads") for how in ("", "random ")
    }
    assert all(0.7 < share < 1 for share in row["words_per_cycle"].values())
    assert figures["routed"]["clock_mhz"] > 66
