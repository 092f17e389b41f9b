"""Configuration of a training run: defaults, then a TOML file, then flags."""

import codecs
import json
import math
import os
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import Field, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from opzo.host.data.data_sets import DATA_SETS
from opzo.host.driver.devices import device_choices
from opzo.host.training.old_names import accepts_old_names
from opzo.spec.errors import OpzoError
from opzo.spec.formats import MAX_STEPS
from opzo.spec.messages import did_you_mean, printable, shown
from opzo.spec.network import MAX_HIDDEN, Network
from opzo.spec.rules import Input, Rule
from opzo.spec.values import real_number, whole_number

OTHER_NAMES = {
    **dict.fromkeys(("lr", "learning_rate", "step_size", "stepsize", "eta"), "rate"),
    **dict.fromkeys(("num_epochs", "n_epochs", "max_epochs", "nb_epochs", "iterations"), "epochs"),
    **dict.fromkeys(("random_state", "random_seed"), "seed"),
    **dict.fromkeys(("noise", "sigma", "noise_std"), "alpha"),
    **dict.fromkeys(("weight_decay", "wd", "l2"), "decay"),
    **dict.fromkeys(("method", "algorithm", "learning_rule", "optimizer"), "rule"),
    **dict.fromkeys(("rotation", "degrees"), "rotate"),
    **dict.fromkeys(("timesteps", "time_steps", "num_steps", "t"), "steps"),
    **dict.fromkeys(("dataset", "data_set"), "data"),
    **dict.fromkeys(("network", "layers", "hidden", "sizes"), "net"),
}
"""What other programs call a setting, and its key here."""
SETTINGS = "the settings"
"""Source of values that came from the command line."""
BATCH_SIZE = ("batch_size", "batch", "batchsize", "bs", "minibatch")

TOML_MAX = 1_000_000
"""Bytes of a configuration file; more is a file of another kind."""


def option(default: Any, text: str, low: float = 0, high: float | None = None) -> Any:
    """Dataclass field with the text that ``--help`` and a reader see, and the range of a number."""
    return field(default=default, metadata={"help": text, "low": low, "high": high})


def meant(key: str, known: Iterable[str]) -> str:
    """Hint at the key in ``known`` that an unknown one stands for; "" where there is none."""
    name = key.lower().replace("-", "_")
    if name in BATCH_SIZE:
        return " (samples are learned one at a time, there are no batches)"
    return did_you_mean(OTHER_NAMES.get(name, name), known)


def check_value(entry: "Field[Any]", value: Any, what: str) -> Any:
    """``value`` in the type and range of a field that `option` made; OpzoError names ``what``."""
    low, high = entry.metadata["low"], entry.metadata["high"]
    if entry.type is int:
        hint = f"; it is an integer step size, usually {entry.default}" if entry.name == "rate" else ""
        return whole_number(what, value, low, high, hint=hint)
    if entry.type is float:
        return real_number(what, value, low, math.inf if high is None else high)
    if not isinstance(value, str):
        raise OpzoError(f"{what} must be a text, not {shown(value)}")
    return value


@accepts_old_names
@dataclass(frozen=True)
class Hyperparameters:
    """How to learn, in units of the algorithm; ``opzo.host.training.schedule_registers`` makes register values of them.

    Raises OpzoError for a value that cannot be, naming it.
    """

    rule: str = option("opzo", "learning rule: opzo, dfa, zo or readout")
    seed: int = option(0, "seed of weights, noise and order of the samples", 0, 2**63 - 1)
    epochs: int = option(30, "passes over the training data", 1, 100_000)
    rate: int = option(140, "step size at the start, 0..255; falls to 0 by cosine over the run", 0, 255)
    alpha: float = option(0.1, "noise amplitude at the start, in thresholds", 0, 0.999)
    alpha_end: float = option(0.05, "noise amplitude at the end; linear in between", 0, 0.999)
    kappa: float = option(10.0, "activity cost of a spike; more means fewer spikes, 0 is off", 0, 500)
    decay: int = option(23, "weight decay: a touched weight loses step size x 2^-decay of itself; 0 is off", 0, 40)
    feedback_leak: int = option(
        17, "decay of the feedback matrices, 2^-feedback_leak per pair of time steps; 0 is off", 0, 26
    )
    mse: int = option(0, "share of the squared error beside the cross entropy: 2^-mse; 0 is off", 0, 15)
    rotate: float = option(0.0, "augmentation: training images are turned by up to so many degrees", 0, 180)
    zoom: float = option(0.0, "augmentation: they grow or shrink by up to this share of their size", 0, 0.9)
    shift: float = option(0.0, "augmentation: they move by up to so many pixels", 0, 1000)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rule", Rule.parse(self.rule).name.lower())
        for entry in fields(self):
            object.__setattr__(self, entry.name, check_value(entry, getattr(self, entry.name), entry.name))
        if 0 < self.feedback_leak < 12:
            raise OpzoError(f"feedback_leak must be 0 (off) or in 12..26, not {self.feedback_leak}")


