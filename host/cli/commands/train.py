"""``opzo train``: train a network on a device and keep the run in a folder."""

import argparse
import contextlib
import logging
import shlex
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import opzo
from opzo.host.cli.options import CLOCK, add_clock, add_config, add_output, given, print_json, show
from opzo.host.data.data_sets import Data, load_data
from opzo.host.driver.device import Device, open_device
from opzo.host.driver.devices import is_simulated
from opzo.host.driver.statistics import Tally, cycles_are
from opzo.host.training.bottleneck import link_or_engine, times
from opzo.host.training.checkpoint import Checkpoint, check_named, made_by
from opzo.host.training.config import Config, checked
from opzo.host.training.health import Once
from opzo.host.training.progress import TrainingBar, table_head, table_row
from opzo.host.training.recipes import OTHER_HIDDEN, configure, described
from opzo.host.training.run_folder import CHECKPOINT, CONFIG, CURVE, RunFolder, folder_name, run_path
from opzo.host.training.trainer import EpochReport, Progress, Trainer, Watcher
from opzo.spec.errors import LinkError, OpzoError
from opzo.system.atomic import check_output
from opzo.system.interrupt import Interrupt

logger = logging.getLogger(__name__)

RESUMABLE = frozenset({"device", "data_root", "checkpoint_every"})
"""Keys that may differ when a run goes on; all others would make it another run."""
INTERRUPTED = 130
RUNS = Path("runs")
"""Folder of the runs whose folder is not named."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file of the settings below; flags win over it"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: a new one in runs/)")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="go on with the run in this folder")
    recipes = {
        key: described(key, str(getattr(Config, key)))
        for key in ("epochs", "mse", "kappa", "local", "rotate", "zoom", "shift")
    }
    add_config(parser, net=described("net", f"pixels-{OTHER_HIDDEN}-classes"), **recipes)
    add_clock(parser, f"clock in MHz used to convert cycles to time (default: the device's, or {CLOCK:g})")
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train; exit code."""
    values = given(arguments)
    if arguments.resume is not None:
        _check_resume(arguments, values)
        return _resume(arguments, values)
    check_output(arguments.out or RUNS, folder=True)
    if arguments.out is not None:
        RunFolder.check_free(arguments.out)
    data, config = configure(values)
    data.check(config.network)
    with _open(config) as device:
        # Only now: a device that is too small shall not leave a folder.
        folder = RunFolder.unique(RUNS / _name(config)) if arguments.out is None else RunFolder(arguments.out)
        with folder.lock():
            folder = RunFolder.create(folder.path, config)
            return _Run(arguments, config, data, device, folder, None).go()


def _resume(arguments: argparse.Namespace, values: dict[str, Any]) -> int:
    path = run_path(arguments.resume)
    with RunFolder(path).lock():
        if not (path / CHECKPOINT).exists() and (path / CONFIG).exists():
            return _begin_again(arguments, values, path)
        folder, checkpoint = RunFolder.reopen(path)
        built = {"lanes": checkpoint.lanes, "weight_bits": checkpoint.state.weight_bits}
        config = checkpoint.config(built | values, str(path))
        data = load_data(config.data, config.data_root)
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
                # Figures that cannot be shown are damaged: they are measured again below.
                with contextlib.suppress(KeyError, TypeError, ValueError):
                    _print(figures | {"run_folder": str(path)}, as_json=arguments.json)
                    if not (path / CURVE).exists():
                        _draw(folder, config)
                    return 0
        elif checkpoint.made_by != made_by():
            logger.warning(
                "warning: the run was begun by %s, this is %s; a run without a stop may end with other weights",
                checkpoint.made_by or "an earlier opzo",
                made_by(),
            )
        with _open(config) as device:
            folder.check_rows(Tally().figures(config.network, device.identity))
            return _Run(arguments, config, data, device, folder, checkpoint).go()


