"""``opzo registers``: the maps of registers, or the link protocol, for documentation and drivers in other languages."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import opzo
from opzo.host.cli.options import add_output
from opzo.host.report.bus_map import bus_header, bus_map, bus_page
from opzo.host.report.bus_svd import bus_svd
from opzo.host.report.interface_map import (
    protocol_header,
    protocol_map,
    protocol_page,
    register_header,
    register_map,
    registers_page,
)
from opzo.spec.errors import ChoiceError
from opzo.system.atomic import check_output, write_atomically

PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "registers": {
        "md": registers_page,
        "c": register_header,
        "json": lambda: _json(register_map()),
    },
    "protocol": {
        "md": protocol_page,
        "c": protocol_header,
        "json": lambda: _json(protocol_map()),
    },
    "bus": {
        "md": bus_page,
        "c": bus_header,
        "json": lambda: _json(bus_map()),
        "svd": bus_svd,
    },
}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--part", choices=tuple(PARTS), default="registers", help="what to print (default: registers)")
    parser.add_argument(
        "--format", choices=("md", "c", "json", "svd"), help="Markdown, C header, JSON, or SVD of the bus (default: md)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="file to write instead of printing")
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print or write the map; exit code."""
    if arguments.json and arguments.format not in (None, "json"):
        raise ChoiceError(f"--json and --format {arguments.format} exclude each other; give one of them")
    if arguments.out is not None:
        check_output(arguments.out)
    kind, formats = "json" if arguments.json else arguments.format or "md", PARTS[arguments.part]
    if kind not in formats:
        raise ChoiceError(f"--part {arguments.part} has no format {kind}; choose {', '.join(formats)}")
    text = formats[kind]()
    if arguments.out is None:
        print(text, end="")
    else:
        write_atomically(arguments.out, text.encode())
    return 0


def _json(facts: dict[str, object]) -> str:
    return json.dumps({"version": opzo.__version__, **facts}, indent=1) + "\n"
