"""Figures and metrics of a run that was stopped, edited or damaged: used only where they are what a run writes."""

import json
from pathlib import Path
from typing import Any

import pytest

from opzo.host.driver.statistics import Tally
from opzo.host.training.checkpoint import made_by
from opzo.host.training.config import Config
from opzo.host.training.run_folder import CONFIG, FIGURES, METRICS_TABLE, RunFolder
from opzo.host.training.sweep import FIGURE_COLUMNS, PlannedRun, groups, table, write_csv
from opzo.spec.errors import OpzoError
from opzo.spec.protocol import Identity

CONFIGURATION = Config(net="6-4-4-3", lanes=4)
GOOD = {
    **dict.fromkeys(FIGURE_COLUMNS, 0.5),
    "firing_rates": [0.1, 0.2],
    "data_digest": 3,
    "test_digest": 4,
    "made_by": made_by(),
}


@pytest.fixture
def planned(tmp_path: Path) -> PlannedRun:
    """A run whose folder has its settings, but no figures."""
    (tmp_path / CONFIG).write_text(CONFIGURATION.toml())
    return PlannedRun({"rate": 140, "seed": 0}, CONFIGURATION, tmp_path, (3, 4))


def test_figures_of_a_run_are_merged(planned: PlannedRun) -> None:
    (planned.folder / FIGURES).write_text(json.dumps(GOOD))
    assert planned.figures() == GOOD
    (row,) = groups(table([(planned, GOOD)]), ["rate"])
    assert row["firing_rate_2"] == 0.2


@pytest.mark.parametrize(
    "change",
    [
        {"firing_rates": 0.5},
        {"firing_rates": [0.1]},
        {"firing_rates": [0.1, 10**400]},
        {"test_loss": [0.5]},
        {"seconds": 10**400},
        {"test_accuracy": float("nan")},
    ],
)
def test_figures_that_no_run_writes_are_not_used(change: dict[str, Any], planned: PlannedRun) -> None:
    (planned.folder / FIGURES).write_text(json.dumps(GOOD | change))
    assert planned.figures() is None


def test_metrics_too_large_for_a_float_are_refused(tmp_path: Path) -> None:
    network = CONFIGURATION.network
    figures = Tally().figures(network, Identity.of(network.limits(4)))
    folder = RunFolder(tmp_path)
    folder.rows = [{"epoch": 1, "train": figures, "test": figures | {"accuracy": 10**400}}]
    with pytest.raises(OpzoError, match=r"line 1 of .* is damaged"):
        folder.check_rows(figures)


def test_texts_that_are_no_characters_can_be_written(planned: PlannedRun, tmp_path: Path) -> None:
    # A path whose bytes are not UTF-8 keeps them; half of a surrogate pair, which JSON can have, is no character.
    for text, written in (("\udcff", b"\xff"), ("\ud800", b"\\ud800")):
        write_csv(tmp_path / "a.csv", table([(planned, GOOD | {"cycles": text})]))
        assert written in (tmp_path / "a.csv").read_bytes()
        folder = RunFolder(tmp_path)
        folder.add_row({"epoch": 1, "train": {"cycles": text}})
        assert written in (tmp_path / METRICS_TABLE).read_bytes()
