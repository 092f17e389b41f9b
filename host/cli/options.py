"""Command-line options that subcommands share."""

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import Field, fields
from functools import partial
from importlib import import_module
from typing import Any, NoReturn

import opzo
from opzo.host.training.config import Config, check_value, checked, meant, read_toml
from opzo.host.training.old_names import OLD_NAMES, notice, renamed
from opzo.spec.errors import OpzoError
from opzo.spec.messages import did_you_mean, printable
from opzo.spec.values import real_number, whole_number
from opzo.system.paths import expanded

CLOCK = 100.0
"""MHz for which simulated cycles are turned into time, unless the device has a clock of its own."""


class Parser(argparse.ArgumentParser):
    """Argument parser whose errors are OpzoErrors: one line, with the nearest name, no usage text."""

    def error(self, message: str) -> NoReturn:
        if wrong := re.fullmatch(r"(argument .*: )?invalid choice: '(.*?)' \(choose from (.*)\)", message):
            choices = [choice.strip("' ") for choice in wrong[3].split(",")]
            message = f"there is no '{wrong[2]}'{did_you_mean(wrong[2], choices)}; choose from {', '.join(choices)}"
        raise OpzoError(f"{message}; see {self.prog} --help")

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """Refuse an unknown argument here, where the subcommand and its options are known."""
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            known = [name.removeprefix("--") for name in self._option_string_actions if name.startswith("--")]
            name = unknown[0].partition("=")[0]
            if not name.startswith("-"):
                self.error(f"'{name}' is one argument too many")
            # The hint names a key of Config, whose option has hyphens.
            hint = meant(name.lstrip("-"), known).replace("mean '", "mean '--").replace("_", "-")
            self.error(f"there is no option {name}{hint}")
        return namespace, unknown


def add_config(parser: argparse.ArgumentParser, keys: Sequence[str] | None = None, **defaults: str) -> None:
    """Add one option for each key of Config (or for ``keys``); what is not given stays out of the namespace.

    ``defaults`` says in the help what stands in for a key that is not given, where that is not Config's default.
    """
    for entry in fields(Config):
        if keys is not None and entry.name not in keys:
            continue
        assert isinstance(entry.type, type)
        default = defaults.get(entry.name, str(entry.default) or "none")
        parser.add_argument(
            "--" + entry.name.replace("_", "-"),
            type=partial(_setting, entry),
            default=argparse.SUPPRESS,
            metavar=entry.type.__name__.upper() if entry.type is not str else entry.name.upper(),
            help=f"{entry.metadata['help'].replace('%', '%%')} (default: {default})",
        )
        if entry.name in OLD_NAMES:
            parser.add_argument(
                "--" + OLD_NAMES[entry.name].replace("_", "-"),
                dest=entry.name,
                action=_OldName,
                type=partial(_setting, entry),
                default=argparse.SUPPRESS,
                help=argparse.SUPPRESS,
            )


class _OldName(argparse.Action):
    """Option that was renamed: stores its value and prints a notice."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, value: Any, option: Any = None
    ) -> None:
        say(f"opzo: note: {notice(str(option), '--' + self.dest.replace('_', '-'))}")
        setattr(namespace, self.dest, value)


def _setting(entry: "Field[Any]", text: str) -> Any:
    """Value of a key of Config from the command line; OpzoError where type or range is wrong."""
    value: Any = text
    if entry.type is not str:
        with suppress(ValueError):
            value = int(text) if entry.type is int else float(text)
    return check_value(entry, value, "--" + entry.name.replace("_", "-"))


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Keys of Config that the command line gives, over those of its ``--config`` file."""
    names = {entry.name for entry in fields(Config)}
    values: dict[str, Any] = {}
    if getattr(arguments, "config", None):
        source = str(arguments.config)
        values = checked(renamed(read_toml(arguments.config), source), source)
    return values | {key: value for key, value in vars(arguments).items() if key in names}


def add_commands(parser: argparse.ArgumentParser, commands: Mapping[str, tuple[str, str]], dest: str) -> None:
    """Add subcommands: name to module in ``opzo.host.cli`` and help; the module's ``run`` goes to ``dest``."""
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (module_name, text) in commands.items():
        module = import_module(f"opzo.host.cli.{module_name}")
        command = subparsers.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False
        )
        module.add(command)
        command.set_defaults(program=command.prog, **{dest: module.run})


def print_json(facts: Mapping[str, Any]) -> None:
    """Print the figures of a command as one JSON object, with the program's version as ``version``."""
    print(json.dumps({"version": opzo.__version__, **facts}))


def show(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print facts: one JSON object, or a line each."""
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{key.replace('_', ' ')} {figure}" for key, figure in value.items())
        elif value is None:
            value = "unknown"
        print(printable(f"{name.replace('_', ' ')}: {value}"))


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the options on how much to say, and how."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    add_verbosity(parser)


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    """Add ``-v`` and ``-q``."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("-v", "--verbose", action="store_true", help="say more on stderr, for finding faults")
    group.add_argument(
        "-q", "--quiet", action="store_true", help="print only results and warnings: no table of epochs, no progress"
    )


def add_clock(parser: argparse.ArgumentParser, text: str) -> None:
    """Add ``--clock``."""
    # Devices report whole kHz, in 32 bits.
    parser.add_argument("--clock", type=number(0.001, 100_000), default=argparse.SUPPRESS, metavar="MHZ", help=text)


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Type of an option, for argparse: a whole number in ``low..high``, both included; without ``high``, no end."""

    def parse(text: str) -> int:
        value: Any = text
        with suppress(ValueError):
            value = int(text)
        return whole_number("the value", value, low, high, error=_WrongValueError)

    return parse


def number(low: float, high: float = math.inf, *, above: bool = False) -> Callable[[str], float]:
    """Type of an option, for argparse: a finite number in ``low..high``, or only ``above`` ``low``."""

    def parse(text: str) -> float:
        value: Any = text
        with suppress(ValueError):
            value = float(text)
        if above and value == low:
            raise argparse.ArgumentTypeError(f"the value must be above {low:g}, not '{text}'")
        return real_number("the value", value, low, high, error=_WrongValueError)

    return parse


class _WrongValueError(OpzoError, argparse.ArgumentTypeError):
    """A value that argparse reports with the name of its option."""


positive = number(0, above=True)
"""Type of an option, for argparse: a number above 0."""


SIDE_MAX = 1 << 16
"""Pixels across or down: coordinates of events are 16-bit numbers."""


def size(text: str) -> tuple[int, int]:
    """Type of an option, for argparse: width and height of ``48x32`` or, square, ``48``."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and 0 < int(side[:9]) <= SIDE_MAX for side in sides):
        raise argparse.ArgumentTypeError(f"must be WxH with sides of 1..{SIDE_MAX} pixels, not '{text}'")
    return int(sides[0]), int(sides[-1])


def add_camera(parser: argparse.ArgumentParser) -> None:
    """Add ``--sensor`` and ``--camera``: what a recording may leave open."""
    parser.add_argument("--sensor", type=size, metavar="WxH", help="size of the sensor, where a file does not say it")
    parser.add_argument(
        "--camera",
        metavar="NAME",
        help="camera of files with several: number of the source or stream (AEDAT), path of its events (HDF5) "
        "(default: the first)",
    )


def absolute(text: str) -> str:
    """Absolute path of a file or folder name, so that a run can be resumed from anywhere; '' stays."""
    return str(expanded(text).absolute()) if text else ""


def say(message: str) -> None:
    """Tell the user something that is no result: on stderr."""
    print(message, file=sys.stderr, flush=True)
