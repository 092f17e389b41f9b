"""Metrics of a run as a table, and for TensorBoard."""

import csv
import json
import sys
from pathlib import Path

import pytest
from command_line import SMALL, error_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from opzo.host.cli.main import main
from opzo.host.report.metrics_table import csv_text, flat


def rows_of(run: Path) -> list[dict[str, dict[str, float]]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_table_has_a_line_for_each_epoch_and_a_column_for_each_figure(run: Path) -> None:
    with (run / "metrics.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    rows = rows_of(run)
    assert [line["epoch"] for line in table] == ["1", "2"]
    for line, row in zip(table, rows, strict=True):
        assert float(line["test_accuracy"]) == row["test"]["accuracy"]
        assert [float(line["train_firing_rates_1"])] == row["train"]["firing_rates"]
        assert float(line["health_weights"]) == row["health"]["weights"]
        assert line["test_cycles"] == "modelled"
        assert None not in line.values()


def test_names_and_missing_columns() -> None:
    assert flat({"a": 1, "b": {"c": [5, 6], "d": "x"}}, "/") == {"a": 1, "b/c/1": 5, "b/c/2": 6, "b/d": "x"}
    assert csv_text([{"a": 1}, {"b": 2}]).splitlines() == ["a,b", "1,", ",2"]


def test_tensorboard_reads_the_metrics(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, board = tmp_path / "run", tmp_path / "board"
    assert main(["train", "--data", data, "--out", str(run), "--tensorboard", str(board), "--json", *SMALL]) == 0
    json.loads(capsys.readouterr().out)
    events = EventAccumulator(str(board)).Reload()
    rows = rows_of(run)
    for tag in ("test/accuracy", "train/loss", "health/weights", "train/cycles_per_sample"):
        part, name = tag.split("/")
        found = [(event.step, event.value) for event in events.Scalars(tag)]
        assert found == [(row["epoch"], pytest.approx(row[part][name])) for row in rows]
    assert [event.value for event in events.Scalars("test/firing_rates/1")] == [
        pytest.approx(row["test"]["firing_rates"][0]) for row in rows
    ]
    # A resumed run begins with its earlier epochs.
    (run / "figures.json").unlink()
    later = tmp_path / "later"
    assert main(["train", "--resume", str(run), "--tensorboard", str(later), "--json"]) == 0
    assert [event.step for event in EventAccumulator(str(later)).Reload().Scalars("test/loss")] == [1, 2]


def test_without_the_library_a_sentence_says_what_to_install(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    run = tmp_path / "run"
    arguments = ["train", "--data", data, "--out", str(run), "--tensorboard", str(tmp_path / "board"), *SMALL]
    assert "pip install 'opzo[tensorboard]'" in error_of(arguments, capsys)
    assert not run.exists()
