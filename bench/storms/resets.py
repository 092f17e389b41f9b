"""A device that loses its state with its line: training resumes from checkpoints and ends with the same one."""

import tempfile
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from opzo.host.data.images.frames import Frames
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Hyperparameters
from opzo.host.training.reports import Watcher
from opzo.host.training.trainer import Trainer
from opzo.sim.model_transport import fast
from opzo.spec.errors import LinkError
from opzo.spec.network import Network
from opzo.spec.registers import Counter
from storms.line import Clock, StormLine
from storms.twins import CYCLES, LANES, open_line

NETWORK = Network("12-8-4", local=1)
SAMPLES = 400
"""Training samples of an epoch."""
EVERY = 64
"""Samples between two checkpoints."""
FRAMES = 2.6
"""Frames sent and received for a training sample, with those of its share of tests and checkpoints."""


class FragileLine(StormLine):
    """A line whose device starts afresh when the line dies, and sometimes while the line stays."""

    def _break(self, what: str) -> None:
        self.model = fast(self.model.core.limits)
        if self._random.random() < 0.5:
            super()._break(what)


class Saver(Watcher):
    """Saves the checkpoints of a trainer in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, trainer: Trainer) -> None:
        trainer.checkpoint().save(self.path)


def run_resets(clock: Clock, rate: float, frames: int, seed: int) -> dict[str, Any]:
    """Train for about ``frames`` frames; figures, and whether checkpoint and number of samples are as undisturbed."""
    random = np.random.default_rng(seed)
    data = Frames(random.integers(0, 256, (SAMPLES, 12)).astype(np.uint8), random.integers(0, 4, SAMPLES, np.uint8))
    hyper = Hyperparameters(epochs=max(1, round(frames / (FRAMES * SAMPLES))), seed=seed)
    sums = dict.fromkeys(("frames", "faults", "damaged", "resent", "deaths", "samples"), 0)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = _train(clock, 0.0, data, hyper, Path(folder) / "undisturbed.npz", dict(sums))
        disturbed = _train(clock, rate, data, hyper, Path(folder) / "disturbed.npz", sums)
    names = [
        name
        for name, array in undisturbed._arrays().items()
        if name != "counters" and not np.array_equal(array, disturbed._arrays()[name])
    ]
    counted = [counter for counter in Counter if counter not in CYCLES]
    if not np.array_equal(undisturbed.tally.counters[counted], disturbed.tally.counters[counted]):
        names.append("counters")
    trained = disturbed.state.samples
    if trained != hyper.epochs * SAMPLES:
        names.append(f"{trained} samples instead of {hyper.epochs * SAMPLES}")
    return sums | {"samples": trained, "outcome": ", ".join(names) or "equal", "ok": not names}


def _train(
    clock: Clock, rate: float, data: Frames, hyper: Hyperparameters, path: Path, sums: dict[str, int]
) -> Checkpoint:
    """Train to the end, from the last checkpoint each time that the device was lost; the last checkpoint."""
    line = FragileLine(fast(NETWORK.limits(LANES)), clock, Random(hyper.seed), (), rate, "operations")
    done = False
    while not done:
        device = open_line(line, reopens=True)
        line.active = True
        try:
            checkpoint = Checkpoint.load(path) if path.exists() else None
            trainer = Trainer(device, NETWORK, hyper, checkpoint)
            done = trainer.fit(data, data[:20], Saver(path), checkpoint_every=EVERY)
        except LinkError:
            pass
        line.active = False
        quality = device._link.quality
        for name, count in (("frames", quality.frames), ("damaged", quality.damaged), ("resent", device.repeats)):
            sums[name] += count
    sums["deaths"] = line.deaths
    return Checkpoint.load(path)
