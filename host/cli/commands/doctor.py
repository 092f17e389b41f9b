"""``opzo doctor``: check this machine, line by line: what works, and what to do about the rest."""

import argparse
from dataclasses import asdict
from textwrap import wrap

from opzo.host.cli.checks import checks
from opzo.host.cli.exit_codes import DONE, FAILED
from opzo.host.cli.options import add_output
from opzo.host.cli.output import print_json

WIDTH = 80
STATES = {True: "ok", False: "missing"}
INDENT = max(map(len, STATES.values())) + 2


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_output(parser)
    parser.epilog = "Exit code 0 if opzo works with --device golden, else 1; the rest is optional."


def run(arguments: argparse.Namespace) -> int:
    """Check; exit code."""
    done = []
    for check in checks():
        done.append(check)
        if not arguments.json:
            text = f"{STATES[check.ok]:{INDENT}}{check.name}: {check.text}"
            lines = wrap(
                text, WIDTH, subsequent_indent=" " * (INDENT + 2), break_on_hyphens=False, break_long_words=False
            )
            print("\n".join(lines), flush=True)
    works = all(check.ok for check in done if check.base)
    if arguments.json:
        print_json({"works": works, "checks": [asdict(check) for check in done]})
    return DONE if works else FAILED
