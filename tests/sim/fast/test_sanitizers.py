"""The compiled model under GCC's checks of addresses and of undefined behaviour, in a process of its own."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from opzo.sim.compile.cxx import TUNINGS, find_cxx

TESTS = Path(__file__).resolve().parents[2]
FLAGS = (
    *("-std=c++20", "-O1", "-fPIC", "-fvisibility=hidden", "-shared", "-D_GLIBCXX_SANITIZE_VECTOR"),
    *("-fsanitize=address,bounds,integer-divide-by-zero,shift-exponent", "-fno-sanitize-recover=all"),
)
CASES = """
from opzo.sim.fast import library
library.FLAGS = FLAGS
from model_twins import RATES, Case, run_case
from opzo.spec.network import Network
from opzo.spec.registers import Reg
from opzo.spec.rules import Input, Rule

values = dict(zip(map(int, RATES), (819, 84, 21, 6, 4, 7), strict=True))
values |= {int(Reg.CONVOLUTION_RATE): 1500, int(Reg.BATCH): 2}
for kind in Input:
    for rule in Rule:
        run_case(Case(Network((13, 9, 6, 3), 6, 2, kind), 4, 16, rule, values, seed=1), 4)
        run_case(Case(Network("1x8x8-5c3-p2-6c3-4", 3, 2, kind, 2), 4, 16, rule, values, seed=2), 3)
"""


def lift_memory_limit() -> None:
    """Set the limit of address space to the largest allowed: the checks reserve terabytes and use little."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def test_no_address_is_out_of_bounds() -> None:
    if sys.platform != "linux" or find_cxx().tuning != TUNINGS[0]:
        pytest.skip("the checks need GCC on Linux")
    if resource.getrlimit(resource.RLIMIT_AS)[1] != resource.RLIM_INFINITY:
        pytest.skip("the checks need a limit of address space that can be lifted")
    command = [*find_cxx().command, "-print-file-name=libasan.so"]
    runtime = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    if not os.path.isabs(runtime):
        pytest.skip("GCC has no libasan here")
    environment = os.environ | {
        "LD_PRELOAD": runtime,
        # Python keeps memory until it ends.
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")])),
    }
    code = f"FLAGS = {FLAGS!r}\n{CASES}"
    # Up to GCC 13 the checks may not start where the kernel chooses addresses with more than 28 random bits.
    fixed = ["setarch", "-R"]
    if not shutil.which("setarch") or subprocess.run([*fixed, "true"], capture_output=True).returncode:
        fixed = []
    done = subprocess.run(
        [*fixed, sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=lift_memory_limit,
    )
    assert done.returncode == 0, done.stderr[:4000]
