"""What commands print: results on stdout, as text or as JSON, and everything else on stderr."""

import json
import sys
from collections.abc import Mapping
from typing import Any

import opzo
from opzo.spec.messages import printable


def log(message: str) -> None:
    """Print a line that is not a result to stderr."""
    print(message, file=sys.stderr, flush=True)


def print_json(facts: Mapping[str, Any]) -> None:
    """Print the results of a command as one JSON object, with the version of opzo as ``version``."""
    print(json.dumps({"version": opzo.__version__, **facts}))


def print_facts(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print results as one JSON object, or as text with a line for each."""
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{key.replace('_', ' ')} {figure}" for key, figure in value.items())
        elif value is None:
            value = "unknown"
        print(printable(f"{name.replace('_', ' ')}: {value}"))
