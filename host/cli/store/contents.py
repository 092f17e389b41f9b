"""``opzo store list``: show what the sample store of a device contains."""

import argparse
from dataclasses import asdict

from opzo.host.cli.output import print_json
from opzo.host.cli.store.board import add_device, open_with_store
from opzo.host.driver.sample_store import stored_sets
from opzo.host.report.units import size_text
from opzo.spec.messages import printable


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_device(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the sets of samples; exit code."""
    with open_with_store(arguments.device) as device:
        room, sets = device.limits.store, stored_sets(device)
    if arguments.json:
        print_json({"device": arguments.device, "bytes": room, "sets": [asdict(each) for each in sets]})
        return 0
    for each in sets:
        print(f"{printable(each.name)}: {each.samples:,} samples, {size_text(each.size)}")
    used = sum(each.size for each in sets)
    print(f"{size_text(used)} of {size_text(room)} are used" if sets else f"empty, room for {size_text(room)}")
    return 0
