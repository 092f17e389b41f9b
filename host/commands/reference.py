"""``opzo reference``: train the PyTorch reference, compare its runs, and what its methods cost."""

import argparse
from importlib import import_module

from opzo.host.commands.export import missing

COMMANDS = {
    "train": ("reference_train", "train a network with a method of the paper, in floating point"),
    "table": ("reference_table", "show runs side by side, beside the figures of the paper"),
    "cost": ("reference_cost", "show what each method costs, by formula and measured"),
}
"""Subcommands: module in ``opzo.host.commands``, and help."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (module_name, text) in COMMANDS.items():
        module = import_module(f"opzo.host.commands.{module_name}")
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
        module.add(command)
        command.set_defaults(run_reference_command=module.run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand; exit code."""
    try:
        code: int = arguments.run_reference_command(arguments)
    except ModuleNotFoundError as error:
        raise missing(error) from None
    return code
