"""``opzo eval``: test a trained network on a device."""

import argparse
import logging
from pathlib import Path
from typing import Any

from opzo.host.checkpoint import Checkpoint
from opzo.host.class_names import other_names
from opzo.host.data import load_data
from opzo.host.device import open_device
from opzo.host.options import add_config, add_output, given, print_json
from opzo.host.run_folder import checkpoint_path
from opzo.host.trainer import evaluate

logger = logging.getLogger(__name__)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("run", type=Path, help="run folder or checkpoint of opzo train")
    parser.add_argument("--set", choices=("test", "train"), default="test", help="which samples (default: test)")
    same = "as in training"
    keys = ("data", "data_root", "device", "lanes", "weight_bits")
    add_config(parser, keys, **dict.fromkeys(keys, same))
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate; exit code."""
    checkpoint = Checkpoint.load(checkpoint_path(arguments.run))
    network, rule = checkpoint.network, checkpoint.rule
    config = checkpoint.config(given(arguments), str(arguments.run))
    data = load_data(config.data, config.data_root)
    samples = data.test if arguments.set == "test" else data.train
    samples.check(network, config.data)
    if difference := other_names(checkpoint.class_names, data.names):
        logger.warning("warning: %s", difference)
    known = checkpoint.test_digest if arguments.set == "test" else checkpoint.data_digest
    if known and samples.digest != known and "data" not in vars(arguments):
        logger.warning(
            "warning: the %s samples of %s are not those of the training run any more", arguments.set, config.data
        )
    with open_device(config.device, network, config.lanes, config.weight_bits) as device:
        device.configure(network, rule)
        checkpoint.state.write_weights(device)
        tally = evaluate(device, samples)
        identity, repeats = device.identity, device.repeats
    figures = tally.figures(network, identity)
    # As in the figures of opzo train: the set is part of the name.
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
            "lanes": identity.lanes,
            "weight_bits": identity.weight_bits,
            "rule": rule.name.lower(),
            "class_names": list(checkpoint.class_names),
        }
        print_json(facts | figures)
    else:
        rates = " ".join(f"{rate:.3f}" for rate in figures["firing_rates"])
        print(f"accuracy {tally.accuracy:.2%} on {tally.samples} samples ({arguments.set} set of {config.data})")
        print(f"loss {figures['loss']:.3f} bits per time step")
        print(f"firing rates {rates} spikes per neuron and time step")
        print(f"{figures['cycles_per_sample']:,.0f} {figures['cycles']} cycles a sample")
    return 0
