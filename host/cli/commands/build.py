"""``opzo build``: build a bitstream for a board, or write a project for the vendor's tool."""

import argparse
import shlex
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

from opzo.host.cli.option_types import integer
from opzo.host.cli.options import add_clock, add_config, add_output, given_settings
from opzo.host.cli.output import log, print_json
from opzo.host.cli.stage_timer import StageTimer
from opzo.host.training.config import Config
from opzo.spec.errors import OpzoError, ToolError
from opzo.spec.limits import LANES
from opzo.system.atomic import check_output

MOST = "max"
"""Value of ``--lanes``."""
SEED_MAX = 2**31 - 1
"""Largest seed of nextpnr."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--board", required=True, metavar="BOARD", help="name of the board; opzo boards lists them")
    add_config(
        parser,
        ("net", "steps", "input", "local", "intermediate", "block", "weight_bits"),
        steps="8, the maximum, or, with convolutions, 6; fewer make the chip smaller, but exclude event inputs",
        weight_bits="16, or 12 where 16 do not fit",
    )
    add_clock(parser, "clock of the core in MHz; rounded down to one of the PLL (default: the board's)")
    parser.add_argument(
        "--lanes",
        dest="board_lanes",
        type=_lanes,
        metavar="N",
        help=f"lanes, {LANES[0]}..{LANES[-1]}, or max for as many as fit (default: as many as the link can feed)",
    )
    parser.add_argument(
        "--seed",
        dest="route_seed",
        type=integer(0, SEED_MAX),
        default=1,
        metavar="N",
        help="seed of place and route (default: 1)",
    )
    parser.add_argument("--prepare", action="store_true", help="only write a project for the vendor's tool")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write to (default: build/BOARD)")
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Build and print the result; exit code. ToolError where the clock is missed."""
    try:
        from opzo.boards.build import Plan, build, prepare
        from opzo.boards.fit import choose
        from opzo.boards.registry import find_board
    except ModuleNotFoundError as error:
        raise OpzoError(
            f"opzo build needs the package {error.name}; install it with: pip install 'opzo[boards]'"
        ) from None
    board = find_board(arguments.board)
    if not (board.family.open or arguments.prepare):
        raise OpzoError(
            f"bitstreams for {board.name} need the vendor's tool; opzo build --board {board.name} --prepare "
            "writes a project for it"
        )
    settings = given_settings(arguments)
    network = Config.of(settings, "the settings").network
    wanted, clock = arguments.board_lanes, getattr(arguments, "clock", None)
    limits = choose(
        board,
        network,
        None if wanted == MOST else wanted,
        settings.get("weight_bits"),
        most=wanted == MOST,
        clock_mhz=clock,
    )
    if "steps" in settings:
        limits = replace(limits, steps=network.run_steps)
    plan = Plan.of(board, limits, clock, arguments.route_seed)
    out = arguments.out or Path("build") / board.name
    check_output(out, folder=True)
    with StageTimer(enabled=not arguments.quiet) as stages:
        if arguments.prepare:
            result = prepare(plan, out, stages.begin) | {"network": str(network)}
        else:
            result = build(plan, network, out, stages.begin, stages.note)
    if arguments.json:
        print_json(result)
    elif arguments.prepare:
        print(f"project for {result['tool']}: {out / result['script']}")
    else:
        print("\n".join(table(result)))
    if not result.get("timing_met", True):
        # Rounded up, because build takes the nearest clock at or below it.
        passing = ceil(Plan.of(board, limits, result["clock_mhz"]).pll.mhz * 1e4) / 1e4
        raise ToolError(
            f"{board.name} reaches {result['clock_mhz']:g} MHz, {result['clock_required_mhz']:g} required; "
            f"the highest clock that passes is --clock {passing:.7g}, or try another --seed"
        )
    if not (arguments.prepare or arguments.quiet):
        file = f" {shlex.quote(result['bitstream'])}" if arguments.out else ""
        log(f"opzo: program the board with: opzo flash --board {board.name}{file}")
    return 0


def _lanes(text: str) -> int | str:
    """Type of ``--lanes``, for argparse: a number or MOST."""
    if text == MOST:
        return text
    try:
        return LANES[LANES.index(int(text))]
    except ValueError:
        choices = ", ".join(map(str, LANES))
        raise argparse.ArgumentTypeError(f"must be one of {choices}, or {MOST}, not '{text}'") from None


def table(result: dict[str, Any]) -> list[str]:
    """Result as text: cells used and available, clock, speed."""
    limits, speed = result["limits"], result["speed"]
    lines = [
        f"{result['bitstream']}: {result['network']}, {limits['lanes']} lanes, {limits['weight_bits']}-bit weights, "
        f"{limits['rows']} rows, {result['baud']:,} baud",
        f"{'':20s}{'used':>9s}{'available':>11s}",
    ]
    for name, label in (
        ("luts", "LUTs"),
        ("flip_flops", "flip-flops"),
        ("block_rams", "block RAMs"),
        ("multipliers", "multipliers"),
    ):
        used, available = result["used"][name], result["available"][name]
        share = f"{used / available:7.0%}" if available else ""
        lines.append(f"{label:20s}{used:9,d}{available:11,d}{share}")
    lines += [
        f"{'':20s}{'reached':>9s}{'required':>11s}",
        f"{'clock (MHz)':20s}{result['clock_mhz']:9.1f}{result['clock_required_mhz']:11.1f}",
        f"training samples/s of {speed['network']}, estimated: {speed['samples_per_second']:,.0f} "
        f"(engine {speed['engine_samples_per_second']:,.0f}, link {speed['link_samples_per_second']:,.0f})",
    ]
    return lines
