"""``opzo train``: train a network on a device and keep the run in a folder."""

import argparse
import contextlib
import logging
import time
from pathlib import Path
from typing import Any

from opzo.host.cli.exit_codes import DONE
from opzo.host.cli.options import (
    add_config,
    add_output,
    add_time_clock,
    given_settings,
    group,
)
from opzo.host.cli.train_session import TrainSession, draw_curve, print_figures
from opzo.host.data.data_sets import Data
from opzo.host.data.recipes import RECIPE_KEYS
from opzo.host.driver.device import Device, open_device
from opzo.host.driver.statistics import Tally
from opzo.host.report.tensorboard import check_tensorboard
from opzo.host.training.checkpoint import Checkpoint, made_by
from opzo.host.training.config import Config, checked, option_name
from opzo.host.training.configure import configure, data_of, recipe_table
from opzo.host.training.fine_tuning import beginning, description, earlier_run
from opzo.host.training.run_folder import CHECKPOINT, CONFIG, CURVE, RunFolder, folder_name, run_path
from opzo.host.training.stored_settings import check_named
from opzo.spec.errors import OpzoError
from opzo.system.atomic import check_output

logger = logging.getLogger(__name__)

RESUMABLE = frozenset({"device", "data_root", "checkpoint_every", "store"})
"""Settings that a resumed run may change; any other would make it a different run."""
RUNS = Path("runs")
"""Where run folders are created by default."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.usage = "opzo train [options]"
    run_options = group(parser, "run")
    run_options.add_argument("--config", type=Path, metavar="FILE", help="TOML file of settings; options override it")
    run_options.add_argument("--out", type=Path, metavar="DIR", help=f"run folder (default: a new one in {RUNS}/)")
    run_options.add_argument("--resume", type=Path, metavar="DIR", help="resume the run in this folder")
    add_config(parser, **dict.fromkeys((*RECIPE_KEYS, "data_root", "crop"), ""))
    run_options.add_argument(
        "--tensorboard",
        type=Path,
        metavar="DIR",
        help="folder for the metrics of epochs as TensorBoard reads them",
    )
    add_time_clock(parser)
    add_output(parser)
    parser.epilog = f"defaults that depend on the data set (as do inputs and classes of --net):\n{recipe_table()}"


def run(arguments: argparse.Namespace) -> int:
    """Train; exit code."""
    values = given_settings(arguments)
    if arguments.tensorboard is not None:
        check_tensorboard(arguments.tensorboard)
    if arguments.resume is not None:
        _check_resume(arguments, values)
        return _resume(arguments, values)
    check_output(arguments.out or RUNS, folder=True)
    if arguments.out is not None:
        RunFolder.check_free(arguments.out)
    data, config = configure(values)
    data.check(config.network)
    with _open(config) as device:
        # Only now, so that a device that is too small leaves no empty folder.
        folder = RunFolder.unique(RUNS / _folder_name(config)) if arguments.out is None else RunFolder(arguments.out)
        with folder.lock():
            folder = RunFolder.create(folder.path, config)
            return TrainSession(arguments, config, data, device, folder, _beginning(config, device)).run()


def _beginning(config: Config, device: Device) -> Checkpoint | None:
    """State that a new run begins with; None: the initial one of its seed."""
    if not config.from_run:
        return None
    earlier = earlier_run(config.from_run)
    logger.info("beginning with %s: %s", config.from_run, description(earlier))
    return beginning(earlier, config, device.limits.lanes)


def _resume(arguments: argparse.Namespace, values: dict[str, Any]) -> int:
    path = run_path(arguments.resume)
    with RunFolder(path).lock():
        if not (path / CHECKPOINT).exists() and (path / CONFIG).exists():
            return _restart(arguments, values, path)
        folder, checkpoint = RunFolder.reopen(path)
        built = {"lanes": checkpoint.lanes, "weight_bits": checkpoint.state.weight_bits}
        config = checkpoint.config(built | values, str(path))
        data = data_of(config, checkpoint.contrast)
        _check_data(checkpoint, data, path)
        data.check(config.network)
        if checkpoint.epoch > config.epochs or checkpoint.position > len(data.train):
            raise OpzoError(
                f"{path / CHECKPOINT} is damaged (epoch is {checkpoint.epoch} of {config.epochs}, position is "
                f"{checkpoint.position} of {len(data.train)}); use an earlier checkpoint"
            )
        if checkpoint.epoch == config.epochs:
            logger.info("nothing is left to do in %s: all %d epochs are trained", path, config.epochs)
            figures = folder.figures()
            if figures is not None and figures.get("data_digest") == checkpoint.data_digest:
                # Figures that cannot be printed are damaged: they are measured again below.
                with contextlib.suppress(KeyError, TypeError, ValueError):
                    print_figures(figures | {"run_folder": str(path)}, as_json=arguments.json)
                    if not (path / CURVE).exists():
                        draw_curve(folder, config)
                    return DONE
        elif checkpoint.made_by != made_by():
            logger.warning(
                "warning: the run was started by %s, this is %s; the weights may differ from an uninterrupted run",
                checkpoint.made_by or "an earlier opzo",
                made_by(),
            )
        with _open(config) as device:
            folder.check_rows(Tally().figures(config.network, device.identity))
            return TrainSession(arguments, config, data, device, folder, checkpoint).run()


def _restart(arguments: argparse.Namespace, values: dict[str, Any], path: Path) -> int:
    """Restart a run that was stopped before its first checkpoint."""
    stored = checked(RunFolder(path).settings(), str(path / CONFIG))
    data, config = configure(check_named(stored, values, str(path)) | values)
    data.check(config.network)
    with _open(config) as device:
        folder = RunFolder.create(path, config)
        return TrainSession(arguments, config, data, device, folder, _beginning(config, device)).run()


def _open(config: Config) -> Device:
    """Device of the configuration; OpzoError where it is too small for the network, or only infers."""
    device = open_device(config.device, config.network, config.lanes, config.weight_bits)
    try:
        device.require_learning()
        config.network.check(device.limits)
    except OpzoError:
        device.close()
        raise
    return device


def _check_resume(arguments: argparse.Namespace, values: dict[str, Any]) -> None:
    """Raise OpzoError where options would change the run that is to be resumed."""
    other = sorted(option_name(key) for key in values.keys() - RESUMABLE)
    other += [f"--{name}" for name in ("out", "config") if getattr(arguments, name) is not None]
    if other:
        raise OpzoError(f"a resumed run keeps its settings; leave {', '.join(other)} out, or start a new run")


def _check_data(checkpoint: Checkpoint, data: Data, path: Path) -> None:
    """Raise OpzoError where the data are not those of the run; old checkpoints have no digest of the test data."""
    for part, digest, known in zip(
        ("training", "test"), data.digests, (checkpoint.data_digest, checkpoint.test_digest), strict=True
    ):
        if digest != known and (known or part == "training"):
            raise OpzoError(
                f"{data.name} is not the data that {path} was trained on (the {part} samples differ); "
                "give the same files, or start a new run"
            )


def _folder_name(config: Config) -> str:
    """Name of a new run folder: data, rule, seed and time."""
    return folder_name(f"{Path(config.data).stem}-{config.rule}-seed{config.seed}-{time.strftime('%Y%m%d-%H%M%S')}")
