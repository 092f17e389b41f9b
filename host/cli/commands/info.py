"""``opzo info``: show the properties of a device or the contents of a checkpoint."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from opzo.host.cli.options import add_config, add_output, given_settings
from opzo.host.cli.output import print_facts
from opzo.host.driver.device import open_device
from opzo.host.driver.statistics import cycles_are
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Config
from opzo.host.training.run_folder import checkpoint_path
from opzo.spec.formats import WEIGHT
from opzo.spec.neurons import in_words


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("run", type=Path, nargs="?", help="run folder or checkpoint (default: show the device)")
    add_config(parser, ("device", "net", "steps", "input", "local", "intermediate", "block", "lanes", "weight_bits"))
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print facts, one per line; exit code."""
    facts = (
        _checkpoint(arguments.run) if arguments.run else _device(Config.of(given_settings(arguments), "the settings"))
    )
    print_facts(facts, as_json=arguments.json)
    return 0


def _device(config: Config) -> dict[str, Any]:
    with open_device(config.device, config.network, config.lanes, config.weight_bits) as device:
        identity = device.identity
        facts = asdict(identity)
        del facts["magic"], facts["clock_khz"]
        facts["learning"] = identity.limits.learning
        facts = {"device": config.device, "protocol": facts.pop("version")} | facts
        neurons = identity.limits.lanes * identity.limits.words
        return facts | {"hidden_neurons": neurons, "clock_mhz": identity.clock_mhz, "cycles": cycles_are(identity)}


def _checkpoint(path: Path) -> dict[str, Any]:
    checkpoint = Checkpoint.load(checkpoint_path(path))
    state = checkpoint.state
    return {
        "network": str(checkpoint.network),
        "steps": checkpoint.network.steps,
        "input": checkpoint.network.input.name.lower(),
        "rule": checkpoint.rule.name.lower(),
        "local": checkpoint.network.local,
        "intermediate": checkpoint.network.intermediate,
        "leak": in_words(checkpoint.network.leak),
        "reset": in_words(checkpoint.network.reset),
        "lanes": checkpoint.lanes,
        "weight_bits": state.weight_bits,
        "epochs_done": checkpoint.epoch,
        "samples_of_next_epoch": checkpoint.position,
        "samples": state.samples,
        "largest_weights": [int(abs(matrix.astype(int)).max()) / WEIGHT.one for matrix in state.weights],
        "feedback_shift": state.feedback_shift.tolist(),
        "class_names": list(checkpoint.class_names),
        "made_by": checkpoint.made_by or None,
        "settings": checkpoint.settings,
    }
