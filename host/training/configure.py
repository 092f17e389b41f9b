"""Configuration of a run on a data set: the recipe of the data set, and what the user gave."""

from dataclasses import fields
from textwrap import wrap
from typing import Any, Protocol

from opzo.host.data.augment import Augmentation
from opzo.host.data.data_set import Data
from opzo.host.data.data_sets import DATA_SETS, load_data
from opzo.host.data.events.event_samples import Events
from opzo.host.data.events.strided import Strided
from opzo.host.data.images.contrast import Contrast
from opzo.host.data.recipes import OTHER_HIDDEN, RECIPE_KEYS, RECIPES, recipe
from opzo.host.training.config import Config, Hyperparameters
from opzo.host.training.fine_tuning import earlier_run, settings_of
from opzo.spec.errors import OpzoError
from opzo.system.paths import absolute


class Load(Protocol):
    """Function like `load_data`."""

    def __call__(self, name: str, root: str, /, *, crop: int, contrast: Contrast | bool | None) -> Data:
        """Load a data set."""


def configure(values: dict[str, Any], load: Load = load_data) -> tuple[Data, Config]:
    """Data, and the configuration from their recipe overridden by ``values``, with absolute paths.

    With ``from_run``, the settings of that run come between recipe and ``values`` (`fine_tuning.settings_of`), and
    images coded by contrast have its statistics.
    """
    contrast: Contrast | bool | None = None
    if values.get("from_run"):
        earlier = earlier_run(values["from_run"])
        values, contrast = settings_of(earlier, values), earlier.contrast
    config = Config.of(values, "the settings")
    if "contrast" in values:
        contrast = (contrast or True) if config.contrast else False
    data = _arranged(load(config.data, config.data_root, crop=config.crop, contrast=contrast), config)
    paths = {"data_root": absolute(config.data_root), "from_run": absolute(config.from_run)}
    if config.data not in DATA_SETS:
        paths["data"] = absolute(config.data)
    config = Config.of(recipe(data) | values | paths, "the settings")
    # Checked here, before a run folder is created.
    Augmentation(config.rotate, config.zoom, config.shift, bool(config.flip)).check(
        data.train, f"{data.name} (training)"
    )
    return data, config


def data_of(config: Config, contrast: Contrast | None = None, *, labels: bool = True) -> Data:
    """Data of a run; images coded by contrast have the statistics ``contrast`` of their run, if these are known.

    ``labels`` as for `load_data`.
    """
    coding = (contrast or True) if config.contrast else False
    data = load_data(config.data, config.data_root, crop=config.crop, contrast=coding, labels=labels)
    return _arranged(data, config)


def _arranged(data: Data, config: Config) -> Data:
    """Data as the first convolution takes them."""
    if not config.strided:
        return data
    if not (isinstance(data.train, Events) and isinstance(data.test, Events)):
        raise OpzoError(
            f"{data.name} has images; a first convolution with a stride, or without padding (strided = "
            f"{config.strided}), is for events: train with stride 1 and padding"
        )
    strided = Strided.parse(config.strided)
    return Data(data.name, data.train.rearranged(strided), data.test.rearranged(strided))


def learning_recipe(data_set: str) -> dict[str, Any]:
    """Hyper-parameters of the recipe of a data set; empty if it has none."""
    keys = {entry.name for entry in fields(Hyperparameters)}
    return {key: value for key, value in RECIPES.get(data_set, {}).items() if key in keys}


def recipe_table() -> str:
    """Defaults that depend on the data set, as text for ``--help``: the usual ones, then what differs by data set."""
    usual = {key: getattr(Config, key) for key in RECIPE_KEYS} | {"net": f"N-{OTHER_HIDDEN}-N"}
    rows = [("all others", usual)]
    for name, values in RECIPES.items():
        hidden = "-".join(["N", *values["net"].split("-")[1:-1], "N"])
        rows.append((name, {key: value for key, value in values.items() if value != usual[key]} | {"net": hidden}))
    lines = []
    for name, values in rows:
        # 0 bytes stand for spaces that are not broken.
        options = " ".join(
            f"--{key.replace('_', '-')}\0{values[key]}".removesuffix(".0") for key in RECIPE_KEYS if key in values
        )
        lines += wrap(f"{name:16}{options}", 76, subsequent_indent=" " * 16, break_on_hyphens=False)
    return "\n".join(f"  {line}" for line in lines).replace("\0", " ")
