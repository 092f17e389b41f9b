"""``opzo export``: write the weights of a checkpoint as a PyTorch state dict or NIR graph."""

import argparse
from pathlib import Path

from opzo.host.cli.options import add_output
from opzo.host.cli.output import print_facts
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.run_folder import checkpoint_path
from opzo.spec.errors import OpzoError
from opzo.system.atomic import check_output, write_atomically

SUFFIXES = {".pt": ".pt", ".pth": ".pt", ".nir": ".nir"}
"""File suffixes and the format of each: state dict or graph."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("run", type=Path, help="run folder or checkpoint of opzo train")
    parser.add_argument("out", type=Path, help="file to write: .pt or .pth (state dict) or .nir (graph)")
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Export; exit code."""
    suffix = check_suffix(arguments.out)
    check_output(arguments.out)
    checkpoint = Checkpoint.load(checkpoint_path(arguments.run))
    try:
        if suffix == ".nir":
            from opzo.host.exchange.nir_graph import encode_nir, to_nir

            content = encode_nir(to_nir(checkpoint))
        else:
            from opzo.host.exchange.pytorch import encode_state_dict, from_chip

            content = encode_state_dict(from_chip(checkpoint))
    except ModuleNotFoundError as error:
        raise missing(error) from None
    write_atomically(arguments.out, content)
    network = checkpoint.network
    facts = {
        "file": str(arguments.out),
        "network": str(network),
        "steps": network.steps,
        "input": network.input.name.lower(),
        "weight_bits": checkpoint.state.weight_bits,
    }
    print_facts(facts, as_json=arguments.json)
    return 0


def check_suffix(path: Path) -> str:
    """Format of a file of a float network, ``.pt`` or ``.nir``; OpzoError where its suffix is unknown."""
    if path.suffix.lower() not in SUFFIXES:
        raise OpzoError(f"the suffix of {path} is unknown; use {', '.join(SUFFIXES)}")
    return SUFFIXES[path.suffix.lower()]


def missing(error: ModuleNotFoundError) -> OpzoError:
    """Error for a missing package, with the command that installs it."""
    return OpzoError(f"PyTorch or nir cannot be loaded ({error}); install them with: pip install 'opzo[torch]'")
