"""The command that follows another one on the way from a board to a trained network."""

import shlex
from typing import Any

from opzo.host.driver.devices import is_simulated
from opzo.host.training.config import Config, option_name
from opzo.spec.errors import NetworkError
from opzo.spec.limits import Limits
from opzo.spec.network import Network


def after_probe(devices: list[str]) -> str:
    """Line that names the self-test of the first of ``devices``, which answered; without any, what to check."""
    if not devices:
        return "no opzo device answers; program a board with: opzo flash --board BOARD"
    return f"test it with: opzo selftest --device {shlex.quote(devices[0])}"


def after_selftest(config: Config, given: dict[str, Any], limits: Limits) -> str:
    """Line that names the training on a device with ``limits``, which passed the self-test with ``config``.

    ``given`` are the settings that the user gave: a simulated device is that of these settings. A board gets the
    network of ``config`` if it holds that, else the widest one for the same images that it holds.
    """
    device = shlex.quote(config.device)
    command = f"opzo train --device {device}"
    if is_simulated(config.device):
        names = [name for name in ("net", "lanes", "weight_bits") if name in given]
        return f"train on it with: {' '.join([command, *(f'{option_name(name)} {given[name]}' for name in names)])}"
    network = _held(config.network, limits)
    if network is None:
        return f"it is too small for {config.network.inputs} inputs; what it holds: opzo info --device {device}"
    return f"train on it with: {command}" + (f" --net {network}" if str(network) != Config().net else "")


def _held(wanted: Network, limits: Limits) -> Network | None:
    """``wanted``, or the widest network with one or two hidden layers in its place, that a device holds."""
    if _fits(wanted, limits):
        return wanted
    for width in range(limits.words * limits.lanes, 0, -1):
        for hidden in ((width, width), (width,)):
            if _fits(network := Network((wanted.inputs, *hidden, wanted.classes), wanted.steps), limits):
                return network
    return None


def _fits(network: Network, limits: Limits) -> bool:
    try:
        network.check(limits)
    except NetworkError:
        return False
    return True
