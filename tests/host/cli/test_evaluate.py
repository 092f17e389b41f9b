"""opzo eval: confusion matrix and accuracy by class."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from opzo.host.cli.main import main
from opzo.host.report.confusion_table import class_accuracies, confusion_table


def test_json_has_the_confusion_matrix_that_the_predictions_give(
    run: Path, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(run), data, "--json"]) == 0
    predictions = json.loads(capsys.readouterr().out)["predictions"]
    assert main(["eval", str(run), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    expected = np.zeros((3, 3), int)
    for record in predictions:
        expected[record["label"], record["class"]] += 1
    assert figures["confusion"] == expected.tolist()
    assert figures["class_accuracy"] == (expected.diagonal() / expected.sum(axis=1)).tolist()


def test_table_in_a_pipe_has_a_row_for_each_class(run: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "opzo", "eval", str(run)], capture_output=True, text=True, check=True
    )
    lines = process.stdout.splitlines()
    assert "predicted class" in lines[-5]
    assert lines[-4].split() == ["class", "accuracy", "0", "1", "2"]
    assert [line.split()[0] for line in lines[-3:]] == ["0", "1", "2"]
    # The first line names the data, whose path may be long.
    assert max(map(len, lines[1:])) <= 80


def test_rows_are_labels_and_a_class_without_samples_has_no_accuracy() -> None:
    confusion = np.array([[3, 1, 0], [0, 0, 0], [0, 2, 1200]])
    assert class_accuracies(confusion) == [0.75, None, 1200 / 1202]
    assert list(confusion_table(confusion, ["0 (cat)", "1 (dog)", "2 (a bird of paradise)"])) == [
        "                                predicted class",
        "class                 accuracy    0    1    2",
        "0 (cat)                 75.00%    3    1    .",
        "1 (dog)                      -    .    .    .",
        "2 (a bird of para...    99.83%    .    2 1200",
    ]


def test_a_matrix_that_is_too_wide_is_replaced_by_what_is_confused_most() -> None:
    confusion = np.diag(np.full(40, 5))
    confusion[3, 7], confusion[8, 0] = 4, 2
    lines = list(confusion_table(confusion, [str(label) for label in range(40)], 80))
    assert lines[0] == "class  accuracy"
    assert max(map(len, lines)) <= 80
    assert lines[41:] == ["class 3 taken for 7: 4 of 9", "class 8 taken for 0: 2 of 7"]
