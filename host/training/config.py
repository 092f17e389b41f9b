"""Configuration of a training run: defaults, overridden by a TOML file, overridden by options."""

import codecs
import inspect
import json
import math
import os
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import Field, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from opzo.host.data.data_sets import DATA_SETS
from opzo.host.driver.devices import device_choices
from opzo.host.training.old_names import accepts_old_names
from opzo.spec.errors import OpzoError
from opzo.spec.formats import MAX_STEPS
from opzo.spec.layers import BLOCK_CHOICES
from opzo.spec.limits import MAX_HIDDEN
from opzo.spec.messages import did_you_mean, printable, shown
from opzo.spec.network import USUAL_BLOCK, Network
from opzo.spec.neurons import Leak, Reset, choices, in_words
from opzo.spec.registers import Reg
from opzo.spec.rules import Input, Rule, names
from opzo.spec.values import real_number, whole_number

S = TypeVar("S")

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
    **dict.fromkeys(("batch_size", "batchsize", "bs", "minibatch"), "batch"),
}
"""Names of settings in other programs, and their keys here."""
SETTINGS = "the settings"
"""Source of values from the command line, for messages."""

CONV_RATE_MAX, BATCH_MAX = ((1 << register.bits) - 1 for register in (Reg.CONVOLUTION_RATE, Reg.BATCH))
TOML_MAX = 1_000_000
"""Maximum size of a configuration file in bytes; a larger file is something else."""


def setting(
    group: str, default: Any, text: str, low: float = 0, high: float | None = None, *, metavar: str = ""
) -> Any:
    """Dataclass field of a setting: its group and text in ``--help``, the range of a number, a name for its value."""
    metavar = metavar or ("N" if isinstance(default, int) else "X")
    return field(default=default, metadata={"group": group, "help": text, "low": low, "high": high, "metavar": metavar})


def option_name(key: str) -> str:
    """Option of the command line for a setting."""
    return "--from" if key == "from_run" else "--" + key.replace("_", "-")


def documented(settings: type[S]) -> type[S]:
    """Add the fields of a dataclass of settings to its docstring: type, range, meaning with unit, default."""
    lines = ["", "Parameters", "----------"]
    for entry in fields(settings):  # type: ignore[arg-type]
        low, high = entry.metadata["low"], entry.metadata["high"]
        # Text has its choices in its meaning.
        span = "" if entry.type is str else f", {low:g} or more" if high is None else f", {low}..{high}"
        text = entry.metadata["help"]
        lines += [f"{entry.name} : {getattr(entry.type, '__name__', entry.type)}{span}"]
        lines += [f"    {text[0].upper()}{text[1:]}. Default: {entry.default}."]
    settings.__doc__ = inspect.cleandoc(settings.__doc__ or "") + "\n".join(["", *lines])
    return settings


def meant(key: str, known: Iterable[str]) -> str:
    """Hint at the key of ``known`` that an unknown ``key`` may mean; "" if there is none."""
    name = key.lower().replace("-", "_")
    return did_you_mean(OTHER_NAMES.get(name, name), known)


def check_value(entry: "Field[Any]", value: Any, what: str) -> Any:
    """``value``, checked for type and range of a field made by `setting`; OpzoError names ``what``."""
    low, high = entry.metadata["low"], entry.metadata["high"]
    if entry.type is int:
        hint = f"; it is an integer step size, usually {entry.default}" if entry.name == "rate" else ""
        return whole_number(what, value, low, high, hint=hint)
    if entry.type is float:
        return real_number(what, value, low, math.inf if high is None else high)
    if not isinstance(value, str):
        raise OpzoError(f"{what} must be a string, not {shown(value)}")
    return value


