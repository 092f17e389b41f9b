"""``opzo eval``: test a trained network."""

import argparse
import shutil
from textwrap import wrap
from typing import Any

import numpy as np

from opzo.host.cli.options import add_output, given_settings
from opzo.host.cli.output import print_json
from opzo.host.cli.trained_run import TrainedRun, add_run, add_run_config
from opzo.host.data.class_names import class_text
from opzo.host.report.confusion_table import class_accuracies, confusion_table
from opzo.host.report.energy import energy_figures, energy_table, float_energy
from opzo.host.training.evaluation import evaluate
from opzo.spec.neurons import in_words


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_run(parser)
    add_run_config(parser, "data")
    add_output(parser)
    parser.add_argument(
        "--energy", action="store_true", help="also print an estimate of the energy of a sample (--json always has it)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Evaluate; exit code."""
    trained = TrainedRun.load(arguments.run, arguments.set, given_settings(arguments))
    config, network, names = trained.config, trained.checkpoint.network, trained.names
    confusion = np.zeros((network.classes, network.classes), np.int64)

    def answered(prediction: int, label: int) -> None:
        confusion[label, prediction] += 1

    with trained.device() as device:
        tally = evaluate(device, network, trained.samples, answered=answered)
        identity, repeats = device.identity, device.repeats
    figures = tally.figures(network, identity)
    chip, cpu = tally.energy(network, identity), float_energy(network)
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
            "rule": trained.checkpoint.rule.name.lower(),
            "class_names": list(names),
            "class_accuracy": class_accuracies(confusion),
            "confusion": confusion.tolist(),
        }
        print_json(facts | figures | {"energy": energy_figures(chip, cpu)})
    else:
        rates = " ".join(f"{rate:.3f}" for rate in figures["firing_rates"])
        print(f"accuracy {tally.accuracy:.2%} on {tally.samples} samples ({arguments.set} set of {config.data})")
        print(f"loss {figures['loss']:.3f} bits per time step")
        print(f"firing rates {rates} spikes per neuron and time step")
        print(f"{figures['cycles_per_sample']:,.0f} {figures['cycles']} cycles per sample")
        classes = [class_text(label, names) for label in range(network.classes)]
        columns = shutil.get_terminal_size().columns
        print("\n".join(confusion_table(confusion, classes, columns)))
        if arguments.energy:
            for line in energy_table(chip, cpu):
                print("\n".join(wrap(line, columns, drop_whitespace=False, subsequent_indent="  ")))
    return 0
