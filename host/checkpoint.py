"""Checkpoints: named NumPy arrays in an .npz file, without pickled objects, the same names on every device."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.atomic import write_atomically
from opzo.host.class_names import Names, names_of_array
from opzo.host.npz import load_arrays
from opzo.host.state import State
from opzo.host.statistics import Tally
from opzo.spec.errors import OpzoError
from opzo.spec.network import Input, Network, Rule
from opzo.spec.registers import Counter

FORMAT_VERSION = 3


@dataclass(frozen=True)
class Checkpoint:
    """A network in training, between two samples.

    Parameters
    ----------
    network, rule, state
        What was trained, how, and how far it came.
    epoch, position : int
        Epochs completed, and training samples of the next one.
    tally : Tally
        Sums over the samples of the unfinished epoch.
    settings : dict
        Configuration of the run, for JSON.
    data_digest : int
        ``Data.digest`` of the training data, 0 for unknown.
    class_names : tuple of str
        Names of the network's classes; empty where they are unknown, as in files of earlier releases.
    """

    network: Network
    rule: Rule
    state: State
    epoch: int = 0
    position: int = 0
    tally: Tally = field(default_factory=Tally)
    settings: dict[str, Any] = field(default_factory=dict)
    data_digest: int = 0
    class_names: Names = ()

    @property
    def lanes(self) -> int:
        """Lanes of the device it was trained on."""
        return len(self.state.lfsr)

    def save(self, path: Path) -> None:
        """Write to ``path``, whole or not at all; OpzoError where that fails."""
        file = BytesIO()
        np.savez(file, allow_pickle=False, **self._arrays())
        write_atomically(path, file.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Checkpoint of a file; OpzoError where it is none, of another format version, or inconsistent."""
        arrays = load_arrays(path, "give a run folder or checkpoint of opzo train")
        if "format_version" not in arrays:
            raise OpzoError(f"{path} is not a checkpoint of opzo; give one that opzo train wrote")
        version = arrays["format_version"].tolist()
        if version != FORMAT_VERSION:
            raise OpzoError(
                f"{path} is of checkpoint format {version}, this opzo reads {FORMAT_VERSION}; "
                "use the release that wrote it"
            )
        try:
            return _checkpoint(arrays)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise OpzoError(f"{path} is damaged ({error}); use an earlier checkpoint") from None

    def check(self, network: Network, rule: Rule) -> None:
        """Raise OpzoError where it is of another network or rule."""
        if (self.network, self.rule) != (network, rule):
            raise OpzoError(
                f"the checkpoint is of {_describe(self.network, self.rule)}, not {_describe(network, rule)}; "
                "leave --net, --steps, --input, --local and --rule out, or start anew"
            )

    def _arrays(self) -> dict[str, NDArray[Any]]:
        state, tally = self.state, self.tally
        arrays: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "sizes": self.network.sizes,
            "steps": self.network.steps,
            "rule": self.rule.name.lower(),
            "local": self.network.local,
            "input": self.network.input.name.lower(),
            "lanes": self.lanes,
            "weight_bits": state.weight_bits,
            "feedback_shift": state.feedback_shift,
            "lfsr": state.lfsr,
            "samples": state.samples,
            "epoch": self.epoch,
            "position": self.position,
            "tally": (tally.samples, tally.correct, tally.loss, tally.sent),
            "counters": tally.counters,
            "settings": json.dumps(self.settings),
            "data_digest": self.data_digest,
        }
        if self.class_names:
            arrays["class_names"] = self.class_names
        arrays |= {f"weights_{layer}": matrix for layer, matrix in enumerate(state.weights, 1)}
        arrays |= {f"feedback_{layer}": matrix for layer, matrix in enumerate(state.feedback, 1)}
        arrays |= {f"local_{layer}": matrix for layer, matrix in enumerate(state.local, 1)}
        return {name: np.asarray(value) for name, value in arrays.items()}


def _describe(network: Network, rule: Rule) -> str:
    local = f", {network.local} local read-outs" if network.local else ""
    kind = network.input.name.lower()
    return f"{network} with {network.steps} steps, {kind} input{local} and rule {rule.name.lower()}"


def _checkpoint(file: Mapping[str, NDArray[Any]]) -> Checkpoint:
    """Checkpoint of the arrays, each checked for shape and type."""
    kind = Input.parse(str(file["input"]))
    network = Network(tuple(file["sizes"].tolist()), int(file["steps"]), int(file["local"]), kind)
    rule = Rule.parse(str(file["rule"]))
    hidden, lanes, classes = len(network.hidden), int(file["lanes"]), network.classes
    shapes = [(n_in + 1, n_out) for n_in, n_out in zip(network.sizes[:-1], network.sizes[1:], strict=True)]
    state = State(
        [_array(file, f"weights_{layer}", np.int16, shape) for layer, shape in enumerate(shapes, 1)],
        [_array(file, f"feedback_{layer}", np.int16, (classes, n)) for layer, n in enumerate(network.hidden, 1)]
        if rule.feedback
        else [],
        [
            _array(file, f"local_{layer}", np.int16, (classes, n))
            for layer, n in enumerate(network.hidden[: network.local], 1)
        ],
        _array(file, "feedback_shift", np.uint8, (hidden,)),
        _array(file, "lfsr", np.uint32, (lanes,)),
        int(file["samples"]),
        int(file["weight_bits"]),
    )
    samples, correct, loss, sent = file["tally"].tolist()
    return Checkpoint(
        network,
        rule,
        state,
        int(file["epoch"]),
        int(file["position"]),
        Tally(samples, correct, loss, sent, _array(file, "counters", np.int64, (len(Counter),))),
        json.loads(str(file["settings"])),
        int(file["data_digest"]),
        _class_names(file, classes),
    )


def _class_names(file: Mapping[str, NDArray[Any]], classes: int) -> Names:
    """Names of the classes, one for each, or none."""
    if "class_names" not in file:
        return ()
    return names_of_array(file["class_names"], "class_names", range(classes, classes + 1))


def _array(file: Mapping[str, NDArray[Any]], name: str, kind: type, shape: tuple[int, ...]) -> NDArray[Any]:
    if name not in file:
        raise ValueError(f"{name} is missing")
    array = file[name]
    if array.dtype != kind or array.shape != shape:
        raise ValueError(f"{name} is {array.dtype} {array.shape}, {kind.__name__} {shape} expected")
    return array
