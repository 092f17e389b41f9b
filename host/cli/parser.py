"""Argument parser of ``opzo`` and its subcommands."""

import argparse
import re
from collections.abc import Mapping
from importlib import import_module
from typing import NoReturn

from opzo.host.cli.exit_codes import DONE
from opzo.host.training.config import meant
from opzo.spec.errors import OpzoError
from opzo.spec.messages import did_you_mean


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of descriptions and epilogs, and leaves more room for the names of options."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)


class Parser(argparse.ArgumentParser):
    """Argument parser that raises OpzoError: one line, with the nearest known name, without the usage text."""

    def error(self, message: str) -> NoReturn:
        if wrong := re.fullmatch(r"(argument .*: )?invalid choice: '(.*?)' \(choose from (.*)\)", message):
            choices = [choice.strip("' ") for choice in wrong[3].split(",")]
            message = f"there is no '{wrong[2]}'{did_you_mean(wrong[2], choices)}; choose from {', '.join(choices)}"
        raise OpzoError(f"{message}; see {self.prog} --help")

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """Reject an unknown argument here, where the subcommand and its options are known."""
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            actions = self._option_string_actions.items()
            # Without old names, which the help does not show either.
            known = [name[2:] for name, action in actions if name.startswith("--") and action.help != argparse.SUPPRESS]
            name = unknown[0].partition("=")[0]
            if not name.startswith("-"):
                self.error(f"'{name}' is one argument too many")
            # The hint names a key of Config, whose option has hyphens.
            hint = meant(name.lstrip("-"), known).replace("mean '", "mean '--").replace("_", "-")
            self.error(f"there is no option {name}{hint}")
        return namespace, unknown


def add_commands(parser: argparse.ArgumentParser, commands: Mapping[str, tuple[str, str]], dest: str) -> None:
    """Add subcommands.

    Parameters
    ----------
    commands : dict
        Name of each to its module in ``opzo.host.cli`` and its help text. The module has ``add``, which adds options to
        a parser, and ``run``.
    dest : str
        Attribute of the parsed arguments that gets ``run`` of the chosen command; without a command, a function that
        prints the help of ``parser``.
    """

    def overview(arguments: argparse.Namespace) -> int:
        parser.print_help()
        return DONE

    parser.set_defaults(program=parser.prog, verbose=False, quiet=False, **{dest: overview})
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, (module_name, text) in commands.items():
        module = import_module(f"opzo.host.cli.{module_name}")
        command = subparsers.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            allow_abbrev=False,
            formatter_class=HelpFormatter,
        )
        module.add(command)
        command.set_defaults(program=command.prog, **{dest: module.run})
