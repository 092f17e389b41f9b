"""Settings of a training run of the reference."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opzo.reference.methods.learner import Method
from opzo.reference.methods.noise import ALPHA_FIRST, ALPHA_LAST, Noise
from opzo.reference.methods.presets import PRESETS
from opzo.spec.errors import OpzoError
from opzo.spec.messages import no_such, shown
from opzo.spec.values import real_number, whole_number

SEED = 2022
"""First of the paper's seeds; the others are 0 and 1."""
WHOLE = (
    ("epochs", 1, 1_000_000),
    ("batch", 1, 1_000_000),
    ("steps", 1, 4095),
    ("seed", 0, 2**63 - 1),
    ("probes", 0, 1_000_000),
)
"""Integer settings with their minimum and maximum."""
REAL, REAL_MAX = ("rate", "decay", "alpha_first", "alpha_last"), 1e6


@dataclass(frozen=True)
class Recipe:
    """All settings that affect the result of a run, except data and machine.

    Parameters
    ----------
    network : str
        A key of `opzo.reference.methods.presets.NETWORKS`.
    method : Method
    steps, epochs, batch, rate, decay, dropout
        As in `Preset`; ``rate`` is the one for the method.
    alpha_first, alpha_last : float
        Noise amplitude in the first and the last epoch, with linear interpolation.
    seed : int
    probes : int
        Number of batches for the comparison of gradients after each epoch; 0: none.

    OpzoError if a value is invalid.
    """

    network: str
    method: Method
    steps: int
    epochs: int
    batch: int
    rate: float
    decay: float
    dropout: float
    seed: int
    alpha_first: float = ALPHA_FIRST
    alpha_last: float = ALPHA_LAST
    probes: int = 0

    def __post_init__(self) -> None:
        for name, low, high in WHOLE:
            whole_number(name, getattr(self, name), low, high)
        for name in REAL:
            real_number(name, getattr(self, name), 0, REAL_MAX)
        for name, value in (("dropout", self.dropout), ("momentum", self.method.momentum)):
            if real_number(name, value, 0, 1) == 1:
                raise OpzoError(f"{name} must be less than 1, not {value}")

    def alpha(self, epoch: int) -> float:
        """Noise amplitude in ``epoch``, counted from 0."""
        return self.alpha_first + (self.alpha_last - self.alpha_first) * epoch / max(1, self.epochs - 1)


@dataclass(frozen=True)
class ReferenceRun:
    """A recipe and its data.

    Parameters
    ----------
    recipe : Recipe
    data, data_root : str
        Arguments of `opzo.reference.data.data_sets.load`.
    train_samples, test_samples : int or None
        Number of samples to use; None: all.
    weights : str
        Folder of a run whose network is the starting point; empty: none.
    """

    recipe: Recipe
    data: str
    data_root: str = ""
    train_samples: int | None = None
    test_samples: int | None = None
    weights: str = ""

    def __post_init__(self) -> None:
        for name in ("data", "data_root", "weights"):
            if not isinstance(getattr(self, name), str):
                raise OpzoError(f"{name} must be a string, not {shown(getattr(self, name))}")
        for name in ("train_samples", "test_samples"):
            if getattr(self, name) is not None:
                whole_number(name, getattr(self, name), 1)

    @classmethod
    def of(cls, preset: str, given: Mapping[str, Any]) -> "ReferenceRun":
        """Run of a preset, with some settings replaced; OpzoError if there is no such preset or a value is invalid.

        Settings: ``method``, ``local``, ``intermediate`` (bool), ``noise``, ``place``, ``independent``, and fields of
        Recipe and ReferenceRun.
        """
        if preset not in PRESETS:
            raise no_such("preset", preset, PRESETS)
        base, values = PRESETS[preset], dict(given)
        name, intermediate = values.pop("method", "opzo"), values.pop("intermediate", False)
        if intermediate and base.intermediate is None:
            raise OpzoError(f"{preset} has no layer for intermediate global learning; take a conv9 preset")
        method = Method(
            name,
            local=values.pop("local", False),
            intermediate=base.intermediate if intermediate else None,
            noise=Noise(
                values.pop("noise", base.noise.kind),
                values.pop("place", base.noise.place),
                base.noise.antithetic and not values.pop("independent", False),
            ),
            under_noise=base.under_noise,
            momentum=values.pop("momentum", base.momentum),
        )
        own = {
            key: values.pop(key) for key in ("data_root", "train_samples", "test_samples", "weights") if key in values
        }
        zo = name == "zo"
        defaults = {
            **{key: getattr(base, key) for key in ("epochs", "batch", "decay", "alpha_first", "alpha_last", "steps")},
            "rate": base.zo_rate if zo else base.rate,
            "dropout": 0.0 if zo else base.dropout,
            "seed": SEED,
        }
        return cls(Recipe(base.network, method, **{**defaults, **values}), base.data, **own)

    @classmethod
    def restored(cls, values: Mapping[str, Any]) -> "ReferenceRun":
        """Restore a run from ``dataclasses.asdict``; KeyError, TypeError or ValueError if it is from another version."""
        run = dict(values)
        recipe = dict(run.pop("recipe"))
        method = dict(recipe.pop("method"))
        method["noise"] = Noise(**method["noise"])
        return cls(Recipe(method=Method(**method), **recipe), **run)
