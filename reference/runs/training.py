"""Training runs of the reference: epochs, metrics, and checkpoints that resume to identical results."""

import csv
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from opzo.system.atomic import write_atomically
from opzo.reference.data.data_sets import DataSet, Indices, Part, load
from opzo.reference.methods.learner import Learner
from opzo.reference.methods.presets import NETWORKS
from opzo.reference.runs.probe import Probe, probe
from opzo.reference.runs.run import ReferenceRun
from opzo.reference.methods.totals import Totals
from opzo.host.exchange.torch_file import read_torch
from opzo.spec.errors import OpzoError
from opzo.spec.messages import reason, shown

CHECKPOINT, METRICS, NETWORK = "checkpoint.pt", "metrics.csv", "network.pt"
"""Files of a run: state for resuming, a line of metrics per epoch, state dict of the network."""
TEST_BATCH = 500
NEEDED = ("train_accuracy", "test_accuracy", "seconds")
"""Metrics of an epoch that the tables need."""


@dataclass
class Epoch:
    """Metrics of an epoch; firing rates are in spikes per neuron and time step, by hidden layer."""

    epoch: int
    alpha: float
    train_accuracy: float
    train_loss: float
    test_accuracy: float
    test_loss: float
    seconds: float
    firing_rates: list[float]
    probe: Probe | None = field(default=None)

    def row(self) -> dict[str, float]:
        """Columns of the metrics."""
        values: dict[str, float] = {
            name: value for name, value in asdict(self).items() if name not in ("firing_rates", "probe")
        }
        values |= {f"firing_rate_{layer}": rate for layer, rate in enumerate(self.firing_rates, 1)}
        return values | (self.probe.row() if self.probe else {})


