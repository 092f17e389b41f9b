"""Configuration of a run on a data set: the recipe of the data set, and what the user gave."""

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from opzo.host.data.augment import Augmentation
from opzo.host.data.data_set import Data
from opzo.host.data.data_sets import DATA_SETS, load_data
from opzo.host.data.recipes import OTHER_HIDDEN, RECIPE_KEYS, RECIPES, recipe
from opzo.host.training.config import Config, Hyperparameters
from opzo.system.paths import absolute


def configure(values: dict[str, Any], load: Callable[[str, str], Data] = load_data) -> tuple[Data, Config]:
    """Data, and the configuration from their recipe overridden by ``values``, with absolute paths."""
    config = Config.of(values, "the settings")
    data = load(config.data, config.data_root)
    paths = {"data_root": absolute(config.data_root)}
    if config.data not in DATA_SETS:
        paths["data"] = absolute(config.data)
    config = Config.of(recipe(data) | values | paths, "the settings")
    # Checked here, before a run folder is created.
    Augmentation(config.rotate, config.zoom, config.shift).check(data.train, f"{data.name} (training)")
    return data, config


def learning_recipe(data_set: str) -> dict[str, Any]:
    """Hyper-parameters of the recipe of a data set; empty if it has none."""
    keys = {entry.name for entry in fields(Hyperparameters)}
    return {key: value for key, value in RECIPES.get(data_set, {}).items() if key in keys}


def recipe_table() -> str:
    """Defaults that depend on the data set, as a table for ``--help``: a column for each data set, one for others."""
    columns = [*((name, asdict(Config()) | values) for name, values in RECIPES.items()), ("other", asdict(Config()))]
    columns[-1][1]["net"] = f"-{OTHER_HIDDEN}-"
    rows = [["", *(name for name, _ in columns)]]
    rows.append(["hidden layers", *("-".join(values["net"].split("-")[1:-1]) for _, values in columns)])
    rows += [[f"--{key}", *(f"{values[key]:g}" for _, values in columns)] for key in RECIPE_KEYS if key != "net"]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"  {line.rstrip()}" for line in lines)
