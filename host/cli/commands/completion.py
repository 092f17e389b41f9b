"""``opzo completion``: print a script with which a shell completes commands, options and their values."""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import shtab

from opzo.boards.registry import BOARDS
from opzo.host.data.data_sets import DATA_SETS
from opzo.host.driver.devices import simulated_devices
from opzo.spec.layers import BLOCKS
from opzo.spec.neurons import Leak, Reset
from opzo.spec.rules import Input, Rule

Completion = dict[Any, Any]
"""How shtab completes a value, by shell."""
SHELLS = ("bash", "zsh")
FILE_OR = {
    "data": DATA_SETS,
    "source": DATA_SETS,
    "device": (*simulated_devices(), "netlist:", "verilog:", "serial:", "uio:"),
    "from_run": (),
}
"""Values of arguments, by name, that may be the name of a file or folder instead."""
WORDS = {
    "board": tuple(board.name for board in BOARDS),
    "rule": tuple(rule.name.lower() for rule in Rule),
    "input": tuple(kind.name.lower() for kind in Input),
    "leak": tuple(leak.text for leak in Leak),
    "reset": tuple(reset.text for reset in Reset),
    "block": tuple(map(str, BLOCKS)),
    "weight_bits": ("16", "12"),
}
"""Values of arguments, by name."""
FOLDER = frozenset({"data_root"})
"""Arguments that are folders."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("shell", choices=SHELLS, help="shell that reads the script")
    parser.epilog = (
        'bash:  eval "$(opzo completion bash)"  in ~/.bashrc\nzsh:   opzo completion zsh > _opzo  in a folder of $fpath'
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the script; exit code."""
    # The main module imports this one.
    from opzo.host.cli.main import opzo_parser

    parser = opzo_parser()
    for action in _actions(parser):
        if completion := _completion(action):
            action.complete = completion  # type: ignore[attr-defined]
    print(shtab.complete(parser, arguments.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Arguments of a parser and of its subcommands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield action


def _completion(action: argparse.Action) -> Completion | None:
    """How shtab completes the value of an argument; None: by its choices, if it has any."""
    if action.dest in FOLDER:
        return shtab.DIRECTORY
    if action.dest in FILE_OR:
        return _words(action.dest, FILE_OR[action.dest], files=True)
    if action.dest in WORDS:
        return _words(action.dest, WORDS[action.dest], files=False)
    return shtab.FILE if action.type is Path else None


def _words(name: str, words: Iterable[str], *, files: bool) -> Completion:
    """Completion by words, and by names of files if they are allowed."""
    function, listed = f"_opzo_{name}", " ".join(words)
    bash, zsh = [f"compgen -W '{listed}' -- $1"], [f"compadd -- {listed}"]
    if files:
        bash.append("compgen -f -- $1")
        zsh.append("_files")
    scripts = {shell: f"{function}() {{ {'; '.join(lines)}; }}" for shell, lines in (("bash", bash), ("zsh", zsh))}
    return {"bash": function, "zsh": function, "preamble": scripts}
