"""Recipes: settings that work well for a data set (docs/learning.md explains how they were found)."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from opzo.host.data.augment import Augmentation
from opzo.host.data.data_sets import DATA_SETS, Data, load_data
from opzo.host.data.events.event_samples import Events
from opzo.host.training.config import Config, Hyperparameters
from opzo.spec.errors import NetworkError
from opzo.spec.network import MAX_HIDDEN, MAX_LOCAL_CLASSES, Network
from opzo.spec.values import whole_number
from opzo.system.paths import absolute

logger = logging.getLogger(__name__)

OTHER_HIDDEN = "128-128"
RECIPES: dict[str, dict[str, Any]] = {
    "digits": {"net": "64-64-64-10", "epochs": 30, "mse": 7},
    "saccade-digits": {"net": "2312-64-64-10", "epochs": 4, "rate": 200, "kappa": 5.0, "local": -1},
    "saccade-mnist": {"net": "2312-800-800-10", "epochs": 6, "local": -1},
    "mnist": {
        **{"net": "784-256-256-10", "epochs": 20, "local": -1, "kappa": 16.0},
        **{"rotate": 7.0, "zoom": 0.07, "shift": 0.7},
    },
}
"""Defaults by data set, which replace those of Config."""
RECIPE_KEYS = ("net", *sorted({key for values in RECIPES.values() for key in values} - {"net"}))
"""Keys whose default depends on the data set."""


def recipe(data: Data) -> dict[str, Any]:
    """Defaults for a data set, by key of Config."""
    classes = int(max(data.train.y.max(), data.test.y.max())) + 1
    defaults: dict[str, Any] = {"net": f"{data.train.inputs}-{OTHER_HIDDEN}-{classes}"}
    if isinstance(data.train, Events):
        defaults |= {"steps": data.train.steps, "input": data.train.input.name.lower()}
    found = RECIPES.get(data.name, {})
    if "net" in found:
        # Files of a data set may have other images and more classes, for example EMNIST in place of MNIST.
        _, *hidden, usual = found["net"].split("-")
        found = found | {"net": "-".join([str(data.train.inputs), *hidden, str(max(int(usual), classes))])}
    if classes > MAX_LOCAL_CLASSES and found.get("local"):
        text = "%d classes are too many for local learning (at most %d): using --local 0"
        logger.info(text, classes, MAX_LOCAL_CLASSES)
        found = found | {"local": 0}
    return defaults | found


def learning_recipe(data_set: str) -> dict[str, Any]:
    """Hyper-parameters of the recipe of a data set; empty if it has none."""
    keys = {entry.name for entry in fields(Hyperparameters)}
    return {key: value for key, value in RECIPES.get(data_set, {}).items() if key in keys}


def recipe_network(
    data: Data, sizes: Sequence[int] | str | None = None, steps: int | None = None, local: int | None = None
) -> Network:
    """Network of the recipe of a data set; sizes, time steps and local readouts can be overridden."""
    config = Config.of(recipe(data), data.name)
    network = Network(sizes or config.net, config.steps if steps is None else steps, input=config.input)
    local = config.local if local is None else whole_number("local", local, -1, MAX_HIDDEN, error=NetworkError)
    return replace(network, local=len(network.hidden) if local == -1 else local)


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
