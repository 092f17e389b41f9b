"""A sweep: the training runs that a TOML file of parameter lists stands for, and their results."""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from opzo.host.atomic import write_atomically
from opzo.host.config import Config, checked, read_toml
from opzo.host.data import load_data
from opzo.host.recipes import configure
from opzo.host.run_folder import CONFIG, FIGURES
from opzo.spec.errors import OpzoError

SETTINGS, LISTS = "settings", "sweep"
"""Tables of the file: keys of Config with one value each, and with a list of values each."""
FIGURE_COLUMNS = (
    *("test_accuracy", "train_accuracy", "test_loss", "firing_rates", "cycles_per_train_sample"),
    *("synaptic_operations_per_test_sample", "synaptic_operations_per_train_sample", "weight_updates_per_train_sample"),
    *("samples_per_second", "seconds"),
)
"""Figures of a run that go into the table."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep.

    Attributes
    ----------
    swept : dict
        Its value of each swept key.
    config : Config
        All of its settings.
    folder : Path
    """

    swept: dict[str, Any]
    config: Config
    folder: Path

    def figures(self) -> dict[str, Any] | None:
        """Figures of the run; None where it is not complete. OpzoError where the folder holds another run."""
        try:
            if (self.folder / CONFIG).exists() and (self.folder / CONFIG).read_text(
                "utf-8", "surrogateescape"
            ) != self.config.toml():
                raise OpzoError(f"{self.folder} holds a run with other settings; give another --out")
            path = self.folder / FIGURES
            figures: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
        except (OSError, ValueError) as error:
            raise OpzoError(f"cannot read the run in {self.folder}: {error}; remove it to train anew") from None
        return figures


def plan(path: Path, out: Path) -> list[PlannedRun]:
    """Runs of a sweep file, all combinations of its lists; OpzoError where the file or a setting cannot be."""
    tables = read_toml(path)
    settings, lists = tables.pop(SETTINGS, {}), tables.pop(LISTS, {})
    if tables or not isinstance(settings, dict) or not isinstance(lists, dict) or not lists:
        raise OpzoError(f"{path} must have a table [{SETTINGS}] of values and a table [{LISTS}] of lists to go through")
    for key, values in lists.items():
        if not isinstance(values, list) or not values or len(set(map(str, values))) < len(values):
            raise OpzoError(f"'{key}' in [{LISTS}] of {path} must be a list of different values, not {values!r}")
    runs = []
    # The combinations share their data, as a rule: read it once.
    load = lru_cache(maxsize=1)(load_data)
    for values in product(*lists.values()):
        swept = dict(zip(lists, values, strict=True))
        _, config = configure(checked(settings | swept, str(path)), load)
        name = ",".join(f"{key}={value}" for key, value in swept.items()).replace("/", "_")
        runs.append(PlannedRun(swept, config, out / name))
    return runs


def table(results: Iterable[tuple[PlannedRun, dict[str, Any]]]) -> list[dict[str, Any]]:
    """A row a run: swept keys, then figures; firing rates by layer."""
    rows = []
    for run, figures in results:
        row = dict(run.swept)
        for name in FIGURE_COLUMNS:
            if name == "firing_rates":
                row |= {f"firing_rate_{layer}": rate for layer, rate in enumerate(figures[name], 1)}
            else:
                row[name] = figures[name]
        rows.append(row)
    return rows


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write the rows; whole or not at all."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode(errors="surrogateescape"))


def groups(rows: list[dict[str, Any]], keys: list[str]) -> list[dict[str, Any]]:
    """Rows that differ only in the seed, as one: number of runs, median of each figure, range of the accuracy."""
    by_key: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        by_key.setdefault(tuple(row[key] for key in keys), []).append(row)
    merged = []
    for values, members in by_key.items():
        accuracies = [row["test_accuracy"] for row in members]
        figures = {key: median(row[key] for row in members) for key in members[0] if key not in (*keys, "seed")}
        merged.append(
            dict(zip(keys, values, strict=True))
            | {"runs": len(members)}
            | figures
            | {"test_accuracy_min": min(accuracies), "test_accuracy_max": max(accuracies)}
        )
    return merged
