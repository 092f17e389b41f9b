"""Recipes: settings that work well for a data set (docs/learning.md explains how they were found)."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opzo.host.data.events.event_samples import Events
from opzo.spec.errors import NetworkError
from opzo.spec.limits import MAX_HIDDEN
from opzo.spec.network import MAX_LOCAL_CLASSES, Network
from opzo.spec.rules import Input
from opzo.spec.values import whole_number

if TYPE_CHECKING:
    from opzo.host.data.data_set import Data

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
    "fashion-mnist": {"net": "1x28x28-8c3-p2-16c3-p2-10", "epochs": 15, "local": -1, "flip": 1},
    "cifar10": {
        **{"net": "6x32x32-16c3-p2-32c3-p2-64c3-p2-10", "epochs": 20, "local": -1},
        **{"contrast": 1, "flip": 1, "shift": 4.0},
        **{"conv_rate": 700, "kappa": 5.0, "alpha": 0.2, "alpha_end": 0.1, "init_rate": 0.1},
    },
}
"""Defaults by data set, which replace those of Config."""
RECIPE_KEYS = ("net", *sorted({key for values in RECIPES.values() for key in values} - {"net"}))
"""Keys whose default depends on the data set."""


def recipe(data: "Data") -> dict[str, Any]:
    """Defaults for a data set, by key of Config."""
    classes = int(max(data.train.y.max(), data.test.y.max())) + 1
    defaults: dict[str, Any] = {"net": f"{data.train.inputs}-{OTHER_HIDDEN}-{classes}"}
    if isinstance(data.train, Events):
        defaults |= {"steps": data.train.steps, "input": data.train.input.name.lower()}
    found = RECIPES.get(data.name, {})
    if "net" in found:
        # Files of a data set may have other images and more classes, for example EMNIST in place of MNIST.
        first, *hidden, usual = found["net"].split("-")
        shape = data.train.shape if "x" in first else None
        inputs = "x".join(map(str, shape)) if shape else str(data.train.inputs)
        found = found | {"net": "-".join([inputs, *hidden, str(max(int(usual), classes))])}
    if classes > MAX_LOCAL_CLASSES and found.get("local"):
        text = "%d classes are too many for local learning (at most %d): using --local 0"
        logger.info(text, classes, MAX_LOCAL_CLASSES)
        found = found | {"local": 0}
    return defaults | found


def recipe_network(
    data: "Data",
    sizes: Sequence[int] | str | None = None,
    steps: int | None = None,
    local: int | None = None,
    intermediate: int = 0,
) -> Network:
    """Network of the recipe of a data set; sizes, time steps and local readouts can be overridden."""
    values = recipe(data)
    network = Network(sizes or values["net"], input=values.get("input", Input.FRAME))
    steps = values.get("steps", network.steps) if steps is None else steps
    local = values.get("local", network.local) if local is None else local
    local = whole_number("local", local, -1, MAX_HIDDEN, error=NetworkError)
    local = len(network.hidden) if local == -1 else local
    return replace(network, steps=steps, local=local, intermediate=intermediate)
