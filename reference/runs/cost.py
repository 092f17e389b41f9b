"""Time and memory per batch of each method on this machine (paper, table 6)."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod

import torch

from opzo.system.bounds import check_memory
from opzo.reference.methods.learner import Learner, Method
from opzo.reference.methods.presets import NETWORKS, Preset

WARM_UP = 2
ALPHA = 0.1


@dataclass(frozen=True)
class Measured:
    """Cost of a batch.

    Attributes
    ----------
    seconds : float
        Time of gradients and optimizer step in the fastest batch, which was disturbed least.
    memory : int
        Peak memory in bytes, without that of the libraries.
    """

    seconds: float
    memory: int


class CostBenchmark:
    """Runs batches of random inputs through the network of a preset."""

    def __init__(self, preset: Preset, shape: tuple[int, int, int], classes: int, method: Method, device: str) -> None:
        check_memory(f"a batch of {preset.batch}", 4 * preset.batch * prod(shape) * preset.steps)
        torch.manual_seed(0)
        network = NETWORKS[preset.network](shape, classes, preset.dropout)
        self._learner = Learner(network, shape, method).to(device)
        self._optimizer = torch.optim.AdamW(self._learner.parameters(), preset.rate, fused=True)
        self._x = torch.randn(preset.batch, 1, *shape, device=device).expand(-1, preset.steps, -1, -1, -1)
        self._y = torch.arange(preset.batch, device=device) % classes

    def batch(self) -> float:
        """Run one batch; return the seconds."""
        if self._x.is_cuda:
            torch.cuda.synchronize()
        begin = time.perf_counter()
        self._optimizer.zero_grad()
        self._learner.gradients(self._x, self._y, ALPHA)
        self._optimizer.step()
        if self._x.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - begin


def measure(
    preset: Preset, shape: tuple[int, int, int], classes: int, methods: Sequence[Method], batches: int, device: str
) -> list[Measured]:
    """Cost of each method. Time: batches of the methods alternate, so that disturbances affect all alike.

    Memory on a CPU: the peak resident set of a process with only that method, minus that of a process with only the
    libraries; on CUDA, the peak allocation of PyTorch.
    """
    memory = _memory(preset, shape, classes, methods, device)
    benchmarks = [CostBenchmark(preset, shape, classes, method, device) for method in methods]
    times = [[benchmark.batch() for benchmark in benchmarks] for _ in range(WARM_UP + batches)][WARM_UP:]
    return [Measured(min(column), held) for column, held in zip(zip(*times, strict=True), memory, strict=True)]


def _memory(
    preset: Preset, shape: tuple[int, int, int], classes: int, methods: Sequence[Method], device: str
) -> list[int]:
    if torch.device(device).type == "cuda":
        return [_allocated(CostBenchmark(preset, shape, classes, method, device)) for method in methods]
    given = {"preset": asdict(preset), "shape": shape, "classes": classes, "threads": torch.get_num_threads()}
    jobs = [{**given, "method": asdict(method)} for method in methods]
    libraries, *peaks = [_resident(job) for job in [None, *jobs]]
    return [peak - libraries for peak in peaks]


def _allocated(benchmark: CostBenchmark) -> int:
    torch.cuda.reset_peak_memory_stats()
    for _ in range(WARM_UP):
        benchmark.batch()
    return torch.cuda.max_memory_allocated()


def _resident(job: object) -> int:
    """Peak resident set of a process that does the job, in bytes."""
    command = [sys.executable, "-m", "opzo.reference.runs.cost_process", json.dumps(job)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