def _begin_again(arguments: argparse.Namespace, values: dict[str, Any], path: Path) -> int:
    """Begin a run that was stopped before its first checkpoint."""
    stored = checked(RunFolder(path).settings(), str(path / CONFIG))
    data, config = configure(check_named(stored, values, str(path)) | values)
    data.check(config.network)
    with _open(config) as device:
        folder = RunFolder.create(path, config)
        return _Run(arguments, config, data, device, folder, None).go()


def _open(config: Config) -> Device:
    """The device, which must hold the network."""
    device = open_device(config.device, config.network, config.lanes, config.weight_bits)
    try:
        config.network.check(device.limits)
    except OpzoError:
        device.close()
        raise
    return device


def _check_resume(arguments: argparse.Namespace, values: dict[str, Any]) -> None:
    other = sorted("--" + key.replace("_", "-") for key in values.keys() - RESUMABLE)
    other += [f"--{name}" for name in ("out", "config") if getattr(arguments, name) is not None]
    if other:
        raise OpzoError(f"a resumed run keeps its settings; leave {', '.join(other)} out, or start a new run")


def _check_data(checkpoint: Checkpoint, data: Data, path: Path) -> None:
    """Raise OpzoError where the data are not those of the run. Older checkpoints do not know their test data."""
    for part, digest, known in zip(
        ("training", "test"), data.digests, (checkpoint.data_digest, checkpoint.test_digest), strict=True
    ):
        if digest != known and (known or part == "training"):
            raise OpzoError(
                f"{data.name} is not the data that {path} was trained on (the {part} samples differ); "
                "give the same files, or start a new run"
            )


def _name(config: Config) -> str:
    """Name of a new run's folder."""
    return folder_name(f"{Path(config.data).stem}-{config.rule}-seed{config.seed}-{time.strftime('%Y%m%d-%H%M%S')}")