@dataclass(frozen=True)
class Config(Hyperparameters):
    """Hyper-parameters, and what to train on what data and device."""

    net: str = option("64-64-64-10", "neurons of each layer")
    steps: int = option(6, "time steps T a sample", 1, MAX_STEPS)
    input: str = option("frame", "what samples are: frame, or events in time: spikes or graded")
    local: int = option(
        0, "hidden layers, from the first on, with a local read-out (local learning); -1 is all", -1, MAX_HIDDEN
    )
    data: str = option("digits", f"{', '.join(DATA_SETS)}, or an .npz file of images or events")
    data_root: str = option("", "folder of the data set's files, where it has any")
    device: str = option("rtl", f"device: {device_choices()}")
    lanes: int = option(16, "lanes of a chip to simulate or to build, 4..128; a board has its own")
    weight_bits: int = option(16, "bits of a weight in a chip to simulate or to build, 16 or 12; a board has its own")
    checkpoint_every: int = option(0, "training samples between checkpoints within an epoch; 0 is only at its end")

    def __post_init__(self) -> None:
        object.__setattr__(self, "input", Input.parse(self.input).name.lower())
        super().__post_init__()
        _ = self.network

    @property
    def network(self) -> Network:
        """The network that ``net``, ``steps``, ``local`` and ``input`` describe."""
        network = Network.parse(self.net, self.steps, input=Input.parse(self.input))
        return replace(network, local=len(network.hidden) if self.local == -1 else self.local)

    @classmethod
    def of(cls, values: dict[str, Any], source: str) -> Self:
        """Configuration of keys and values; OpzoError names an unknown key or a wrong type, and ``source``."""
        return cls(**checked(values, source))

    def toml(self) -> str:
        """As a TOML file that ``read_toml`` reads."""
        # For str, int, float and bool, TOML writes what JSON writes.
        return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in asdict(self).items())


def read_toml(path: Path) -> dict[str, Any]:
    """Keys and values of a TOML file; OpzoError where it cannot be read. A UTF-8 byte-order mark is passed over."""
    try:
        with path.open("rb") as file:
            content = file.read(TOML_MAX + 1)
    except OSError as error:
        raise OpzoError(f"cannot read {path}: {error.strerror}; give a TOML file of hyper-parameters") from None
    if len(content) > TOML_MAX:
        raise OpzoError(f"{path} is larger than {TOML_MAX:,} bytes; give a TOML file of hyper-parameters")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise OpzoError(f"{path} is not a TOML file: its text is UTF-16; save it as UTF-8")
    try:
        # A path in it may have bytes that are not text.
        values = tomllib.loads(content.decode("utf-8-sig", "surrogateescape"))
        texts = list(_texts(values))
    except RecursionError:
        raise OpzoError(f"{path} is not a TOML file: it is nested too deeply") from None
    except ValueError as error:
        # Not only TOMLDecodeError: a number may have more digits than Python reads.
        raise OpzoError(f"{path} is not a TOML file: {error}") from None
    for text in texts:
        if not os.path.exists(text) and any("\udc80" <= character <= "\udcff" for character in text):
            raise OpzoError(
                f"{path} has {shown(text)}, which is neither UTF-8 nor the name of a file; save it as UTF-8"
            )
    return values


def _texts(value: Any) -> Iterator[str]:
    """All texts among the keys and values of a TOML file."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in (*value, *value.values()) if isinstance(value, dict) else value:
            yield from _texts(item)


def checked(values: dict[str, Any], source: str) -> dict[str, Any]:
    """``values`` in the types of Config, with whole numbers turned into floats where a float is due."""
    known = {entry.name: entry for entry in fields(Config)}
    for key in values:
        if key not in known:
            keys = ", ".join(known)
            raise OpzoError(f"unknown key {shown(key)}{meant(key, known)} in {printable(source)}; the keys are {keys}")
    # What came from the command line needs no place.
    place = "" if source == SETTINGS else f" in {printable(source)}"
    return {key: check_value(known[key], value, f"{key}{place}") for key, value in values.items()}