@accepts_old_names
@documented
@dataclass(frozen=True)
class Hyperparameters:
    """Parameters of learning, in units of the algorithm; `schedule_registers` converts them to register values.

    Raises OpzoError that names a value of the wrong type or out of range.
    """

    rule: str = setting("learning", "opzo", f"learning rule: {names(Rule)}", metavar="RULE")
    seed: int = setting("learning", 0, "seed of weights, noise and sample order", 0, 2**63 - 1)
    epochs: int = setting("learning", 30, "passes over the training data", 1, 100_000)
    rate: int = setting("learning", 140, "initial step size, 0..255, in 2^-15; falls to 0 by cosine", 0, 255)
    conv_rate: int = setting(
        "learning",
        1500,
        "the same of convolutions, 0..4095: mean change of a weight in 2^-22 to 2^-21",
        0,
        CONV_RATE_MAX,
    )
    alpha: float = setting("learning", 0.1, "initial noise amplitude, in thresholds", 0, 0.999)
    alpha_end: float = setting("learning", 0.05, "final noise amplitude, in thresholds", 0, 0.999)
    init_rate: float = setting(
        "learning", 0.0, "firing rate, spikes a neuron and step, to which initial weights are scaled; 0 is off", 0, 0.5
    )
    kappa: float = setting("learning", 10.0, "cost of a spike, in 1/16 of feedback entry x error; 0 is off", 0, 500)
    decay: int = setting("learning", 23, "weight decay, 2^-N x step size; 0 is off", 0, 40)
    feedback_leak: int = setting("learning", 17, "decay of the feedback matrices, 2^-N per two steps; 0 is off", 0, 26)
    batch: int = setting(
        "learning", 1, "samples (or chunks of events) a change of a convolution's weights", 1, BATCH_MAX
    )
    mse: int = setting("learning", 0, "weight 2^-N of the squared error; 0 is off", 0, 15)
    rotate: float = setting("augmentation of training images", 0.0, "max rotation, in degrees", 0, 180)
    zoom: float = setting("augmentation of training images", 0.0, "max zoom, as a fraction of image size", 0, 0.9)
    shift: float = setting("augmentation of training images", 0.0, "max shift, in pixels", 0, 1000)
    flip: int = setting("augmentation of training images", 0, "1: mirror half of the images left to right", 0, 1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rule", Rule.parse(self.rule).name.lower())
        for entry in fields(self):
            object.__setattr__(self, entry.name, check_value(entry, getattr(self, entry.name), entry.name))
        if 0 < self.feedback_leak < 12:
            raise OpzoError(f"feedback_leak must be 0 (off) or in 12..26, not {self.feedback_leak}")


@dataclass(frozen=True)
class Config(Hyperparameters):
    """Hyper-parameters, network, data and device of a training run."""

    net: str = setting("network", "64-64-64-10", "inputs and layers: 64-64-10, 1x28x28-8c3-p2-10", metavar="N-N-...")
    steps: int = setting("network", 6, "time steps per sample", 1, MAX_STEPS)
    input: str = setting("network", "frame", "input encoding: frame, spikes, graded", metavar="KIND")
    local: int = setting("network", 0, "the first N hidden layers learn locally; -1 is all", -1, MAX_HIDDEN)
    intermediate: int = setting(
        "network",
        0,
        "hidden layer whose local readout teaches the layers before it (IGL); 0 is none",
        0,
        MAX_HIDDEN,
    )
    block: int = setting("network", USUAL_BLOCK, f"side of a block of feedback in convolutions: {BLOCK_CHOICES}")
    leak: str = setting(
        "network",
        Leak.HALF.text,
        f"leak of the potentials, {choices(Leak)}; one, or one a hidden layer: 1/2,3/4",
        metavar="LEAK",
    )
    reset: str = setting(
        "network", Reset.SUBTRACT.text, f"reset after a spike, {choices(Reset)}; as leak", metavar="RESET"
    )
    data: str = setting(
        "data", "digits", f"{', '.join(DATA_SETS)}, or an .npz file of images or events", metavar="DATA"
    )
    data_root: str = setting("data", "", "folder of the data set's files, if it has any", metavar="DIR")
    crop: int = setting("data", 0, "use only the N x N middle pixels of the sensor of events; 0: all", 0)
    contrast: int = setting("data", 0, "1: two channels a colour of images, above and below its training mean", 0, 1)
    strided: str = setting(
        "data", "", "rearrange events for a first convolution with a stride; '': do not", metavar="5s2p1"
    )
    device: str = setting("device", "rtl", device_choices(), metavar="DEVICE")
    lanes: int = setting("device", 16, "lanes of a simulated or new chip, a power of two, 4..128")
    weight_bits: int = setting("device", 16, "bits per weight of a simulated or new chip, 16 or 12")
    checkpoint_every: int = setting("run", 0, "samples between checkpoints, besides those of epochs")
    store: int = setting("run", 1, "1: train from the sample store of a device that has a large enough one", 0, 1)
    from_run: str = setting(
        "run", "", "begin with weights, feedback and settings of this run or checkpoint", metavar="RUN"
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "input", Input.parse(self.input).name.lower())
        super().__post_init__()
        if self.leak.strip().isdigit() and self.leak.strip() != Leak.ONE.text:
            # Under this name earlier versions had another setting.
            raise OpzoError(
                f"leak is that of the neurons, {choices(Leak)}, not {shown(self.leak)}; "
                "the leak of the feedback matrices is feedback_leak (--feedback-leak)"
            )
        network = self.network
        network.check_rule(Rule.parse(self.rule))
        for name in ("leak", "reset"):
            object.__setattr__(self, name, in_words(getattr(network, name)))

    @property
    def network(self) -> Network:
        """The network that the settings of the group "network" describe."""
        network = Network(self.net, self.steps, input=self.input, block=self.block, leak=self.leak, reset=self.reset)
        local = len(network.hidden) if self.local == -1 else self.local
        return replace(network, local=local, intermediate=self.intermediate)

    @classmethod
    def of(cls, values: dict[str, Any], source: str) -> Self:
        """Configuration from keys and values; OpzoError names ``source`` and the key that is unknown or invalid."""
        return cls(**checked(values, source))

    def toml(self) -> str:
        """Text of a TOML file for `read_toml`."""
        # TOML and JSON write str, int, float and bool alike.
        return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in asdict(self).items())


