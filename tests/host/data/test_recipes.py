"""Recipes: networks that exist, and that follow the shape of the data."""

from typing import Any

import numpy as np
import pytest

from opzo.host.data.data_set import Data
from opzo.host.data.data_sets import DATA_SETS
from opzo.host.data.images.frames import Frames
from opzo.host.data.recipes import RECIPES, recipe, recipe_network
from opzo.host.training.config import Config
from opzo.host.training.configure import recipe_table


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_settings_of_data_sets(name: str) -> None:
    assert name in DATA_SETS
    config = Config.of(RECIPES[name], name)
    assert str(config.network) == RECIPES[name]["net"]


@pytest.mark.parametrize(
    ("name", "shape", "classes", "net"),
    [
        ("cifar10", (6, 32, 32), 10, "6x32x32-16c3-p2-32c3-p2-64c3-p2-10"),
        ("cifar10", (3, 32, 32), 10, "3x32x32-16c3-p2-32c3-p2-64c3-p2-10"),
        ("fashion-mnist", (1, 28, 28), 10, "1x28x28-8c3-p2-16c3-p2-10"),
        ("fashion-mnist", (1, 16, 8), 4, "1x16x8-8c3-p2-16c3-p2-10"),
        ("mnist", (1, 28, 28), 26, "784-256-256-26"),
        ("mine", (3, 8, 8), 3, "192-128-128-3"),
    ],
)
def test_network_follows_the_data(name: str, shape: tuple[int, int, int], classes: int, net: str) -> None:
    x = np.full((classes, *shape), 99, np.uint8)
    frames = Frames.of(x, np.arange(classes), shape=shape)
    data = Data(name, frames, frames)
    found: dict[str, Any] = recipe(data)
    assert found["net"] == net
    network = recipe_network(data)
    assert str(network) == net
    data.check(network)


def test_table_writes_keys_as_options() -> None:
    table = recipe_table()
    assert "--init-rate 0.1" in table
    assert "_" not in table
