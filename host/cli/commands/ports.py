"""``opzo ports``: list serial ports, the boards behind them, and whether an opzo device answers."""

import argparse
from dataclasses import asdict
from typing import Any

from opzo.host.cli.next_step import after_probe
from opzo.host.cli.options import add_output
from opzo.host.cli.output import log, print_json
from opzo.host.cli.serial_ports import Port, find_ports
from opzo.host.driver.probe import PROBE_SECONDS, ProbeAnswer, probe
from opzo.spec.messages import printable


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    text = (
        f"look for an opzo device at each port, {PROBE_SECONDS:g} s per baud rate (ends the session of any other "
        "program)"
    )
    parser.add_argument("--probe", action="store_true", help=text)
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """List the ports; exit code."""
    found, answering = [], []
    for port in find_ports():
        answer = probe(port.path, port.bauds) if arguments.probe and not port.programming else None
        found.append(_facts(port, answer))
        if answer is not None and answer.identity is not None:
            answering.append(port.device(answer.baud))
        if not arguments.json:
            _print(port, answer)
    if arguments.json:
        print_json({"ports": found})
    elif not found:
        log("opzo: there are no serial ports; is the board plugged in, and does the cable carry data?")
    elif not (arguments.probe or arguments.quiet):
        log("opzo: opzo ports --probe asks each of them whether an opzo device answers")
    if found and arguments.probe and not arguments.quiet:
        log(f"opzo: {after_probe(answering)}")
    return 0


def _device(port: Port, answer: ProbeAnswer | None) -> str | None:
    """Device string to use; None for a channel for programming."""
    return None if port.programming else port.device(answer.baud if answer else None)


def _facts(port: Port, answer: ProbeAnswer | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        **{"port": port.path, "description": port.description, "manufacturer": port.manufacturer},
        **{"product": port.product, "serial_number": port.serial_number, "vid": port.vid, "pid": port.pid},
        **{"boards": [board.name for board in port.boards], "programming": port.programming},
        "device": _device(port, answer),
    }
    if answer is not None:
        identity = None if answer.identity is None else asdict(answer.identity)
        facts["answer"] = {"baud": answer.baud, "identity": identity, "text": answer.text}
    return facts


def _print(port: Port, answer: ProbeAnswer | None) -> None:
    print(port.path)
    ids = f" ({port.vid:04x}:{port.pid:04x})" if port.vid is not None and port.pid is not None else ""
    serial = f", serial number {printable(port.serial_number)}" if port.serial_number else ""
    print(f"  {printable(port.description or 'no description')}{ids}{serial}")
    if port.boards:
        print(f"  board: probably {' or '.join(board.name for board in port.boards)}")
    if port.programming:
        print("  its channel for programming; use its other channel as the serial port")
    else:
        print(f"  use: --device {_device(port, answer)}")
    if answer is not None:
        print(f"  {printable(answer.text)}", flush=True)
