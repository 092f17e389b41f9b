"""``opzo store erase``: forget what the sample store of a device contains."""

import argparse

from opzo.host.cli.output import print_json
from opzo.host.cli.store.board import add_device, open_with_store
from opzo.host.driver.sample_store import erase, stored_sets


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_device(parser)


def run(arguments: argparse.Namespace) -> int:
    """Erase; exit code."""
    with open_with_store(arguments.device) as device:
        sets = stored_sets(device)
        erase(device)
    samples = sum(each.samples for each in sets)
    if arguments.json:
        print_json({"device": arguments.device, "erased_samples": samples})
    elif not arguments.quiet:
        print(f"erased {samples:,} samples")
    return 0
