"""``opzo build``: a bitstream for a board, or a project for the vendor's tool."""

import argparse
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

from opzo.host.config import Config
from opzo.host.options import add_clock, add_config, add_output, given, print_json
from opzo.host.stages import Stages
from opzo.spec.errors import OpzoError, ToolError


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--board", required=True, metavar="BOARD", help="board; an unknown name shows all")
    add_config(
        parser,
        ("net", "steps", "local", "lanes", "weight_bits"),
        steps="8, all that a chip can have; fewer make it smaller, but it takes no events then",
        lanes="the most that fit",
        weight_bits="16, else 12 where only those fit",
    )
    add_clock(parser, "clock of the core; the PLL's nearest one at or below it (default: the board's)")
    parser.add_argument("--seed", dest="route_seed", type=int, default=1, metavar="N", help="seed of place and route")
    parser.add_argument("--prepare", action="store_true", help="write the project for the vendor's tool, build nothing")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write to (default: build/BOARD)")
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Build and print what came out; exit code. ToolError where the clock is missed."""
    try:
        from opzo.boards.build import Plan, build, prepare
        from opzo.boards.fit import choose
        from opzo.boards.registry import find_board
    except ModuleNotFoundError as error:
        raise OpzoError(f"opzo build needs the package {error.name}; pip install 'opzo[boards]'") from None
    board = find_board(arguments.board)
    if not (board.family.open or arguments.prepare):
        raise OpzoError(
            f"bitstreams for {board.name} need its vendor's tool; opzo build --board {board.name} --prepare "
            "writes a project for it"
        )
    if arguments.route_seed < 0:
        raise OpzoError(f"--seed must be 0 or more, not {arguments.route_seed}")
    settings = given(arguments)
    network = Config.of(settings, "the settings").network
    limits = choose(board, network, settings.get("lanes"), settings.get("weight_bits"))
    if "steps" in settings:
        limits = replace(limits, steps=settings["steps"])
    plan = Plan.of(board, limits, getattr(arguments, "clock", None), arguments.route_seed)
    out = arguments.out or Path("build") / board.name
    with Stages(enabled=not arguments.quiet) as stages:
        result = (prepare if arguments.prepare else build)(plan, out, stages.begin)
    result |= {"network": str(network)}
    if arguments.json:
        print_json(result)
    elif arguments.prepare:
        print(f"project for {result['tool']}: {out / result['script']}")
    else:
        print("\n".join(table(result)))
    if not result.get("timing_met", True):
        # Rounded up: it is the nearest clock at or below that is taken.
        passing = ceil(Plan.of(board, limits, result["clock_mhz"]).pll.mhz * 1e4) / 1e4
        raise ToolError(
            f"{board.name} reaches {result['clock_mhz']:g} MHz, {result['clock_required_mhz']:g} required; "
            f"the highest clock that passes is --clock {passing:.7g}, or try another --seed"
        )
    return 0


def table(result: dict[str, Any]) -> list[str]:
    """Lines of the result: cells used and available, clock, speed."""
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
        ("sprams", "SPRAMs"),
        ("multipliers", "multipliers"),
    ):
        used, available = result["used"][name], result["available"][name]
        share = f"{used / available:7.0%}" if available else ""
        lines.append(f"{label:20s}{used:9,d}{available:11,d}{share}")
    lines += [
        f"{'':20s}{'reached':>9s}{'required':>11s}",
        f"{'clock (MHz)':20s}{result['clock_mhz']:9.1f}{result['clock_required_mhz']:11.1f}",
        f"training samples/s at {speed['load']}: {speed['samples_per_second']:,.0f} "
        f"(engine {speed['engine_samples_per_second']:,.0f}, link {speed['link_samples_per_second']:,.0f})",
    ]
    return lines
