"""PyTorch on one core: samples per second of back-propagation through time and OTTT on frames, in floating point.

Times are CPU times, so other work on the machine does not count. A second core could at best double the figures of
large batches and does not speed up single samples.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
import torch
from baselines.bptt import Replicas
from baselines.ottt import BaselineSettings, EventTrainer
from torch import Tensor

from opzo.host.data.data_sets import Data
from opzo.host.data.images.frames import Frames
from opzo.host.driver.initial_weights import initial_weights
from opzo.spec.formats import INPUT_BITS, WEIGHT
from opzo.spec.network import Network

BATCHES = (1, 128)
RATE = 0.002


@dataclass(frozen=True)
class FrameBatch:
    """Minibatch of images with the interface of a minibatch of events: integrated once, constant over the steps."""

    x: Tensor
    """Pixels (samples, inputs) in 0..1."""
    y: Tensor
    steps: int

    def currents(self, weights: Tensor) -> Tensor:
        """Input currents (samples, steps, n) for weights (inputs, n)."""
        return (self.x @ weights)[:, None].repeat(1, self.steps, 1)

    def gradient(self, credits: Tensor) -> Tensor:
        """Gradient of the weights, (inputs, n), from credits (samples, steps, n) that include the trace."""
        return self.x.T @ credits.sum(1)


def train_replicas(replicas: Replicas, rates: Tensor, batch: FrameBatch) -> None:
    """Learn from a minibatch by plain gradient descent."""
    replicas.train(batch.x, batch.y, rates)


def torch_figures(network: Network, data: Data, seconds: float) -> list[dict[str, Any]]:
    """Rows: ``method``, ``batch``, ``train_samples_per_second``, ``test_samples_per_second``."""
    torch.set_num_threads(1)
    assert isinstance(data.train, Frames)
    x = torch.from_numpy(data.train.x.astype(np.float32) / (1 << INPUT_BITS))
    y = torch.from_numpy(data.train.y.astype(np.int64))
    weights = [matrix.astype(np.float32) / WEIGHT.one for matrix in initial_weights(network, 0)]
    rows = []
    for method in ("bptt", "ottt"):
        for size in BATCHES:
            batches = [
                FrameBatch(*pair, network.steps)
                for pair in zip(torch.split(x, size), torch.split(y, size), strict=True)
            ]
            trainer = EventTrainer(network, weights, BaselineSettings(method, batch=size))
            train: Callable[[FrameBatch], object] = partial(trainer.train, progress=0.5)
            name = f"{method.upper()}, AdamW"
            if (method, size) == ("bptt", 1):
                # Fastest method for single samples: plain gradient descent, which accesses each weight once.
                replicas, rates = Replicas(network, [0]), torch.tensor([RATE])
                train, name = partial(train_replicas, replicas, rates), "BPTT, SGD"
            rows.append(
                {
                    "method": name,
                    "batch": size,
                    "train_samples_per_second": rate(train, batches, size, seconds),
                    "test_samples_per_second": rate(trainer.forward, batches, size, seconds),
                }
            )
    return rows


def rate(work: Callable[[FrameBatch], object], batches: list[FrameBatch], size: int, seconds: float) -> int:
    """Samples per second of CPU time of ``work``, over at least ``seconds``."""
    whole = cycle([batch for batch in batches if len(batch.y) == size])
    work(next(whole))
    done, begin = 0, time.process_time()
    while (spent := time.process_time() - begin) < seconds or done == 0:
        work(next(whole))
        done += size
    return round(done / spent)
