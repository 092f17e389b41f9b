"""``opzo import``: convert a float network to a checkpoint and report the quantization loss."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opzo.host.cli.commands.export import check_suffix, missing
from opzo.host.cli.option_types import number, positive
from opzo.host.cli.options import add_config, add_output, given_settings
from opzo.host.cli.output import log, print_facts
from opzo.host.data.data_sets import CIFAR10
from opzo.host.driver.state import State
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Config
from opzo.host.training.configure import data_of
from opzo.spec.errors import OpzoError
from opzo.spec.neurons import Reset, choices
from opzo.spec.rules import Rule
from opzo.system.atomic import check_output
from opzo.system.paths import absolute

if TYPE_CHECKING:
    from opzo.host.exchange.pytorch import FloatModel

KEYS = ("net", "steps", "input", "data", "data_root", "crop", "contrast", "rule", "seed", "lanes", "weight_bits")
KEPT = ("net", "steps", "input", "leak", "reset", "rule", "seed", "lanes", "weight_bits")
"""Settings that the checkpoint keeps in any case."""
NEURON_OPTIONS = {"threshold": ".pt", "neuron_leak": ".pt", "dt": ".nir"}
"""Options for properties of neurons, and the kind of file that does not contain them."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "source",
        type=Path,
        help="float network: .pt or .pth (state dict of linear layers and convolutions) or .nir (graph)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="checkpoint (.npz) to write (required)")
    parser.add_argument(
        "--one",
        type=positive,
        metavar="VALUE",
        help="pixel value that is 1.0 for the network, for example 255 after ToTensor (default: 256, as on the chip)",
    )
    parser.add_argument(
        "--mean",
        type=number(-1e9, 1e9),
        metavar="X",
        help="mean that its preprocessing subtracts from inputs (default: 0)",
    )
    parser.add_argument("--std", type=positive, metavar="X", help="divisor of inputs after the mean (default: 1)")
    parser.add_argument(
        "--threshold",
        type=positive,
        metavar="V",
        help="firing threshold of the neurons, for .pt files (default: as in the file, else 1)",
    )
    parser.add_argument(
        "--neuron-leak",
        type=number(0, 1),
        metavar="X",
        help="share of the membrane potential kept per time step, for .pt files (default: as in the file, else 0.5)",
    )
    parser.add_argument(
        "--neuron-reset",
        type=Reset.parse,
        metavar="KIND",
        help=f"what a spike does to the potential, {choices(Reset)} (default: as in the file; else zero for .nir, as "
        "NIR says, and subtract for .pt)",
    )
    parser.add_argument(
        "--dt",
        type=positive,
        metavar="S",
        help="length of a time step in seconds, for .nir files (default: as in the file)",
    )
    of_layers, of_file = "sizes of the layers", "as in the file, else {}"
    add_config(
        parser,
        KEYS,
        net=of_layers,
        steps=of_file.format(Config.steps),
        input=of_file.format(Config.input),
        data="none: the networks are not compared on data",
    )
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Import, write the checkpoint and print the report; exit code."""
    suffix = check_suffix(arguments.source)
    check_output(arguments.out)
    for name, kind in NEURON_OPTIONS.items():
        if getattr(arguments, name) is not None and suffix != kind:
            option = name.replace("_", "-")
            raise OpzoError(
                f"--{option} is for {kind} files; {arguments.source} contains the value, leave the option out"
            )
    try:
        from opzo.host.exchange.pytorch import to_chip

        model = _read(arguments, suffix)
    except ModuleNotFoundError as error:
        raise missing(error) from None
    config, settings = _settings(arguments, model)
    limits = config.network.limits(config.lanes, config.weight_bits)
    config.network.check(limits)
    samples = data_of(config).test if "data" in settings else None
    network = config.network
    weights, report = to_chip(
        model.layers, network, weight_bits=config.weight_bits, samples=samples, neurons=model.neurons
    )
    rule = Rule.parse(config.rule)
    state = State.initial(network, rule, config.seed, limits)
    Checkpoint(network, rule, replace(state, weights=weights), settings=settings).save(arguments.out)
    facts = {"file": str(arguments.out), "network": str(network), "steps": network.steps, "input": config.input}
    if report.saturates:
        log(f"opzo: warning: weights beyond the range of {config.weight_bits} bits were clipped; accuracy may suffer")
    print_facts(facts | report.figures() if arguments.json else facts, as_json=arguments.json)
    if not arguments.json:
        print(report.table())
    return 0


def _read(arguments: argparse.Namespace, suffix: str) -> FloatModel:
    """Float network of the file, with the conventions of the chip."""
    from opzo.host.exchange.float_layers import InputScaling
    from opzo.host.exchange.pytorch import from_state_dict
    from opzo.host.exchange.torch_file import read_state_dict

    def options(**names: str) -> dict[str, Any]:
        values = {key: getattr(arguments, name) for key, name in names.items()}
        return {key: value for key, value in values.items() if value is not None}

    scaling = InputScaling(**options(one="one", mean="mean", std="std"))
    try:
        if suffix == ".nir":
            from opzo.host.exchange.nir_file import read_nir
            from opzo.host.exchange.nir_graph import from_nir

            return from_nir(read_nir(arguments.source), scaling=scaling, **options(dt="dt", reset="neuron_reset"))
        neurons = options(threshold="threshold", leak="neuron_leak", reset="neuron_reset")
        return from_state_dict(read_state_dict(arguments.source), scaling=scaling, **neurons)
    except OpzoError as error:
        if str(arguments.source) in str(error):
            raise
        raise OpzoError(f"{arguments.source}: {error}") from None


def _settings(arguments: argparse.Namespace, model: FloatModel) -> tuple[Config, dict[str, Any]]:
    """Configuration from options and file, and the settings that the checkpoint keeps."""
    from opzo.host.exchange.neurons import texts

    in_file: dict[str, Any] = {"net": model.net} if model.net else {}
    for neurons in model.neurons:
        neurons.warn()
    in_file["leak"], in_file["reset"] = texts(model.neurons)
    if model.strided:
        in_file["strided"] = model.strided
    if model.steps is not None:
        in_file["steps"] = model.steps
    if model.input is not None:
        in_file["input"] = model.input.name.lower()
    given = given_settings(arguments)
    if not in_file.get("net") and "net" not in given:
        raise OpzoError(
            f"{arguments.source} does not say what its convolutions see; give the network with --net, like "
            f"CHANNELSxHEIGHTxWIDTH-{_parts(model)}, with p2 after a convolution that is pooled"
        )
    values = in_file | {"contrast": int(given.get("data") == CIFAR10)} | given
    if "data_root" in values:
        values["data_root"] = absolute(values["data_root"])
    if values.get("data", "").lower().endswith(".npz"):
        values["data"] = absolute(values["data"])
    config = Config.of(values, "the settings")
    kept = {key: asdict(config)[key] for key in KEPT}
    return config, kept | values


def _parts(model: FloatModel) -> str:
    """Layers as in a network's text, without inputs and pools."""
    return "-".join(
        f"{len(layer.weight)}c{layer.weight.shape[2]}" if layer.convolution else str(len(layer.weight))
        for layer in model.layers
    )
