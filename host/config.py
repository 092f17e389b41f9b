"""Configuration of a training run: defaults, then a TOML file, then flags."""

import json
import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from opzo.host.data import DATA_SETS
from opzo.host.transport import DEVICES
from opzo.spec.errors import OpzoError
from opzo.spec.network import Input, Network, Rule


def option(default: Any, text: str) -> Any:
    """Dataclass field with the text that ``--help`` and a reader see."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Hyperparameters:
    """How to learn, in units of the algorithm; ``opzo.host.rates`` makes register values of them.

    Raises OpzoError for a value that cannot be, naming it.
    """

    rule: str = option("opzo", "learning rule: opzo, dfa, zo or readout")
    seed: int = option(0, "seed of weights, noise and order of the samples")
    epochs: int = option(30, "passes over the training data")
    rate: int = option(140, "step size at the start, 0..255; falls to 0 by cosine over the run")
    alpha: float = option(0.1, "noise amplitude at the start, in thresholds")
    alpha_end: float = option(0.05, "noise amplitude at the end; linear in between")
    kappa: float = option(10.0, "activity cost of a spike; more means fewer spikes, 0 is off")
    decay: int = option(23, "weight decay: a touched weight loses step size x 2^-decay of itself; 0 is off")
    leak: int = option(17, "leak of the feedback matrices: 2^-leak a pair of time steps; 0 is off")
    mse: int = option(0, "share of the squared error beside the cross entropy: 2^-mse; 0 is off")
    rotate: float = option(0.0, "augmentation: training images are turned by up to so many degrees")
    zoom: float = option(0.0, "augmentation: they grow or shrink by up to this share of their size")
    shift: float = option(0.0, "augmentation: they move by up to so many pixels")

    def __post_init__(self) -> None:
        Rule.parse(self.rule)
        for key, low, high in (
            ("seed", 0, 2**63 - 1),
            ("epochs", 1, 100_000),
            ("rate", 0, 255),
            ("alpha", 0, 0.999),
            ("alpha_end", 0, 0.999),
            ("kappa", 0, 500),
            ("decay", 0, 40),
            ("leak", 0, 26),
            ("mse", 0, 15),
            ("rotate", 0, 180),
            ("zoom", 0, 0.9),
            ("shift", 0, 1000),
        ):
            value = getattr(self, key)
            if not low <= value <= high:
                raise OpzoError(f"{key} must be in {low}..{high}, not {value}")
        if 0 < self.leak < 12:
            raise OpzoError(f"leak must be 0 (off) or in 12..26, not {self.leak}")


@dataclass(frozen=True)
class Config(Hyperparameters):
    """Hyper-parameters, and what to train on what data and device."""

    net: str = option("64-64-64-10", "neurons of each layer")
    steps: int = option(6, "time steps T a sample")
    input: str = option("frame", "what samples are: frame, or events in time: spikes or graded")
    local: int = option(0, "hidden layers, from the first on, with a local read-out (local learning); -1 is all")
    data: str = option("digits", f"{', '.join(DATA_SETS)}, or an .npz file of images or events")
    data_root: str = option("", "folder of the data set's files, where it has any")
    device: str = option("rtl", f"device: {DEVICES}")
    lanes: int = option(16, "lanes of a chip to simulate or to build, 4..128; a board has its own")
    weight_bits: int = option(16, "bits of a weight in a chip to simulate or to build, 16 or 12; a board has its own")
    checkpoint_every: int = option(0, "training samples between checkpoints within an epoch; 0 is only at its end")

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.network
        if self.checkpoint_every < 0:
            raise OpzoError(f"checkpoint_every must be 0 or more, not {self.checkpoint_every}")

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
    """Keys and values of a TOML file; OpzoError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise OpzoError(f"cannot read {path}: {error.strerror}; give a TOML file of hyper-parameters") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OpzoError(f"{path} is not a TOML file: {error}") from None


def checked(values: dict[str, Any], source: str) -> dict[str, Any]:
    """``values`` with whole numbers turned into floats where a float is due."""
    kinds = {entry.name: entry.type for entry in fields(Config)}
    result = dict(values)
    for key, value in values.items():
        if key not in kinds:
            raise OpzoError(f"unknown key '{key}' in {source}; the keys are {', '.join(kinds)}")
        kind = kinds[key]
        if kind is float and type(value) is int:
            result[key] = float(value)
        elif type(value) is not kind:
            name = getattr(kind, "__name__", str(kind))
            raise OpzoError(f"'{key}' in {source} must be of type {name}, not {value!r}")
    return result
