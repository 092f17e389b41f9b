"""Training runs of the reference: epochs, metrics, checkpoints that go on bit for bit."""

import csv
import io
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from opzo.host.atomic import write_atomically
from opzo.sim.reference.data import DataSet, Part
from opzo.sim.reference.learner import Learner, Method, Tally
from opzo.sim.reference.noise import ALPHA_FIRST, ALPHA_LAST
from opzo.sim.reference.presets import NETWORKS
from opzo.sim.reference.probe import Probe, probe
from opzo.spec.errors import OpzoError

CHECKPOINT, METRICS = "checkpoint.pt", "metrics.csv"
TEST_BATCH = 500


@dataclass(frozen=True)
class Recipe:
    """All that a run's result depends on, beside data and machine.

    Parameters
    ----------
    network : str
        A key of `opzo.sim.reference.presets.NETWORKS`.
    method : Method
    steps, epochs, batch, rate, decay, dropout
        As in `Preset`; ``rate`` is that of the method.
    alpha_first, alpha_last : float
        Amplitude of the noise in the first and in the last epoch; it falls linearly.
    seed : int
    probes : int
        Batches after each epoch on which gradients are compared; 0: none.
    """

    network: str
    method: Method
    steps: int
    epochs: int
    batch: int
    rate: float
    decay: float
    dropout: float
    seed: int
    alpha_first: float = ALPHA_FIRST
    alpha_last: float = ALPHA_LAST
    probes: int = 0

    def alpha(self, epoch: int) -> float:
        """Amplitude of the noise in ``epoch``, from 0."""
        return self.alpha_first + (self.alpha_last - self.alpha_first) * epoch / max(1, self.epochs - 1)


@dataclass
class Epoch:
    """What an epoch brought; firing rates in spikes a neuron and time step, by hidden layer."""

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
        """One line of the metrics."""
        values: dict[str, float] = {
            name: value for name, value in asdict(self).items() if name not in ("firing_rates", "probe")
        }
        values |= {f"firing_rate_{layer}": rate for layer, rate in enumerate(self.firing_rates, 1)}
        return values | (self.probe.row() if self.probe else {})


class Training:
    """A run, between two epochs.

    Parameters
    ----------
    recipe : Recipe
    data : DataSet
    device : str
        Of torch: ``cpu``, ``cuda``, ...

    Attributes
    ----------
    learner : Learner
    epoch : int
        Epochs done.
    rows : list of dict
        Metrics of the epochs done.
    """

    def __init__(self, recipe: Recipe, data: DataSet, device: str = "cpu") -> None:
        self.recipe, self.data, self.device = recipe, data, torch.device(device)
        torch.manual_seed(recipe.seed)
        network = NETWORKS[recipe.network](data.shape, data.classes, recipe.dropout)
        self.learner = Learner(network, data.shape, recipe.method).to(self.device)
        self._optimizer = torch.optim.AdamW(
            self.learner.parameters(), recipe.rate, weight_decay=recipe.decay, fused=True
        )
        self.epoch, self.rows = 0, list[dict[str, float]]()

    def run_epoch(self, progress: Callable[[Tally], None] = lambda tally: None) -> Epoch:
        """Train one epoch and test; ``progress`` is told after each batch."""
        recipe, begin = self.recipe, time.perf_counter()
        alpha = recipe.alpha(self.epoch)
        order = torch.randperm(len(self.data.train)).numpy()
        # As in the paper's loaders, an incomplete last batch is left out, unless it is the only one.
        count = max(1, len(order) // recipe.batch)
        trained = Tally()
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

    def test(self, alpha: float = 0.0) -> Tally:
        """Test on all test samples; ``alpha`` is the amplitude of the noise if tests are under noise."""
        tally = Tally()
        self.learner.eval()
        for begin in range(0, len(self.data.test), TEST_BATCH):
            indices = np.arange(begin, min(begin + TEST_BATCH, len(self.data.test)))
            tally.add(self.learner.test(*self.batch(self.data.test, indices, augment=False), alpha))
        return tally

    def batch(self, part: Part, indices: np.ndarray[Any, np.dtype[np.intp]], *, augment: bool) -> tuple[Tensor, Tensor]:
        """Inputs (samples, steps, channels, height, width) and labels on the device."""
        x, y = part.batch(indices, torch.default_generator if augment else None)
        return x.to(self.device).expand(-1, self._steps, -1, -1, -1), y.to(self.device)

    def save(self, folder: Path) -> None:
        """Write checkpoint and metrics, each whole or not at all."""
        file = io.BytesIO()
        torch.save(self._state(), file)
        write_atomically(folder / CHECKPOINT, file.getvalue())
        text = io.StringIO()
        if self.rows:
            writer = csv.DictWriter(text, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        write_atomically(folder / METRICS, text.getvalue().encode())

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint; OpzoError where it is none of such a run."""
        state = load_checkpoint(folder, str(self.device))
        try:
            self.learner.load_state_dict(state["learner"])
            self._optimizer.load_state_dict(state["optimizer"])
            self.epoch, self.rows = int(state["epoch"]), list(state["rows"])
            torch.set_rng_state(state["random"].cpu())
            if self.device.type == "cuda":
                torch.cuda.set_rng_state(state["random_cuda"].cpu(), self.device)
        except (KeyError, ValueError, RuntimeError) as error:
            raise OpzoError(f"{folder / CHECKPOINT} is not of this run ({error}); start a new one") from None

    def _state(self) -> dict[str, Any]:
        state = {
            "recipe": asdict(self.recipe),
            "data": self.data.name,
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
    def _steps(self) -> int:
        return self.data.steps or self.recipe.steps

    def _rate(self, done: float) -> float:
        return self.recipe.rate * (1 + cos(pi * done)) / 2

    def _probe(self, alpha: float) -> Probe:
        """Compare gradients on the first training samples; the training goes on as if it had not been."""
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


def load_checkpoint(folder: Path, device: str = "cpu") -> dict[str, Any]:
    """Contents of a run's checkpoint; OpzoError where there is none, or a damaged one."""
    path = folder / CHECKPOINT
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise OpzoError(f"there is no {path}; give the folder of a run of opzo reference train") from None
    except Exception as error:
        raise OpzoError(f"cannot read {path} ({error}); start a new run") from None
    return state
