"""Feed a few inputs to each reader of a module of bench/fuzzing: python tests/fuzz_group.py MODULE SEED COUNT

In a process of its own, so that a crash is seen, and because readers replace functions of other modules.
"""

import faulthandler
import logging
import signal
import sys
import tempfile
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
from fuzzing.reader import Reader, judge
from fuzzing.worker import FREE

from opzo.system import bounds, probe

SECONDS = 60
"""For one input; the machine of a test may be busy."""


def feed(reader: Reader, seed: int, count: int) -> None:
    """Judge good inputs, which must be accepted, and ``count`` others."""
    with tempfile.TemporaryDirectory() as folder:
        good, read = reader.prepare(Path(folder))
        for content in good:
            assert judge(read, content) is None, reader.name
        for number in range(count):
            rng = np.random.default_rng([seed, number])
            print(reader.name, seed, number, file=sys.stderr)
            signal.alarm(SECONDS)
            judge(read, reader.change(good[int(rng.integers(len(good)))], rng))
            signal.alarm(0)


if __name__ == "__main__":
    faulthandler.enable()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", RuntimeWarning)
    group, seed, count = sys.argv[1], *map(int, sys.argv[2:])
    bounds.free_memory, probe.SECONDS = lambda: FREE, 2
    for one in import_module(f"fuzzing.{group}").READERS:
        # Those that are not guided take long.
        feed(one, seed, count if one.guided else count // 4)
