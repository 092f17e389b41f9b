"""Fine-tuning: a new run that begins with the weights and the feedback of an earlier one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Config
from opzo.host.training.run_folder import checkpoint_path
from opzo.host.training.stored_settings import check_named
from opzo.spec.errors import OpzoError
from opzo.spec.formats import MAGNITUDE_MAX
from opzo.spec.lfsr import lane_states
from opzo.spec.neurons import in_words
from opzo.spec.rules import Rule
from opzo.system.paths import expanded


def earlier_run(path: str) -> Checkpoint:
    """Checkpoint of the run to begin with; ``path`` is its folder or the checkpoint itself."""
    return Checkpoint.load(checkpoint_path(expanded(path)))


def settings_of(checkpoint: Checkpoint, values: dict[str, Any]) -> dict[str, Any]:
    """Settings of a run that begins with ``checkpoint``: those of the earlier run, overridden by the user's ``values``.

    Raises OpzoError where the user wants another network or rule, where the data are unknown, or where a device or file
    would be used that the user has not named (`check_named`).
    """
    source = values["from_run"]
    network = checkpoint.network
    sizes = {
        "net": str(network),
        "steps": network.steps,
        "input": network.input.name.lower(),
        "local": network.local,
        "intermediate": network.intermediate,
        "block": network.block,
        "leak": in_words(network.leak),
        "reset": in_words(network.reset),
        "rule": checkpoint.rule.name.lower(),
        "lanes": checkpoint.lanes,
        "weight_bits": checkpoint.state.weight_bits,
    }
    # The weights are not initial ones.
    settings = check_named(checkpoint.settings, values, source) | sizes | {"init_rate": 0.0} | values
    config = Config.of(settings, source)
    checkpoint.check(config.network, Rule.parse(config.rule))
    if config.init_rate:
        raise OpzoError(f"init_rate scales the weights of a new network, those of {source} are trained; leave it out")
    if "data" not in settings:
        raise OpzoError(f"{source} does not state its training data; give --data")
    return settings


def beginning(checkpoint: Checkpoint, config: Config, lanes: int) -> Checkpoint:
    """Checkpoint before the first sample of a run that begins with ``checkpoint``, on a device with ``lanes`` lanes.

    It has the weights, feedback matrices, local readouts and feedback shifts of the earlier run, and class names and
    contrast of its data. Schedules, random generators, gradients and their running sums are those of a new run.
    """
    state = checkpoint.state
    state = replace(
        state,
        lfsr=lane_states(config.seed, lanes),
        samples=0,
        gradients=[np.zeros_like(gradients) for gradients in state.gradients],
        magnitudes=np.full_like(state.magnitudes, MAGNITUDE_MAX),
        pending=0,
    )
    names, contrast = checkpoint.class_names, checkpoint.contrast
    return Checkpoint(checkpoint.network, checkpoint.rule, state, class_names=names, contrast=contrast)


def description(checkpoint: Checkpoint) -> str:
    """What a run takes over from an earlier one, for the user."""
    data = checkpoint.settings.get("data", "unknown data")
    parts = ["weights"]
    if checkpoint.state.feedback:
        parts.append("feedback matrices")
    if checkpoint.network.local:
        parts.append("local readouts")
    done = f"{checkpoint.epoch} epochs on {Path(str(data)).name}"
    return f"{', '.join(parts)} and settings of {checkpoint.network}, rule {checkpoint.rule.name.lower()}, after {done}"
