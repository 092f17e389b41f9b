"""``opzo boards``: list the boards, and what each offers for a network."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from opzo.boards.board import Board
from opzo.boards.registry import BOARDS
from opzo.host.cli.options import add_config, add_output, given_settings
from opzo.host.cli.output import log, print_json
from opzo.host.training.config import Config, option_name
from opzo.spec.errors import OpzoError
from opzo.spec.network import Network

if TYPE_CHECKING:
    from opzo.boards.offers import Offer

WIDTH = 80
NAME = 17
"""Width of the longest name of a board."""
TITLE = 28


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_config(
        parser,
        ("net", "steps", "input", "local", "intermediate", "block", "weight_bits"),
        net="none: list the boards only",
        weight_bits="16, or 12 where 16 do not fit",
    )
    add_output(parser)
    parser.epilog = (
        "With --net, cells and training samples/s are estimates before a build: for\n"
        "frames, with the activity of networks trained on MNIST, at the default clock."
    )


def run(arguments: argparse.Namespace) -> int:
    """List the boards; exit code."""
    settings = given_settings(arguments)
    if "net" not in settings:
        if settings:
            raise OpzoError(f"{', '.join(map(option_name, settings))}: these describe a network; give --net as well")
        if arguments.json:
            print_json({"boards": [_facts(board) for board in BOARDS]})
        else:
            print("\n".join(_table()))
            if not arguments.quiet:
                log("opzo: not every board holds a chip; see what fits with: opzo boards --net 64-64-64-10")
        return 0
    network = Config.of(settings, "the settings").network
    offers = _offers(network, settings.get("weight_bits"))
    if arguments.json:
        print_json({"network": str(network), "boards": [_facts(offer.board) | _offer_facts(offer) for offer in offers]})
    else:
        print("\n".join(_offer_table(offers, network)))
    return 0


def _offers(network: Network, weight_bits: int | None) -> "list[Offer]":
    try:
        from opzo.boards.offers import Offer
    except ModuleNotFoundError as error:
        raise OpzoError(
            f"opzo boards --net needs the package {error.name}; install it with: pip install 'opzo[boards]'"
        ) from None
    return [Offer.of(board, network, weight_bits) for board in BOARDS]


def _facts(board: Board) -> dict[str, Any]:
    return {
        "name": board.name,
        "title": board.title,
        "family": board.family.value,
        "open_tools": board.family.open,
        "available": asdict(board.device),
        "core_clock_mhz": board.core_mhz,
        "link_baud": board.baud,
        "usb_bridge": board.bridge or None,
    }


def _offer_facts(offer: "Offer") -> dict[str, Any]:
    return {
        "fits": offer.fits,
        "shortage": offer.shortage or None,
        "lanes": offer.limits.lanes,
        "weight_bits": offer.limits.weight_bits,
        "used": offer.used,
        "clock_mhz": offer.clock_mhz,
        "speed": offer.speed,
    }


def _table() -> Iterator[str]:
    yield f"{'board':{NAME}}  {'product':{TITLE}} {'LUTs':>7} {'BRAMs':>5} {'MHz':>4} {'Mbaud':>6} tools"
    for board in BOARDS:
        title = board.title if len(board.title) <= TITLE else board.title[: TITLE - 3] + "..."
        device, tools = board.device, "open" if board.family.open else "vendor"
        yield (
            f"{board.name:{NAME}}  {title:{TITLE}} {device.luts:7,} {device.block_rams:5} {board.core_mhz:4g} "
            f"{board.baud / 1e6:6.3g} {tools}"
        )


def _offer_table(offers: "list[Offer]", network: Network) -> Iterator[str]:
    yield str(network)
    yield "estimates before a build; engine and link: training samples/s that each allows"
    yield (
        f"{'board':{NAME}}  {'lanes':>5} {'bits':>4} {'LUTs':>7} {'share':>5} {'BRAMs':>5} {'share':>5} "
        f"{'MHz':>5} {'engine':>8} {'link':>7}"
    )
    for offer in offers:
        if offer.shortage:
            yield from wrap(
                f"{offer.board.name:{NAME}}  does not fit: needs {offer.shortage}",
                WIDTH,
                subsequent_indent=" " * (NAME + 4),
                break_on_hyphens=False,
            )
            continue
        limits, speed = offer.limits, offer.speed
        cells = "".join(_cells(offer, name, width) for name, width in (("luts", 7), ("block_rams", 5)))
        yield (
            f"{offer.board.name:{NAME}}  {limits.lanes:5} {limits.weight_bits:4}{cells} {offer.clock_mhz:5.4g} "
            f"{speed['engine_samples_per_second']:8,.0f} {speed['link_samples_per_second']:7,.0f}"
        )
    yield "?: only the vendor's tool knows, for which opzo build --prepare writes a project"


def _cells(offer: "Offer", name: str, width: int) -> str:
    """Number of cells of one kind, and their share of the device's."""
    if offer.used is None:
        return f" {'?':>{width}} {'?':>5}"
    used, available = offer.used[name], getattr(offer.board.device, name)
    return f" {used:{width},} {used / available:5.0%}"
