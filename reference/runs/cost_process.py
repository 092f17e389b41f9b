"""Process that measures the memory of one method: ``python -m opzo.reference.runs.cost_process JOB``; prints bytes."""

import json
import resource
import sys
from pathlib import Path

import torch

from opzo.reference.runs.cost import WARM_UP, CostBenchmark
from opzo.reference.methods.learner import Method
from opzo.reference.methods.noise import Noise
from opzo.reference.methods.presets import Preset

STATUS = Path("/proc/self/status")


def peak() -> int:
    """Peak resident set of this process, in bytes."""
    if STATUS.exists():
        # On Linux, the value of getrusage includes that of the parent process.
        return 1024 * int(STATUS.read_text().partition("VmHWM:")[2].split()[0])
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    if job is not None:
        torch.set_num_threads(job["threads"])
        noise = Noise(**job["method"].pop("noise"))
        preset = Preset(**{**job["preset"], "noise": noise})
        benchmark = CostBenchmark(preset, tuple(job["shape"]), job["classes"], Method(**job["method"], noise=noise), "cpu")
        for _ in range(WARM_UP):
            benchmark.batch()
    print(peak())
