"""``opzo data``: convert, show or generate event data."""

import argparse

from opzo.host.cli.parser import add_commands

COMMANDS = {
    "convert": ("data.convert", "convert recordings to an .npz file of events"),
    "show": ("data.show", "show the contents of a recording or an .npz file of events"),
    "saccade": ("data.saccade", "generate a synthetic event data set from images"),
}
"""Subcommands: module in ``opzo.host.cli``, and help."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    add_commands(parser, COMMANDS, "run_data_command")


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand; exit code."""
    code: int = arguments.run_data_command(arguments)
    return code
