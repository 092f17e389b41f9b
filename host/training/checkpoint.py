"""Checkpoints: NumPy arrays in an .npz file, without pickled objects, the same for all devices."""

import json
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import opzo
from opzo.host.data.class_names import Names, names_of_array
from opzo.host.data.fields import Fields
from opzo.host.data.images.contrast import Contrast
from opzo.host.data.npz import load_arrays
from opzo.host.driver.row_layout import round_entries
from opzo.host.driver.state import State
from opzo.host.driver.statistics import Tally
from opzo.host.training.config import BATCH_MAX, Config
from opzo.host.training.old_names import stored_renamed
from opzo.host.training.stored_settings import check_named
from opzo.spec.errors import OpzoError
from opzo.spec.formats import FEEDBACK_SHIFT_MAX, MAX_STEPS, WEIGHT
from opzo.spec.layers import BLOCKS
from opzo.spec.lfsr import MAX_LANES
from opzo.spec.limits import MAX_HIDDEN, MAX_INPUTS, Limits
from opzo.spec.messages import printable
from opzo.spec.network import USUAL_BLOCK, Network
from opzo.spec.neurons import Leak, Reset, in_words
from opzo.spec.registers import Counter
from opzo.spec.rules import Input, Rule
from opzo.system.atomic import write_atomically

FORMAT_VERSION = 4
BEFORE_NEURONS = 3
"""Format with the usual neurons only, and counters of three hidden layers."""
READABLE = (BEFORE_NEURONS, FORMAT_VERSION)
EPOCHS_MAX = 100_000
SAMPLES_MAX = CRC_MAX = 2**32 - 1
"""The device counts training samples in 32 bits."""
LATER_COUNTERS = (
    *(Counter.SPIKES_4, Counter.SPIKES_5, Counter.ACTIVE_4, Counter.ACTIVE_5),
    *(Counter.ACCUMULATE, Counter.GRADIENT_SATURATIONS),
)
"""Counters that checkpoints of format BEFORE_NEURONS do not have."""


def made_by() -> str:
    """Versions of the programs that may change the result of training; NumPy draws the order of the samples."""
    return f"opzo {opzo.__version__}, numpy {'.'.join(np.__version__.split('.')[:2])}"


@dataclass(frozen=True)
class Checkpoint:
    """State of a training run between two samples.

    Parameters
    ----------
    network, rule, state
        Network, learning rule, and state of the device.
    epoch, position : int
        Completed epochs, and training samples done in the next one.
    tally : Tally
        Sums over the samples of that next epoch.
    settings : dict
        Configuration of the run, as stored in JSON.
    data_digest, test_digest : int
        ``Data.digests`` of the data; 0 if unknown.
    class_names : tuple of str
        Names of the classes; empty if unknown, as in files of earlier releases.
    contrast : Contrast or None
        Statistics by which the colours of the training images were coded; None if they were not.
    made_by : str
        ``made_by()`` of the program that wrote it; empty if unknown.
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
    test_digest: int = 0
    made_by: str = field(default_factory=made_by)
    contrast: Contrast | None = None

    @property
    def lanes(self) -> int:
        """Lanes of the device that it was trained on."""
        return len(self.state.lfsr)

    def save(self, path: Path) -> None:
        """Write to ``path``, completely or not at all; OpzoError where that fails."""
        file = BytesIO()
        np.savez(file, allow_pickle=False, **self._arrays())
        write_atomically(path, file.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a file; OpzoError where it is not a checkpoint, has another format version, or is inconsistent."""
        arrays = load_arrays(path, "give a run folder or checkpoint of opzo train")
        if "format_version" not in arrays:
            raise OpzoError(f"{path} is not a checkpoint of opzo; give one that opzo train wrote")
        try:
            version = Fields(arrays).integer("format_version", 0, 2**31)
            if version not in READABLE:
                raise OpzoError(
                    f"{path} has checkpoint format {version}, this opzo reads {' and '.join(map(str, READABLE))}; "
                    "use the release that wrote it"
                )
            checkpoint = _checkpoint(Fields(arrays))
        except ValueError as error:
            raise OpzoError(f"{path} is damaged ({error}); use an earlier checkpoint") from None
        return checkpoint

    def config(self, values: dict[str, Any], source: str) -> Config:
        """Configuration from its settings, overridden by ``values`` of the user.

        Raises OpzoError where a device or file would be used that the user has not named (`check_named`).
        """
        return Config.of(check_named(self.settings, values, source) | values, source)

    def check(self, network: Network, rule: Rule) -> None:
        """Raise OpzoError where network or rule differ from those of the checkpoint."""
        if (self.network, self.rule) != (network, rule):
            raise OpzoError(
                f"the checkpoint is of {_describe(self.network, self.rule)}, not {_describe(network, rule)}; "
                "leave --net, --steps, --input, --local, --intermediate, --block, --leak, --reset and --rule out, "
                "or start a new run"
            )

    def _arrays(self) -> dict[str, NDArray[Any]]:
        state, tally = self.state, self.tally
        arrays: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            **_written(self.network),
            "steps": self.network.steps,
            "rule": self.rule.name.lower(),
            "local": self.network.local,
            "input": self.network.input.name.lower(),
            "leak": in_words(self.network.leak),
            "reset": in_words(self.network.reset),
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
            "test_digest": self.test_digest,
            "made_by": self.made_by,
        }
        if self.class_names:
            arrays["class_names"] = self.class_names
        if self.contrast is not None:
            arrays |= {"contrast_mean": self.contrast.mean, "contrast_std": self.contrast.std}
        arrays |= {f"weights_{layer}": matrix for layer, matrix in enumerate(state.weights, 1)}
        arrays |= {f"feedback_{layer}": matrix for layer, matrix in enumerate(state.feedback, 1)}
        arrays |= {f"local_{layer}": matrix for layer, matrix in enumerate(state.local, 1)}
        if self.network.intermediate:
            arrays |= {f"intermediate_{layer}": matrix for layer, matrix in enumerate(state.intermediate, 1)}
            arrays["intermediate"] = self.network.intermediate
        if self.network.convolutions:
            arrays |= {f"gradients_{layer}": matrix for layer, matrix in enumerate(state.gradients, 1)}
            arrays |= {"magnitudes": state.magnitudes, "pending": state.pending}
        return {name: np.asarray(value) for name, value in arrays.items()}


