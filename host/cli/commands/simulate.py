"""``opzo simulate``: a simulated device as a pseudo-terminal for any program, or the waveform of a sample."""

import argparse
from pathlib import Path

from opzo.host.cli import waveform
from opzo.host.cli.options import add_config, add_output, given_settings
from opzo.host.cli.output import log
from opzo.host.driver.devices import is_simulated, simulated, simulated_devices, simulated_limits
from opzo.host.driver.pty import PtyDevice, check_link
from opzo.host.training.config import Config
from opzo.spec.errors import OpzoError
from opzo.spec.messages import no_such
from opzo.system.interrupt import Interrupt


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    text = "symbolic link to create to the pseudo-terminal (default: none)"
    parser.add_argument("--pty", type=Path, nargs="?", metavar="LINK", help=text)
    parser.add_argument(
        "--device",
        default=argparse.SUPPRESS,
        metavar="DEVICE",
        help=f"{', '.join(simulated_devices())} (default: {Config.device})",
    )
    add_config(parser, ("net", "steps", "local", "intermediate", "block", "lanes", "weight_bits"))
    waveform.add(parser)
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C, or write a waveform; exit code."""
    if arguments.trace is not None:
        if arguments.pty is not None:
            raise OpzoError("--pty and --trace exclude each other; give one of them")
        return waveform.write_waveform(arguments)
    waveform.check_no_options(arguments)
    config = Config.of(given_settings(arguments), "the settings")
    if not is_simulated(config.device):
        raise no_such("simulated device", config.device, simulated_devices())
    limits = simulated_limits(config.device, config.network, config.lanes, config.weight_bits)
    config.network.check(limits)
    if arguments.pty is not None:
        check_link(arguments.pty)
    device = PtyDevice(simulated(config.device, limits), arguments.pty)
    with Interrupt(device.stop):
        print(f"serial:{arguments.pty or device.path}", flush=True)
        log("opzo: use this as --device of another opzo; Ctrl-C stops it")
        try:
            device.run()
        finally:
            device.close()
    return 0