class _Run(Watcher):
    """One training run: what the trainer reports goes to the terminal and into the folder."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        config: Config,
        data: Data,
        device: Device,
        folder: RunFolder,
        checkpoint: Checkpoint | None,
    ) -> None:
        self.config, self.data, self.device, self.folder = config, data, device, folder
        self.json: bool = arguments.json
        self.table = not (arguments.json or arguments.quiet)
        self.clock = getattr(arguments, "clock", None) or device.identity.clock_mhz or CLOCK
        self.trainer = Trainer(device, config.network, config, checkpoint)
        self.bar = TrainingBar(config.network, config.epochs, cycles_are(device.identity), enabled=not arguments.quiet)
        self.interrupt = Interrupt(lambda: self.bar.tell("opzo: stopping and saving; Ctrl-C again quits at once"))
        self.report: EpochReport | None = None
        self.warnings = Once()
        self.begin = time.monotonic()

    def go(self) -> int:
        """Train to the end or to a Ctrl-C; exit code."""
        logger.info("%s on %s with %d lanes", self.config.network, self.device.name, self.device.limits.lanes)
        resume = f"opzo train --resume {shlex.quote(str(self.folder.path))}"
        if not is_simulated(self.config.device):
            resume += f" --device {shlex.quote(self.config.device)}"
        self.save(self.trainer)
        try:
            with self.interrupt, self.bar:
                # Within, so that a reader that has gone already ends the run as Ctrl-C does.
                if self.table and self.trainer.epoch < self.config.epochs:
                    print(table_head(cycles_are(self.device.identity)), flush=True)
                done = self.trainer.fit(
                    self.data.train, self.data.test, self, checkpoint_every=self.config.checkpoint_every
                )
                if not done:
                    self.save(self.trainer)
                    self.bar.tell(f"opzo: saved; go on with: {resume}")
                    return INTERRUPTED
                test = self.report.test if self.report else self.trainer.evaluate(self.data.test)
        except LinkError as error:
            raise LinkError(f"{error}; go on from the last checkpoint with: {resume}") from error
        self._finish(test)
        return 0

    def stop(self) -> bool:
        return self.interrupt.requested

    def progress(self, progress: Progress) -> None:
        self.bar.show(progress)
        self._warn(progress)

    def epoch(self, report: EpochReport) -> None:
        self.report = report
        self.folder.add_row(report.row(self.config.network, self.device.identity))
        if self.table:
            print(table_row(report, self.config.network, self.device.limits.lanes), flush=True)
        self._warn(report)

    def _warn(self, standing: Progress | EpochReport) -> None:
        """Tell, once each, what is wrong with the training."""
        found = standing.warnings(self.config.network, self.config, self.device.limits.lanes)
        for text in self.warnings.new(found):
            self.bar.tell(f"opzo: {text}")

    def save(self, trainer: Trainer) -> None:
        limits = self.device.limits
        settings = asdict(self.config) | {"lanes": limits.lanes, "weight_bits": limits.weight_bits}
        checkpoint = trainer.checkpoint(settings, self.data.digest)
        self.folder.save(replace(checkpoint, test_digest=self.data.digests[1]))

    def _finish(self, test: Tally) -> None:
        figures = self._figures(test)
        self.folder.write_figures(figures)
        _draw(self.folder, self.config)
        _print(figures, as_json=self.json)

    def _figures(self, test: Tally) -> dict[str, Any]:
        """Final figures; those of training are the last epoch's."""
        config, identity = self.config, self.device.identity
        tested = test.figures(config.network, identity)
        row = self.folder.rows[-1] if self.folder.rows else {}
        trained = row.get("train") or Tally().figures(config.network, identity)
        return {
            "version": opzo.__version__,
            "device": self.device.name,
            "data": config.data,
            "network": str(config.network),
            "steps": config.steps,
            "input": config.input,
            "local": config.network.local,
            "lanes": identity.lanes,
            "weight_bits": identity.weight_bits,
            "rule": config.rule,
            "seed": config.seed,
            "epochs": config.epochs,
            "test_accuracy": tested["accuracy"],
            "train_accuracy": trained["accuracy"],
            "test_loss": tested["loss"],
            "train_loss": trained["loss"],
            "firing_rates": tested["firing_rates"],
            "firing_rates_train": trained["firing_rates"],
            "cycles": cycles_are(identity),
            "cycles_per_train_sample": trained["cycles_per_sample"],
            "cycles_per_test_sample": tested["cycles_per_sample"],
            "synaptic_operations_per_train_sample": trained["synaptic_operations_per_sample"],
            "synaptic_operations_per_test_sample": tested["synaptic_operations_per_sample"],
            "weight_updates_per_train_sample": trained["weight_updates_per_sample"],
            "events_per_train_sample": trained["events_per_sample"],
            "events_dropped": trained["events_dropped"],
            "limit": link_or_engine(
                trained["link_bytes_per_sample"],
                trained["cycles_per_sample"],
                trained["events_per_sample"],
                self.clock,
            ),
            "link_repeats": self.device.repeats,
            "saturations": trained["saturations"],
            "health": row.get("health") or {},
            "data_digest": self.data.digests[0],
            "test_digest": self.data.digests[1],
            "made_by": made_by(),
            "samples_per_second": row.get("samples_per_second", 0.0),
            "seconds": time.monotonic() - self.begin,
            "run_folder": str(self.folder.path),
        }


def _draw(folder: RunFolder, config: Config) -> None:
    """Draw the learning curve, where there are epochs."""
    if folder.rows:
        data, device = Path(config.data).name, config.device
        folder.write_curve(f"{config.network} on {data}, {config.rule}, seed {config.seed}, {device}")


def _print(figures: dict[str, Any], *, as_json: bool) -> None:
    """Final figures on stdout."""
    summary = _summary(figures)
    if as_json:
        print_json(figures)
    else:
        show(summary, as_json=False)


def _summary(figures: dict[str, Any]) -> dict[str, str]:
    """Final figures for a person, by name."""
    cycles = f"{figures['cycles_per_train_sample']:,.0f} {figures['cycles']}"
    facts = {
        "run folder": figures["run_folder"],
        "epochs": str(figures["epochs"]),
        "training accuracy": f"{figures['train_accuracy']:.2%}",
        "test accuracy": f"{figures['test_accuracy']:.2%}",
    }
    return facts | {f"training sample, {k}": text for k, text in times(figures["limit"], cycles).items()}
