"""``opzo store``: show, fill or erase the sample store of a device."""

import argparse

from opzo.host.cli.parser import add_commands

COMMANDS = {
    "list": ("store.contents", "show what the sample store of a device contains"),
    "upload": ("store.upload", "write the samples of a data set to the sample store, as opzo train does"),
    "erase": ("store.erase", "forget what the sample store contains"),
}
"""Subcommands: module in ``opzo.host.cli``, and help."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    add_commands(parser, COMMANDS, "run_store_command")


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand; exit code."""
    code: int = arguments.run_store_command(arguments)
    return code
