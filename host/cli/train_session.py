"""A training run as the command line shows it: progress on the terminal, results in the run folder."""

import argparse
import logging
import shlex
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from opzo.host.cli.exit_codes import DONE, INTERRUPTED
from opzo.host.cli.options import clock_mhz
from opzo.host.cli.output import print_facts, print_json
from opzo.host.data.data_sets import Data
from opzo.host.driver.device import Device
from opzo.host.driver.devices import is_simulated
from opzo.host.driver.statistics import Tally, cycles_are
from opzo.host.report.tensorboard import TensorBoard
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Config
from opzo.host.training.final_figures import final_figures, summary
from opzo.host.training.health import NewWarnings
from opzo.host.training.progress import TrainingBar, table_head, table_row
from opzo.host.training.reports import EpochProgress, EpochReport, Watcher
from opzo.host.training.run_folder import RunFolder
from opzo.host.training.trainer import Trainer
from opzo.spec.errors import LinkError
from opzo.system.interrupt import Interrupt

logger = logging.getLogger(__name__)


class TrainSession(Watcher):
    """Trains to the end or to a Ctrl-C; saves what the trainer reports and prints it.

    Parameters
    ----------
    arguments : argparse.Namespace
        Options of ``opzo train`` on output, clock and TensorBoard.
    device : Device
        Open, large enough for the network.
    folder : RunFolder
        Locked by the caller.
    checkpoint : Checkpoint or None
        Where to resume; None for a new run.
    """

    def __init__(
        self,
        arguments: argparse.Namespace,
        config: Config,
        data: Data,
        device: Device,
        folder: RunFolder,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self._config, self._data, self._device, self._folder = config, data, device, folder
        self._json: bool = arguments.json
        self._quiet: bool = arguments.quiet
        self._table = not (arguments.json or arguments.quiet)
        self._clock_mhz = clock_mhz(arguments, device)
        self._trainer = Trainer(device, config.network, config, checkpoint)
        self._bar = TrainingBar(config.network, config.epochs, cycles_are(device.identity), enabled=not arguments.quiet)
        self._interrupt = Interrupt(lambda: self._bar.log("opzo: stopping and saving; press Ctrl-C again to quit now"))
        self._report: EpochReport | None = None
        self._warnings = NewWarnings()
        self._tensorboard = TensorBoard(arguments.tensorboard, folder.rows) if arguments.tensorboard else None
        self._begin = time.monotonic()

    def run(self) -> int:
        """Train; exit code."""
        config, trainer = self._config, self._trainer
        logger.info("%s on %s with %d lanes", config.network, self._device.name, self._device.limits.lanes)
        resume = f"opzo train --resume {shlex.quote(str(self._folder.path))}"
        if not is_simulated(config.device):
            resume += f" --device {shlex.quote(config.device)}"
        self.save(trainer)
        try:
            with self._interrupt, self._bar:
                # Within the block: a reader of stdout that is gone ends the run as Ctrl-C does.
                if self._table and trainer.epoch < config.epochs:
                    print(table_head(cycles_are(self._device.identity)), flush=True)
                done = trainer.fit(
                    *(self._data.train, self._data.test, self),
                    checkpoint_every=config.checkpoint_every,
                    store=bool(config.store),
                )
                if not done:
                    self.save(trainer)
                    self._bar.log(f"opzo: saved; resume with: {resume}")
                    return INTERRUPTED
                test = self._report.test if self._report else trainer.evaluate(self._data.test)
        except LinkError as error:
            raise LinkError(f"{error}; resume from the last checkpoint with: {resume}") from error
        self._finish(test)
        return DONE

    def stop(self) -> bool:
        return self._interrupt.requested

    def note(self, text: str) -> None:
        if not self._quiet:
            self._bar.log(f"opzo: {text}")

    def uploading(self, done: int, total: int) -> None:
        self._bar.upload(done, total, time.monotonic() - self._begin)

    def progress(self, progress: EpochProgress) -> None:
        self._bar.show(progress)
        self._warn(progress)

    def epoch(self, report: EpochReport) -> None:
        self._report = report
        row = report.row(self._config.network, self._device.identity)
        self._folder.add_row(row)
        if self._tensorboard is not None:
            self._tensorboard.add(row)
        if self._table:
            print(table_row(report, self._config.network, self._device.limits.lanes), flush=True)
        self._warn(report)

    def save(self, trainer: Trainer) -> None:
        limits = self._device.limits
        settings = asdict(self._config) | {"lanes": limits.lanes, "weight_bits": limits.weight_bits}
        train_digest, test_digest = self._data.digests
        checkpoint = trainer.checkpoint(settings, train_digest)
        self._folder.save(replace(checkpoint, test_digest=test_digest))

    def _warn(self, report: EpochProgress | EpochReport) -> None:
        """Log each kind of warning the first time that it occurs."""
        found = report.warnings(self._config.network, self._config, self._device.limits.lanes)
        for text in self._warnings.of(found):
            self._bar.log(f"opzo: {text}")

    def _finish(self, test: Tally) -> None:
        seconds = time.monotonic() - self._begin
        figures = final_figures(
            *(self._config, self._device, self._data, self._folder, test), clock_mhz=self._clock_mhz, seconds=seconds
        )
        if self._tensorboard is not None:
            self._tensorboard.close()
        draw_curve(self._folder, self._config)
        # Last: a run with figures is complete.
        self._folder.write_figures(figures)
        print_figures(figures, as_json=self._json)


def draw_curve(folder: RunFolder, config: Config) -> None:
    """Draw the learning curve of a run that has completed an epoch."""
    if folder.rows:
        data, device = Path(config.data).name, config.device
        folder.write_curve(f"{config.network} on {data}, {config.rule}, seed {config.seed}, {device}")


def print_figures(figures: dict[str, Any], *, as_json: bool) -> None:
    """Print final figures; KeyError, TypeError or ValueError for damaged ones, before anything is printed."""
    facts = summary(figures)
    if as_json:
        print_json(figures)
    else:
        print_facts(facts, as_json=False)