def read_toml(path: Path) -> dict[str, Any]:
    """Keys and values of a TOML file; OpzoError where it cannot be read. A UTF-8 byte-order mark is ignored."""
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
        # A path in it may have bytes that are not UTF-8.
        values = tomllib.loads(content.decode("utf-8-sig", "surrogateescape"))
        texts = list(_texts(values))
    except RecursionError:
        raise OpzoError(f"{path} is not a TOML file: it is nested too deeply") from None
    except ValueError as error:
        # Also raised for a number with more digits than Python reads.
        raise OpzoError(f"{path} is not a TOML file: {error}") from None
    for text in texts:
        if not os.path.exists(text) and any("\udc80" <= character <= "\udcff" for character in text):
            raise OpzoError(
                f"{path} has {shown(text)}, which is neither UTF-8 nor the name of a file; save it as UTF-8"
            )
    return values


def _texts(value: Any) -> Iterator[str]:
    """All strings among the keys and values of a TOML file."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in (*value, *value.values()) if isinstance(value, dict) else value:
            yield from _texts(item)


def checked(values: dict[str, Any], source: str) -> dict[str, Any]:
    """``values``, checked and converted to the types of Config; OpzoError names ``source``."""
    known = {entry.name: entry for entry in fields(Config)}
    for key in values:
        if key not in known:
            keys = ", ".join(known)
            raise OpzoError(f"unknown key {shown(key)}{meant(key, known)} in {printable(source)}; the keys are {keys}")
    # Values from the command line need no place in the message.
    place = "" if source == SETTINGS else f" in {printable(source)}"
    return {key: check_value(known[key], value, f"{key}{place}") for key, value in values.items()}
