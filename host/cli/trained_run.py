"""A trained network with samples of a data set, as the commands use it that test or predict."""

import argparse
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opzo.host.cli.options import AS_TRAINED, add_config
from opzo.host.data.class_names import Names, other_names, padded
from opzo.host.driver.device import Device, open_device
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Config
from opzo.host.training.configure import data_of
from opzo.host.training.evaluation import Samples
from opzo.host.training.run_folder import checkpoint_path
from opzo.spec.errors import OpzoError

logger = logging.getLogger(__name__)


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the argument ``run`` and ``--set``."""
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder or checkpoint of opzo train")
    parser.add_argument("--set", choices=("test", "train"), default="test", help="part of the data set (default: test)")


def add_run_config(parser: argparse.ArgumentParser, *more: str) -> None:
    """Add the settings of a run that another test of its network may change, besides ``more``."""
    keys = (*more, "data_root", "crop", "contrast", "device", "lanes", "weight_bits")
    add_config(parser, keys, **dict.fromkeys(keys, AS_TRAINED))


@dataclass(frozen=True)
class TrainedRun:
    """A trained network and samples for it.

    Attributes
    ----------
    names : tuple of str
        Names of all classes of the network; empty if unknown.
    """

    checkpoint: Checkpoint
    config: Config
    samples: Samples
    names: Names

    @classmethod
    def load(cls, path: Path, part: str, values: dict[str, Any], *, labels: bool = True) -> "TrainedRun":
        """Load a run folder or checkpoint, and its data with the user's settings ``values``.

        ``part`` is ``test`` or ``train``. Logs a warning where the class names differ, or where the samples have
        changed since training. OpzoError where the data are unknown, do not fit the network, or, with ``labels``, have
        no labels.
        """
        checkpoint = Checkpoint.load(checkpoint_path(path))
        if "data" not in checkpoint.settings | values:
            raise OpzoError(f"{path} does not state its training data; give --data")
        config = checkpoint.config(values, str(path))
        data = data_of(config, checkpoint.contrast, labels=labels)
        samples = data.test if part == "test" else data.train
        samples.check(checkpoint.network, config.data, labels=labels)
        names = checkpoint.class_names or padded(data.names, checkpoint.network.classes)
        if difference := other_names(names, data.names):
            logger.warning("warning: %s", difference)
        known = checkpoint.test_digest if part == "test" else checkpoint.data_digest
        if known and samples.digest != known and "data" not in values:
            logger.warning("warning: the %s samples of %s have changed since training", part, config.data)
        return cls(checkpoint, config, samples, names)

    @contextmanager
    def device(self) -> Iterator[Device]:
        """Open device that holds the network."""
        config, network = self.config, self.checkpoint.network
        with open_device(config.device, network, config.lanes, config.weight_bits) as device:
            device.configure(network, self.checkpoint.rule)
            self.checkpoint.state.write_weights(device)
            yield device
