"""``opzo eval``: test a trained network."""

import argparse
import logging
from pathlib import Path
from typing import Any

import numpy as np

from opzo.host.cli.options import AS_TRAINED, add_config, add_output, given_settings
from opzo.host.cli.output import print_json
from opzo.host.data.class_names import class_text, other_names, padded
from opzo.host.driver.device import open_device
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.configure import data_of
from opzo.host.training.evaluation import evaluate
from opzo.host.training.run_folder import checkpoint_path
from opzo.spec.errors import OpzoError
from opzo.spec.neurons import in_words

logger = logging.getLogger(__name__)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("run", type=Path, help="run folder or checkpoint of opzo train")
    parser.add_argument("--set", choices=("test", "train"), default="test", help="part of the data set (default: test)")
    keys = ("data", "data_root", "crop", "contrast", "device", "lanes", "weight_bits")
    add_config(parser, keys, **dict.fromkeys(keys, AS_TRAINED))
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate; exit code."""
    checkpoint = Checkpoint.load(checkpoint_path(arguments.run))
    network, rule = checkpoint.network, checkpoint.rule
    if "data" not in checkpoint.settings | given_settings(arguments):
        raise OpzoError(f"{arguments.run} does not state its training data; give --data")
    config = checkpoint.config(given_settings(arguments), str(arguments.run))
    data = data_of(config, checkpoint.contrast)
    samples = data.test if arguments.set == "test" else data.train
    samples.check(network, config.data)
    names = checkpoint.class_names or padded(data.names, network.classes)
    if difference := other_names(names, data.names):
        logger.warning("warning: %s", difference)
    known = checkpoint.test_digest if arguments.set == "test" else checkpoint.data_digest
    if known and samples.digest != known and "data" not in vars(arguments):
        logger.warning("warning: the %s samples of %s have changed since training", arguments.set, config.data)
    with open_device(config.device, network, config.lanes, config.weight_bits) as device:
        device.configure(network, rule)
        checkpoint.state.write_weights(device)
        by_class = np.zeros((network.classes, 2), np.int64)

        def answered(prediction: int, label: int) -> None:
            by_class[label] += (1, prediction == label)

        tally = evaluate(device, network, samples, answered=answered)
        identity, repeats = device.identity, device.repeats
    figures = tally.figures(network, identity)
    # The name contains the set, as in the figures of opzo train.
    figures = {f"{arguments.set}_accuracy": figures.pop("accuracy")} | figures | {"link_repeats": repeats}
    if arguments.json:
        facts: dict[str, Any] = {
            "device": config.device,
            "data": config.data,
            "set": arguments.set,
            "network": str(network),
            "steps": network.steps,
            "input": network.input.name.lower(),
            "local": network.local,
            "intermediate": network.intermediate,
            "leak": in_words(network.leak),
            "reset": in_words(network.reset),
            "lanes": identity.lanes,
            "weight_bits": identity.weight_bits,
            "rule": rule.name.lower(),
            "class_names": list(names),
            "class_accuracy": [int(right) / int(count) if count else None for count, right in by_class],
        }
        print_json(facts | figures)
    else:
        rates = " ".join(f"{rate:.3f}" for rate in figures["firing_rates"])
        print(f"accuracy {tally.accuracy:.2%} on {tally.samples} samples ({arguments.set} set of {config.data})")
        worst = min(np.flatnonzero(by_class[:, 0]).tolist(), key=lambda label: by_class[label, 1] / by_class[label, 0])
        count, right = by_class[worst].tolist()
        print(f"lowest for class {class_text(worst, names)}: {right / count:.2%} of {count} samples")
        print(f"loss {figures['loss']:.3f} bits per time step")
        print(f"firing rates {rates} spikes per neuron and time step")
        print(f"{figures['cycles_per_sample']:,.0f} {figures['cycles']} cycles per sample")
    return 0
