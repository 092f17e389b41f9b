"""``opzo data``: convert event data, show what a file of it holds, or make a synthetic data set."""

import argparse

from opzo.host.cli.parser import add_commands

COMMANDS = {
    "convert": ("data.convert", "convert recordings or a data set of them to an .npz file of events"),
    "show": ("data.show", "show what a recording or an .npz file of events holds"),
    "saccade": ("data.saccade", "make a synthetic event data set of images"),
}
"""Subcommands: module in ``opzo.host.cli``, and help."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    add_commands(parser, COMMANDS, "run_data_command")


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand; exit code."""
    code: int = arguments.run_data_command(arguments)
    return code
