"""Device of a subcommand of ``opzo store``."""

import argparse

from opzo.host.cli.options import add_output
from opzo.host.driver.device import Device, open_device
from opzo.host.driver.devices import is_simulated
from opzo.spec.errors import OpzoError


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the options of a subcommand that needs only the device."""
    parser.add_argument("--device", required=True, help="a device that keeps its store, such as serial:/dev/ttyUSB0")
    add_output(parser)


def open_with_store(name: str) -> Device:
    """Open a device by its device string.

    OpzoError where it has no sample store, or ends with the command, so that its store is lost.
    """
    if is_simulated(name):
        raise OpzoError(
            f"the store of '{name}' ends with each command; give a board, or a device that opzo simulate --pty serves "
            "(--device serial:PATH)"
        )
    device = open_device(name)
    if not device.limits.store:
        device.close()
        raise OpzoError(f"{name} has no sample store; build its chip with one (opzo build --store)")
    return device
