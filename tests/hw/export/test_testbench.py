"""The exported testbench: it passes on the exported core, and finds one wrong weight."""

import re
import subprocess
from pathlib import Path

import pytest

from opzo.host.cli.main import main
from opzo.host.cli.testbench import training_script
from opzo.host.training.config import Config
from opzo.hw.export.testbench import EXPECTED, MODULE, WRITTEN, write_testbench
from opzo.hw.export.verilog import CORE
from opzo.sim.compile.verilated import build_verilated, runtime_objects

TIMING = ("-UVM_TIMING", "-DVM_TIMING=1", "-fcoroutines")
"""What ``verilator --binary --timing`` asks of the compiler."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the exported files and the program of the testbench."""
    folder = tmp_path_factory.mktemp("testbench")
    assert main(["verilog", "--testbench", "--net", "12-8-3", "--lanes", "4", "--out", str(folder)]) == 0
    build_verilated(
        (folder / f"{MODULE}.v").read_text() + (folder / f"{CORE}.v").read_text(),
        folder,
        "testbench",
        top=MODULE,
        sources=[],
        objects=runtime_objects(folder, ["verilated", "verilated_threads", "verilated_timing"], TIMING),
        options=["--main", "--exe", "--timing"],
        flags=TIMING,
        optimise=("-O0",),
    )
    return folder


def run(folder: Path) -> tuple[int, str]:
    done = subprocess.run([folder / "testbench"], cwd=folder, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def test_core_passes(folder: Path) -> None:
    code, text = run(folder)
    assert "PASSED: all results, registers and memories are those of the golden model" in text, text
    assert code == 0


def test_one_wrong_weight_is_found(folder: Path) -> None:
    path = folder / EXPECTED
    contents = path.read_text()
    row = contents.splitlines()[20].split()
    row[2] = f"{int(row[2], 16) ^ 1:04x}"
    path.write_text("\n".join([*contents.splitlines()[:20], " ".join(row), *contents.splitlines()[21:]]))
    try:
        code, text = run(folder)
    finally:
        path.write_text(contents)
    assert f"lane 2: {int(row[2], 16) ^ 1:04x}, not {row[2]}" in text, text
    assert "FAILED: 1 differences" in text
    assert "PASSED" not in text
    assert code != 0


def test_convolutions_are_written_too() -> None:
    config = Config.of({"net": "1x8x8-4c3-p2-8-3", "lanes": 4}, "the test")
    limits = config.network.limits(4)
    texts = write_testbench(training_script(config, limits), limits, CORE, "a convolution")
    calls = [line for line in texts[f"{MODULE}.v"].splitlines() if line.startswith("    write_register(")]
    assert len(calls) > 50
    assert [line for line in calls if not re.fullmatch(r"    write_register\(8'd\d+, 32'd\d+\);", line)] == []
    assert "  // GRADIENTS" in texts[f"{MODULE}.v"]
    assert len(texts[EXPECTED].splitlines()) > len(texts[WRITTEN].splitlines())
