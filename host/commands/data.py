"""``opzo data``: convert event data, show what a file of it holds, or make a synthetic data set."""

import argparse
from importlib import import_module

COMMANDS = {
    "convert": ("data_convert", "convert recordings or a data set of them to an .npz file of events"),
    "show": ("data_show", "show what a recording or an .npz file of events holds"),
    "saccade": ("data_saccade", "make a synthetic event data set of images"),
}
"""Subcommands: module in ``opzo.host.commands``, and help."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (module_name, text) in COMMANDS.items():
        module = import_module(f"opzo.host.commands.{module_name}")
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
        module.add(command)
        command.set_defaults(run_data_command=module.run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand; exit code."""
    code: int = arguments.run_data_command(arguments)
    return code
