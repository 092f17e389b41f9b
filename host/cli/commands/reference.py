"""``opzo reference``: train the PyTorch reference, compare its runs and the cost of its methods."""

import argparse

from opzo.host.cli.commands.export import missing
from opzo.host.cli.parser import add_commands

COMMANDS = {
    "train": ("reference.train", "train a network with a method of the paper in floating point"),
    "table": ("reference.table", "compare runs with each other and with the paper"),
    "cost": ("reference.cost", "show the cost of each method, calculated and measured"),
}
"""Subcommands: module in ``opzo.host.cli``, and help."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    add_commands(parser, COMMANDS, "run_reference_command")


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand; exit code."""
    try:
        code: int = arguments.run_reference_command(arguments)
    except ModuleNotFoundError as error:
        raise missing(error) from None
    return code
