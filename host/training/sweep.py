"""Sweeps: the training runs defined by a TOML file with lists of values, and their results."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import product
from math import prod
from pathlib import Path
from statistics import fmean, median
from typing import Any

from opzo.host.data.data_sets import load_data
from opzo.host.report.metrics_table import csv_text
from opzo.host.training.checkpoint import Checkpoint, made_by
from opzo.host.training.config import Config, checked, option_name, read_toml
from opzo.host.training.configure import configure
from opzo.host.training.old_names import OLD_NAMES, renamed
from opzo.host.training.run_folder import CHECKPOINT, RESULTS, RunFolder, folder_name
from opzo.spec.errors import OpzoError
from opzo.spec.messages import did_you_mean, printable, shown
from opzo.spec.values import is_finite
from opzo.system.atomic import check_output, write_atomically
from opzo.system.durable import sync_folder
from opzo.system.folder_lock import unique_folder
from opzo.system.text_files import encoded

SETTINGS, LISTS = "settings", "sweep"
"""Tables of the file: keys of Config with one value each, and keys with a list of values each."""
MAX_RUNS = 1000
"""Maximum number of runs of a sweep, unless the user allows more."""
OUTDATED = "outdated"
"""Subfolder for earlier runs whose data, settings or program version differ from the present ones."""
SAME_RUN = frozenset({"data_root", "checkpoint_every", "store"})
"""Keys that may differ between runs that count as the same."""
RATES = "firing_rates"
FIGURE_COLUMNS = (
    *("test_accuracy", "train_accuracy", "test_loss", RATES, "cycles_per_train_sample"),
    *("synaptic_operations_per_test_sample", "synaptic_operations_per_train_sample", "weight_updates_per_train_sample"),
    *("samples_per_second", "seconds"),
)
"""Figures of a run in the table of results, all numbers; the column ``cycles`` has the origin of the cycle counts."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep.

    Attributes
    ----------
    swept : dict
        Value of each swept key.
    config : Config
        All settings.
    folder : Path
    digests : (int, int)
        ``Data.digests`` of the training data.
    """

    swept: dict[str, Any]
    config: Config
    folder: Path
    digests: tuple[int, int]

    def figures(self) -> dict[str, Any] | None:
        """Figures of the run; None where it is not complete, or the folder holds a different run."""
        figures = RunFolder(self.folder).figures()
        if (
            figures is None
            or self.differences()
            or not all(_is_figure(name, figures.get(name)) for name in FIGURE_COLUMNS)
        ):
            return None
        return figures if len(figures[RATES]) == len(self.config.network.hidden) else None

    def differences(self) -> str:
        """How the run in the folder differs from this one, in words; empty where it does not."""
        if not any((self.folder / name).exists() for name in RESULTS):
            return ""
        try:
            stored = RunFolder(self.folder).settings()
            figures = RunFolder(self.folder).figures()
            if figures is None:
                checkpoint = Checkpoint.load(self.folder / CHECKPOINT)
                figures = {
                    "data_digest": checkpoint.data_digest,
                    "test_digest": checkpoint.test_digest,
                    "made_by": checkpoint.made_by,
                }
        except OpzoError as error:
            return str(error)
        reasons = [
            f"{key} is {value}, was {printable(stored.get(key, 'not set'))}"
            for key, value in asdict(self.config).items()
            if key not in SAME_RUN and stored.get(key) != value
        ]
        for key, digest, what in zip(("data_digest", "test_digest"), self.digests, ("training", "test"), strict=True):
            if figures.get(key) != digest:
                reasons.append(f"the {what} data of {self.config.data} have changed")
        if figures.get("made_by") != made_by():
            was = figures.get("made_by")
            reasons.append(f"it was trained by {printable(was) if was else 'an earlier opzo'}, this is {made_by()}")
        return ", ".join(reasons)

    def set_aside(self) -> Path:
        """Move the folder, which holds a different run, to OUTDATED; its new path."""
        with RunFolder(self.folder).lock():
            # A rename replaces an empty folder.
            place = unique_folder(self.folder.parent / OUTDATED / self.folder.name)
            try:
                self.folder.rename(place)
                # Its new name first: in a power failure it may have both, but not none.
                sync_folder(place.parent)
                sync_folder(self.folder.parent)
            except OSError as error:
                raise OpzoError(f"cannot move {self.folder} to {place}: {error.strerror}; give another --out") from None
        return place

    def command(self) -> list[str]:
        """Arguments of the ``opzo`` that trains or resumes the run."""
        settings = asdict(self.config)
        if (self.folder / CHECKPOINT).exists():
            place = f"--resume={self.folder}"
            settings = {key: settings[key] for key in ("device", *SAME_RUN)}
        else:
            place = f"--out={self.folder}"
        options = [f"{option_name(key)}={value}" for key, value in settings.items()]
        return ["train", place, *options, "--quiet"]


def plan(path: Path, out: Path, most: int = MAX_RUNS) -> list[PlannedRun]:
    """Runs of a sweep file: all combinations of its lists. OpzoError where the file or a setting is invalid."""
    tables = read_toml(path)
    settings, lists = tables.pop(SETTINGS, {}), tables.pop(LISTS, {})
    if tables or not isinstance(settings, dict) or not isinstance(lists, dict) or not lists:
        names = (printable(f"; '{name}'{did_you_mean(name, (SETTINGS, LISTS))} is neither") for name in tables)
        raise OpzoError(
            f"{path} must have a table [{SETTINGS}] of values and a table [{LISTS}] of lists to combine"
            + next(names, "")
        )
    source = str(path)
    settings = checked(renamed(settings, f"[{SETTINGS}] of {source}"), f"[{SETTINGS}] of {source}")
    place = f"[{LISTS}] of {source}"
    lists = {key: _values(key, values, place) for key, values in renamed(lists, place).items()}
    number = prod(map(len, lists.values()))
    if number > most:
        raise OpzoError(
            f"{path} defines {number:,} runs, more than the limit of {most:,}; shorten its lists or give "
            f"--max-runs {number}"
        )
    # Most runs share their data. Sorted by data set, so that each one is loaded once.
    load = lru_cache(maxsize=1)(load_data)
    combinations = [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]
    runs: dict[int, PlannedRun] = {}
    for index in sorted(range(number), key=lambda n: [combinations[n].get(key, "") for key in ("data", "data_root")]):
        swept = combinations[index]
        data, config = configure(checked(settings | swept, source), load)
        data.check(config.network)
        runs[index] = PlannedRun(swept, config, _folder(out, swept), data.digests)
    planned = [runs[index] for index in range(number)]
    _check_different(planned, path)
    return planned


def _values(key: str, values: Any, source: str) -> list[Any]:
    """Values of a swept key; OpzoError where they are not a list, have the wrong type, or are not all different."""
    if not isinstance(values, list) or not values:
        raise OpzoError(f"'{printable(key)}' in {source} must be a list of different values, not {shown(values)}")
    if len({checked({key: value}, source)[key] for value in values}) < len(values):
        raise OpzoError(f"'{key}' in {source} must be a list of different values, not {shown(values)}")
    return values


def _folder(out: Path, swept: dict[str, Any]) -> Path:
    """Folder of a run, named by its swept values; under old names of settings if an earlier version created it."""
    folder, earlier = (
        out / folder_name(",".join(f"{names.get(key, key)}={value}" for key, value in swept.items()))
        for names in ({}, OLD_NAMES)
    )
    return earlier if earlier.exists() and not folder.exists() else folder


def _is_figure(name: str, value: Any) -> bool:
    """Whether ``value`` is a finite number, or the list of them that the firing rates are."""
    if name == RATES:
        return isinstance(value, list) and all(_is_figure("", rate) for rate in value)
    return type(value) in (int, float) and is_finite(value)


def _check_different(runs: list[PlannedRun], path: Path) -> None:
    """Raise OpzoError where two runs share settings or folder, or where a file is in the place of a folder."""
    seen: dict[Any, PlannedRun] = {}
    for run in runs:
        for what in (run.config, run.folder):
            other = seen.setdefault(what, run)
            if other is not run:
                raise OpzoError(f"{other.swept} and {run.swept} in {path} are the same run; leave one of them out")
        check_output(run.folder, folder=True)


def table(results: Iterable[tuple[PlannedRun, dict[str, Any]]]) -> list[dict[str, Any]]:
    """A row for each run: swept keys, then figures, with firing rates by layer."""
    rows = []
    for run, figures in results:
        row = dict(run.swept)
        for name in FIGURE_COLUMNS:
            if name == RATES:
                row |= {f"firing_rate_{layer}": rate for layer, rate in enumerate(figures[name], 1)}
            else:
                row[name] = figures[name]
        row["cycles"] = str(figures.get("cycles", "unknown"))
        rows.append(row)
    return rows


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write the rows, completely or not at all."""
    write_atomically(path, encoded(csv_text(rows)))


def groups(rows: list[dict[str, Any]], keys: list[str]) -> list[dict[str, Any]]:
    """Merge rows that differ only in the seed: number, median of each figure, mean and range of the accuracy."""
    by_key: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        by_key.setdefault(tuple(row[key] for key in keys), []).append(row)
    merged = []
    for values, members in by_key.items():
        accuracies = [row["test_accuracy"] for row in members]
        figures = {key: _middle([row[key] for row in members]) for key in members[0] if key not in (*keys, "seed")}
        merged.append(
            dict(zip(keys, values, strict=True))
            | {"runs": len(members)}
            | figures
            | {"test_accuracy_mean": fmean(accuracies)}
            | {"test_accuracy_min": min(accuracies), "test_accuracy_max": max(accuracies)}
        )
    return merged


def _middle(values: list[Any]) -> Any:
    """Median of numbers; for strings, their common value or ``mixed``."""
    if isinstance(values[0], str):
        return values[0] if len(set(values)) == 1 else "mixed"
    return median(values)