def _describe(network: Network, rule: Rule) -> str:
    local = f", {network.local} local readouts" if network.local else ""
    local += f", intermediate readout of layer {network.intermediate}" if network.intermediate else ""
    kind = network.input.name.lower()
    block = f", blocks of {network.block}" if network.convolutions else ""
    neurons = f", leak {in_words(network.leak)}" if any(network.leak) else ""
    neurons += f", reset {in_words(network.reset)}" if any(network.reset) else ""
    return f"{network} with {network.steps} steps, {kind} input{local}{block}{neurons} and rule {rule.name.lower()}"


def _written(network: Network) -> dict[str, Any]:
    """A dense network as earlier releases wrote and read it; one with convolutions as text."""
    if not network.convolutions:
        return {"sizes": network.neurons}
    return {"net": str(network), "block": network.block}


def _checkpoint(file: Fields) -> Checkpoint:
    """Checkpoint of the arrays in a file; ValueError names the first invalid one."""
    lanes, weight_bits = file.integer("lanes", 1, MAX_LANES), file.integer("weight_bits", 1, WEIGHT.width)
    try:
        network = Network(
            file.text("net") if "net" in file else file.integers("sizes", 0, MAX_INPUTS),
            file.integer("steps", 1, MAX_STEPS),
            file.integer("local", 0, MAX_HIDDEN),
            Input.parse(file.text("input")),
            file.integer("block", 1, max(BLOCKS)) if "block" in file else USUAL_BLOCK,
            Leak.HALF if _before_neurons(file) else file.text("leak"),
            Reset.SUBTRACT if _before_neurons(file) else file.text("reset"),
            file.integer("intermediate", 0, MAX_HIDDEN) if "intermediate" in file else 0,
        )
        rule = Rule.parse(file.text("rule"))
        network.check_rule(rule)
        limits = network.limits(lanes, weight_bits)
    except OpzoError as error:
        raise ValueError(printable(error)) from None
    epoch, position = file.integer("epoch", 0, EPOCHS_MAX), file.integer("position", 0, SAMPLES_MAX)
    return Checkpoint(
        network,
        rule,
        _state(file, network, rule, limits),
        epoch,
        position,
        _tally(file, position),
        _settings(file, network, rule),
        file.integer("data_digest", 0, CRC_MAX),
        _class_names(file, network.classes),
        file.integer("test_digest", 0, CRC_MAX) if "test_digest" in file else 0,
        file.text("made_by") if "made_by" in file else "",
        _contrast(file),
    )


