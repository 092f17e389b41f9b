"""``opzo live``: a page in the browser that shows a network, lets people draw samples for it, and teach it."""

import argparse
import ipaddress
import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from opzo.host.cli.exit_codes import DONE
from opzo.host.cli.option_types import integer
from opzo.host.cli.options import add_config, add_verbosity, given_settings, group
from opzo.host.cli.output import log
from opzo.host.data.data_set import Data
from opzo.host.data.recipes import RECIPE_KEYS
from opzo.host.driver.device import Device, open_device
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Config
from opzo.host.training.configure import configure, data_of
from opzo.host.training.run_folder import RunFolder, checkpoint_path
from opzo.host.training.trainer import Trainer
from opzo.spec.errors import OpzoError
from opzo.system.atomic import check_output
from opzo.system.interrupt import Interrupt

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
PORT_MAX = 65_535
CHANGEABLE = frozenset({"data", "data_root", "device"})
"""Settings of a run that its live page may change."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.usage = "opzo live [RUN] [options]"
    text = "run folder or checkpoint to look at and to teach (default: train a new network)"
    parser.add_argument("run", type=Path, nargs="?", metavar="RUN", help=text)
    page = group(parser, "page")
    text = f"address to listen on; others than {LOOPBACK} let other computers in (default: {LOOPBACK})"
    page.add_argument("--host", default=LOOPBACK, metavar="HOST", help=text)
    page.add_argument("--port", type=integer(0, PORT_MAX), default=0, metavar="N", help="port (default: any free one)")
    page.add_argument("--out", type=Path, metavar="FILE", help="checkpoint (.npz) to write at the end (default: none)")
    add_config(parser, **dict.fromkeys((*RECIPE_KEYS, "data_root", "crop"), ""))
    add_verbosity(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C; exit code."""
    # Imported here: the packages of the server are optional.
    try:
        from opzo.host.live.hub import Hub
        from opzo.host.live.server import PageServer
        from opzo.host.live.session import LiveSession
    except ModuleNotFoundError as error:
        raise OpzoError(f"opzo live needs the package {error.name}; pip install 'opzo[live]'") from None
    if arguments.out is not None:
        check_output(arguments.out, suffix=".npz")
    checkpoint, rows, data, config = _network(arguments)
    data.check(config.network)
    with open_device(config.device, config.network, config.lanes, config.weight_bits) as device:
        device.require_learning()
        config.network.check(device.limits)
        hub, trainer = Hub(), Trainer(device, config.network, config, checkpoint)
        session = LiveSession(trainer, data, hub, rows=rows, train=checkpoint is None)
        place = {"host": arguments.host, "port": arguments.port}
        server = PageServer(hub, session.ask, **place, classes=config.network.classes, ended=session.close)
        with Interrupt(session.close), server:
            print(server.address, flush=True)
            log("opzo: open this address in a browser; Ctrl-C ends it")
            _warn_of(arguments.host)
            session.run()
            if arguments.out is not None:
                _save(trainer, config, data, device, arguments.out)
    return DONE


def _network(arguments: argparse.Namespace) -> tuple[Checkpoint | None, list[dict[str, Any]], Data, Config]:
    """Checkpoint, metrics, data and configuration of the run; the first is None for a new network."""
    values = given_settings(arguments)
    if arguments.run is None:
        return None, [], *configure(values)
    if other := sorted("--" + key.replace("_", "-") for key in values.keys() - CHANGEABLE):
        raise OpzoError(f"a run keeps its settings; leave {', '.join(other)} out, or leave {arguments.run} out")
    checkpoint, rows = _run(arguments.run, values)
    built = {"lanes": checkpoint.lanes, "weight_bits": checkpoint.state.weight_bits}
    config = checkpoint.config(built | values, str(arguments.run))
    return checkpoint, rows, data_of(config, checkpoint.contrast), config


def _run(path: Path, values: dict[str, Any]) -> tuple[Checkpoint, list[dict[str, Any]]]:
    """Checkpoint of a run folder or file, and the metrics of its epochs."""
    if path.is_dir():
        folder, checkpoint = RunFolder.read(path)
        rows = folder.rows
    else:
        checkpoint, rows = Checkpoint.load(checkpoint_path(path)), []
    if "data" not in checkpoint.settings | values:
        raise OpzoError(f"{path} does not state its training data; give --data")
    return checkpoint, rows


def _warn_of(host: str) -> None:
    """Warn where other computers can reach the page."""
    try:
        inside = ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = host == "localhost"
    if not inside:
        logger.warning(
            "warning: everybody who can read the traffic to %s can use the page: it is not encrypted; on networks of "
            "others forward the port through ssh instead",
            host,
        )


def _save(trainer: Trainer, config: Config, data: Data, device: Device, path: Path) -> None:
    settings = asdict(config) | {"lanes": device.limits.lanes, "weight_bits": device.limits.weight_bits}
    train_digest, test_digest = data.digests
    replace(trainer.checkpoint(settings, train_digest), test_digest=test_digest).save(path)
    log(f"opzo: saved; test it with: opzo eval {path}")
