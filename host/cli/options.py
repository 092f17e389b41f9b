"""Options that several commands share."""

import argparse
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import Field, fields
from functools import partial
from typing import Any

from opzo.host.cli.option_types import number, size
from opzo.host.driver.device import Device
from opzo.host.training.config import Config, check_value, checked, option_name, read_toml
from opzo.host.training.old_names import renamed

CLOCK_MHZ = 100.0
"""Clock used to convert cycles to time for a device that reports none, as the simulated ones."""
AS_TRAINED = "as in training"


def add_config(parser: argparse.ArgumentParser, keys: Sequence[str] | None = None, **defaults: str) -> None:
    """Add an option for each key of Config, or for each of ``keys``, in the groups of Config.

    An option that is not given is left out of the parsed arguments. ``defaults`` replaces the default that the help
    shows for a key; "" shows none.
    """
    groups: dict[str, argparse._ArgumentGroup] = {}
    for entry in fields(Config):
        if keys is not None and entry.name not in keys:
            continue
        title = entry.metadata["group"]
        if title not in groups:
            groups[title] = group(parser, title)
        default = defaults.get(entry.name, str(entry.default))
        text = entry.metadata["help"] + (f" (default: {default})" if default else "")
        groups[title].add_argument(
            option_name(entry.name),
            dest=entry.name,
            type=partial(_setting, entry),
            default=argparse.SUPPRESS,
            metavar=entry.metadata["metavar"],
            help=text.replace("%", "%%"),
        )


def group(parser: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    """Group of options with ``title`` in the help; a group that the parser already has is reused."""
    for existing in parser._action_groups:
        if existing.title == title:
            return existing
    return parser.add_argument_group(title)


def _setting(entry: "Field[Any]", text: str) -> Any:
    """Value of a key of Config from the command line; OpzoError where its type or range is wrong."""
    value: Any = text
    if entry.type is not str:
        with suppress(ValueError):
            value = int(text) if entry.type is int else float(text)
    return check_value(entry, value, option_name(entry.name))


def given_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Keys and values of Config that the user gave: those of the ``--config`` file, overridden by options."""
    names = {entry.name for entry in fields(Config)}
    values: dict[str, Any] = {}
    if getattr(arguments, "config", None):
        source = str(arguments.config)
        values = checked(renamed(read_toml(arguments.config), source), source)
    return values | {key: value for key, value in vars(arguments).items() if key in names}


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``, ``-v`` and ``-q``."""
    group(parser, "output").add_argument("--json", action="store_true", help="print one JSON object instead of text")
    add_verbosity(parser)


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    """Add ``-v`` and ``-q``."""
    either = group(parser, "output").add_mutually_exclusive_group()
    either.add_argument("-v", "--verbose", action="store_true", help="log more to stderr, for debugging")
    either.add_argument("-q", "--quiet", action="store_true", help="print only results and warnings")


def add_clock(parser: argparse.ArgumentParser, text: str, title: str = "options") -> None:
    """Add ``--clock`` to a group of options."""
    # Devices report the clock in kHz, in 32 bits.
    group(parser, title).add_argument(
        "--clock", type=number(0.001, 100_000), default=argparse.SUPPRESS, metavar="MHZ", help=text
    )


def add_time_clock(parser: argparse.ArgumentParser) -> None:
    """Add ``--clock`` for converting cycles to time (`clock_mhz`)."""
    text = f"clock used to convert cycles to time, in MHz (default: the device's, else {CLOCK_MHZ:g})"
    add_clock(parser, text, "device")


def clock_mhz(arguments: argparse.Namespace, device: Device) -> float:
    """Clock for converting cycles to time: that of ``--clock``, else the device's, else CLOCK_MHZ."""
    return getattr(arguments, "clock", None) or device.identity.clock_mhz or CLOCK_MHZ


def add_camera(parser: argparse.ArgumentParser) -> None:
    """Add ``--sensor`` and ``--camera``, for what a recording may leave open."""
    parser.add_argument("--sensor", type=size, metavar="WxH", help="sensor size, for a file that does not state it")
    parser.add_argument(
        "--camera",
        metavar="NAME",
        help="camera in a file with several: number of the source or stream (AEDAT) or path of its events (HDF5) "
        "(default: the first)",
    )