def _before_neurons(file: Fields) -> bool:
    return file.integer("format_version", *READABLE) == BEFORE_NEURONS


def _class_names(file: Fields, classes: int) -> Names:
    """Names of the classes: one for each, or none at all."""
    if "class_names" not in file:
        return ()
    return names_of_array(file.given("class_names"), "class_names", range(classes, classes + 1))


def _contrast(file: Fields) -> Contrast | None:
    """Statistics of the coding of colours; ValueError if they are not those of images."""
    if "contrast_mean" not in file:
        return None
    mean, std = (file.given(name) for name in ("contrast_mean", "contrast_std"))
    for name, array in (("contrast_mean", mean), ("contrast_std", std)):
        if array.ndim != 1 or array.dtype != np.float64:
            raise ValueError(f"{name} is {array.dtype} {array.shape}; expected a list of floats")
    return Contrast(tuple(mean.tolist()), tuple(std.tolist()))


def _state(file: Fields, network: Network, rule: Rule, limits: Limits) -> State:
    def rows(name: str, shape: tuple[int, int]) -> NDArray[np.int16]:
        array = file.array(name, np.int16, shape)
        wrong = array[array != round_entries(array, limits.low_bits)]
        if wrong.size:
            raise ValueError(f"{name} holds {wrong[0]}, which is not a value of {limits.weight_bits} bits")
        return array

    entries = network.feedback_shapes
    convolutions = network.weight_shapes[: len(network.convolutions)]
    return State(
        [rows(f"weights_{layer}", shape) for layer, shape in enumerate(network.weight_shapes, 1)],
        [rows(f"feedback_{layer}", shape) for layer, shape in enumerate(entries if rule.feedback else (), 1)],
        [rows(f"local_{layer}", shape) for layer, shape in enumerate(entries[: network.local], 1)],
        file.array("feedback_shift", np.uint8, (len(entries),), 0, FEEDBACK_SHIFT_MAX),
        # An LFSR with state 0 never leaves it.
        file.array("lfsr", np.uint32, (limits.lanes,), 1),
        file.integer("samples", 0, SAMPLES_MAX),
        limits.weight_bits,
        [file.array(f"gradients_{layer}", np.int32, shape) for layer, shape in enumerate(convolutions, 1)],
        file.array("magnitudes", np.uint32, (len(convolutions),)) if convolutions else np.zeros(0, np.uint32),
        file.integer("pending", 0, BATCH_MAX) if convolutions else 0,
        [
            rows(f"intermediate_{layer}", shape)
            for layer, shape in enumerate(network.intermediate_shapes if rule.feedback else (), 1)
        ],
    )


def _tally(file: Fields, position: int) -> Tally:
    samples, correct, loss, sent = file.integers("tally", 0, 2**63 - 1, 4)
    if samples != position:
        raise ValueError(f"tally counts {samples} samples, position is {position}")
    if correct > samples:
        raise ValueError(f"tally counts {correct} correct samples out of {samples}")
    return Tally(samples, correct, loss, sent, _counters(file))


def _counters(file: Fields) -> NDArray[np.int64]:
    """Counters; LATER_COUNTERS of format BEFORE_NEURONS are 0."""
    known = [counter for counter in Counter if counter not in LATER_COUNTERS or not _before_neurons(file)]
    counts = np.zeros(len(Counter), np.int64)
    counts[known] = file.array("counters", np.int64, (len(known),), 0)
    return counts


def _settings(file: Fields, network: Network, rule: Rule) -> dict[str, Any]:
    """Settings, checked for type and range, and against network and rule of the arrays."""
    try:
        settings = stored_renamed(file.json_object("settings"), "settings")
        config = Config.of(settings, "settings")
    except OpzoError as error:
        raise ValueError(f"settings: {printable(error)}") from None
    if "net" in settings and config.network != network:
        raise ValueError(f"settings describe {config.network}, the weights are of {network}, or of other time steps")
    if "rule" in settings and config.rule != rule.name.lower():
        raise ValueError(f"settings name the rule {config.rule}, the rule is {rule.name.lower()}")
    return settings