class Training:
    """A run between two epochs.

    Parameters
    ----------
    run : ReferenceRun
    data : DataSet
        Data of the run.
    device : str
        Device of PyTorch: ``cpu``, ``cuda``, ...

    Attributes
    ----------
    learner : Learner
    epoch : int
        Completed epochs.
    rows : list of dict
        Metrics of the completed epochs.
    """

    def __init__(self, run: ReferenceRun, data: DataSet, device: str = "cpu") -> None:
        self.run, self.recipe, self.data, self.device = run, run.recipe, data, torch_device(device)
        recipe = run.recipe
        torch.manual_seed(recipe.seed)
        network = NETWORKS[recipe.network](data.shape, data.classes, recipe.dropout)
        self.learner = Learner(network, data.shape, recipe.method).to(self.device)
        self._optimizer = torch.optim.AdamW(
            self.learner.parameters(), recipe.rate, weight_decay=recipe.decay, fused=True
        )
        self.epoch, self.rows = 0, list[dict[str, float]]()

    def run_epoch(self, progress: Callable[[Totals], None] = lambda totals: None) -> Epoch:
        """Train one epoch and test; ``progress`` is called after each batch."""
        recipe, begin = self.recipe, time.perf_counter()
        alpha = recipe.alpha(self.epoch)
        order = torch.randperm(len(self.data.train)).numpy()
        # As in the paper's loaders, an incomplete last batch is dropped unless it is the only one.
        count = max(1, len(order) // recipe.batch)
        trained = Totals()
        self.learner.train()
        for number in range(count):
            x, y = self.batch(self.data.train, order[number * recipe.batch :][: recipe.batch], augment=True)
            self._optimizer.param_groups[0]["lr"] = self._rate((self.epoch + number / count) / recipe.epochs)
            self._optimizer.zero_grad()
            trained.add(self.learner.gradients(x, y, alpha))
            self._optimizer.step()
            progress(trained)
        seconds = time.perf_counter() - begin
        tested = self.test(alpha)
        result = Epoch(
            self.epoch + 1,
            alpha,
            trained.accuracy,
            trained.mean_loss,
            tested.accuracy,
            tested.mean_loss,
            seconds,
            tested.firing_rates(self.learner.shapes, self._steps),
            self._probe(alpha) if recipe.probes else None,
        )
        self.epoch += 1
        self.rows.append(result.row())
        return result

    def test(self, alpha: float = 0.0) -> Totals:
        """Test on all test samples; ``alpha`` is the noise amplitude if tests are under noise."""
        totals = Totals()
        self.learner.eval()
        for begin in range(0, len(self.data.test), TEST_BATCH):
            indices = np.arange(begin, min(begin + TEST_BATCH, len(self.data.test)))
            totals.add(self.learner.test(*self.batch(self.data.test, indices, augment=False), alpha))
        return totals

    def batch(self, part: Part, indices: Indices, *, augment: bool) -> tuple[Tensor, Tensor]:
        """Inputs (samples, steps, channels, height, width) and labels on the device."""
        x, y = part.batch(indices, torch.default_generator if augment else None)
        return x.to(self.device).expand(-1, self._steps, -1, -1, -1), y.to(self.device)

    def save(self, folder: Path) -> None:
        """Write checkpoint, network and metrics, each atomically."""
        for name, state in ((CHECKPOINT, self._state()), (NETWORK, self.learner.network.state_dict())):
            file = io.BytesIO()
            torch.save(state, file)
            write_atomically(folder / name, file.getvalue())
        text = io.StringIO()
        if self.rows:
            writer = csv.DictWriter(text, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        write_atomically(folder / METRICS, text.getvalue().encode())

    def take_network(self, state: Mapping[str, Any]) -> None:
        """Load the network's weights from the checkpoint of another run; OpzoError if the networks differ."""
        prefix = "network."
        try:
            weights = {key.removeprefix(prefix): v for key, v in state["learner"].items() if key.startswith(prefix)}
            self.learner.network.load_state_dict(weights)
        except (RuntimeError, KeyError, TypeError, AttributeError):
            raise OpzoError(f"--weights is a run of another network; give one of {self.recipe.network}") from None

    def take(self, state: Mapping[str, Any]) -> None:
        """Load a checkpoint of this run; OpzoError if it does not fit."""
        try:
            self.learner.load_state_dict(state["learner"])
            self._optimizer.load_state_dict(state["optimizer"])
            self.rows = rows_of(state)
            self.epoch = len(self.rows)
            torch.set_rng_state(state["random"].cpu())
            if self.device.type == "cuda":
                torch.cuda.set_rng_state(state["random_cuda"].cpu(), self.device)
        # The messages of PyTorch have several lines and are for programmers.
        except (KeyError, ValueError, RuntimeError, TypeError, AttributeError, IndexError):
            raise OpzoError("the checkpoint does not fit its run; start a new one") from None

    def _state(self) -> dict[str, Any]:
        state = {
            "run": asdict(self.run),
            # Facts about the data that the tables need.
            "shape": list(self.data.shape),
            "classes": self.data.classes,
            "steps": self._steps,
            "digests": list(self._digests),
            "learner": self.learner.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "epoch": self.epoch,
            "rows": self.rows,
            "random": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            state["random_cuda"] = torch.cuda.get_rng_state(self.device)
        return state

    @property
    def samples(self) -> int:
        """Training samples per epoch."""
        return max(1, len(self.data.train) // self.recipe.batch) * min(self.recipe.batch, len(self.data.train))

    @cached_property
    def _digests(self) -> tuple[int, int]:
        return self.data.digests

    @property
    def _steps(self) -> int:
        return self.data.steps or self.recipe.steps

    def _rate(self, done: float) -> float:
        return self.recipe.rate * (1 + cos(pi * done)) / 2

    def _probe(self, alpha: float) -> Probe:
        """Compare gradients on the first training samples, without an effect on the training."""
        size = self.recipe.batch
        with torch.random.fork_rng():
            torch.manual_seed(self.recipe.seed)
            batches = [
                self.batch(
                    self.data.train, np.arange(n * size, min((n + 1) * size, len(self.data.train))), augment=False
                )
                for n in range(min(self.recipe.probes, len(self.data.train) // size))
            ]
            return probe(self.learner, batches, alpha)


def start(run: ReferenceRun, device: str = "cpu") -> Training:
    """Load the data of a run and initialize it."""
    training = _loaded(run, device)
    if run.weights:
        training.take_network(load_checkpoint(Path(run.weights), device))
    return training


def load_run(folder: Path, device: str = "cpu") -> Training:
    """Run in a folder at its last checkpoint; OpzoError if there is none or if its data are missing."""
    state = load_checkpoint(folder, device)
    run = run_of(state, folder)
    try:
        training = _loaded(run, device)
    except (TypeError, IndexError) as error:
        raise OpzoError(f"{folder / CHECKPOINT} is not a run of this version ({reason(error)}); start a new one") from None
    known = state.get("digests")
    # Older checkpoints have no digests.
    if known is not None and not (isinstance(known, list) and known == list(training.data.digests)):
        raise OpzoError(
            f"{run.data} is not the data that {folder} was trained on; give the same files, or start a new run"
        )
    training.take(state)
    return training


def run_of(state: Mapping[str, Any], folder: Path) -> ReferenceRun:
    """Run of a checkpoint in ``folder``; OpzoError if it is from another version."""
    try:
        run = ReferenceRun.restored(state["run"])
        if run.recipe.network not in NETWORKS:
            raise ValueError(f"there is no network '{run.recipe.network}'")
    except (KeyError, TypeError, ValueError, AttributeError, OpzoError) as error:
        raise OpzoError(f"{folder / CHECKPOINT} is not a run of this version ({reason(error)}); start a new one") from None
    return run


def rows_of(state: Mapping[str, Any]) -> list[dict[str, float]]:
    """Metrics of a checkpoint, one row per epoch; KeyError, TypeError or ValueError if they are invalid."""
    rows = [dict(row) for row in state["rows"]]
    for number, row in enumerate(rows, 1):
        if row["epoch"] != number or not all(type(value) in (int, float) for value in row.values()):
            raise ValueError(f"its metrics of epoch {number} are invalid")
        for key in NEEDED:
            _ = row[key]
    return rows


def _loaded(run: ReferenceRun, device: str) -> Training:
    return Training(run, load(run.data, run.data_root, train=run.train_samples, test=run.test_samples), device)


def torch_device(name: str) -> torch.device:
    """Device of PyTorch; OpzoError if it is not available."""
    try:
        device = torch.device(name)
        # Devices without values, such as meta, fail here.
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, ValueError):
        raise OpzoError(f"PyTorch has no device {shown(name)} here; choose cpu or cuda") from None
    return device


def load_checkpoint(folder: Path, device: str = "cpu") -> dict[str, Any]:
    """Contents of a run's checkpoint; OpzoError if it is missing or damaged."""
    path = folder / CHECKPOINT
    if not path.exists():
        raise OpzoError(f"there is no {path}; give the folder of a run of opzo reference train")
    state = read_torch(path, "is not a checkpoint of a run", "start a new one", device)
    if not isinstance(state, dict):
        raise OpzoError(f"{path} is not a checkpoint of a run (it is of type {type(state).__name__}); start a new one")
    return state
