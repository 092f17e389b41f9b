"""``opzo flash``: program a board with a bitstream."""

import argparse
import sys
import time
from pathlib import Path

from opzo.boards.board import Board
from opzo.boards.loader import load_bitstream
from opzo.boards.registry import BOARDS, find_board
from opzo.host.cli.options import add_output
from opzo.host.cli.output import log, print_json
from opzo.spec.errors import OpzoError

BUILDS = Path("build")


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    names = ", ".join(board.name for board in BOARDS)
    parser.add_argument("--board", required=True, metavar="BOARD", help=f"one of {names}")
    text = f"bitstream (default: the one that opzo build wrote to {BUILDS}/BOARD/)"
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help=text)
    text = (
        "write to flash memory, so that the board starts with it (default: only the FPGA, until power-off; the "
        "bootloader of the OrangeCrab always writes flash memory)"
    )
    parser.add_argument("--persist", action="store_true", help=text)
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Program the board; exit code."""
    board = find_board(arguments.board)
    bitstream = _bitstream(board, arguments.file)
    begin = time.monotonic()
    load_bitstream(board, bitstream, persist=arguments.persist, show=_hide if arguments.quiet else _show)
    seconds = time.monotonic() - begin
    persistent = arguments.persist or board.boots_from_flash
    if arguments.json:
        facts = {"board": board.name, "bitstream": str(bitstream)}
        print_json(facts | {"persistent": persistent, "seconds": seconds})
    else:
        where = "flash memory" if persistent else "FPGA, until power-off"
        print(f"{bitstream} written to {board.title} ({where}) in {seconds:.1f} s")
    if not arguments.quiet:
        log("opzo: find its device string with: opzo ports --probe")
    return 0


def _bitstream(board: Board, given: Path | None) -> Path:
    path = given or BUILDS / board.name / board.bitstream
    try:
        if path.exists() and not path.is_file():
            raise OpzoError(f"{path} is not a file; give a bitstream for {board.title}")
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError:
        if given:
            raise OpzoError(f"there is no file {path}; give a bitstream for {board.title}") from None
        raise OpzoError(f"there is no {path}; build it with: opzo build --board {board.name}, or give a file") from None
    except OSError as error:
        raise OpzoError(f"cannot read {path}: {error.strerror}; give a bitstream for {board.title}") from None
    if empty:
        raise OpzoError(f"{path} is empty; give a bitstream for {board.title}")
    # The tool would take a name that begins with a hyphen for an option.
    return path.absolute() if str(path).startswith("-") else path


def _show(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)


def _hide(text: str) -> None:
    pass
