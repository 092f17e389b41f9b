"""``opzo store upload``: write the samples of a data set to the sample store of a device."""

import argparse
import time

from rich.console import Console
from rich.progress import Progress, TextColumn

from opzo.host.cli.options import add_config, add_output, given_settings
from opzo.host.cli.output import print_json
from opzo.host.cli.store.board import open_with_store
from opzo.host.driver.sample_store import upload
from opzo.host.report.units import size_text
from opzo.host.training.configure import configure
from opzo.host.training.progress import upload_text
from opzo.host.training.stored_data import data_image
from opzo.spec.errors import OpzoError

SETTINGS = ("device", "data", "data_root", "crop", "contrast", "strided", "net", "steps", "input")
"""Settings that decide what is written."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_config(parser, SETTINGS)
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write what the store does not have yet; exit code."""
    data, config = configure(given_settings(arguments))
    data.check(config.network)
    with open_with_store(config.device) as device:
        config.network.check(device.limits)
        room, begin = device.limits.store, time.monotonic()
        image = data_image(config.network, data.train, data.test, room)
        if image is None:
            raise OpzoError(f"the samples of {config.data} need more than the {size_text(room)} of the sample store")
        console = Console(stderr=True)
        shown = console.is_terminal and not arguments.quiet
        with Progress(TextColumn("{task.fields[text]}"), console=console, disable=not shown) as bar:
            task = bar.add_task("", text="comparing check sums")

            def progress(done: int, total: int) -> None:
                bar.update(task, text=upload_text(done, total, time.monotonic() - begin))

            sent = upload(device, image, progress)
    samples = sum(each.samples for each in image.sets)
    if arguments.json:
        facts = {"device": config.device, "samples": samples, "bytes": len(image.data), "sent_bytes": sent}
        print_json(facts | {"seconds": time.monotonic() - begin})
    elif not arguments.quiet:
        print(f"{samples:,} samples, {size_text(len(image.data))}, of which {size_text(sent)} were sent")
    return 0
