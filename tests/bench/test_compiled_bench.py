"""bench/compiled.py on a small network."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "bench" / "compiled.py"
TINY = ("--data", "digits", "--net", "64-8-10", "--lanes", "4", "--samples", "200", "--turns", "1", "--json")


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(BENCH), *options], capture_output=True, text=True, timeout=600)


def test_versions_and_pytorch_are_measured_in_turns() -> None:
    done = bench(*TINY, "--before", str(ROOT / "src"), "--torch-seconds", "0.05")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    (turn,) = figures["turns"]
    for kind in ("augmented", "plain"):
        assert figures[f"now_{kind}"] == turn["now"][kind] > 0
        assert figures[f"ratio_{kind}"] == round(turn["now"][kind] / turn["before"][kind], 3)
        assert figures[f"same_weights_{kind}"]
    assert figures["pytorch"]["OTTT, AdamW, batch 128"] > 0


def test_version_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = bench(*TINY, "--before", str(tmp_path), "--torch-seconds", "0")
    assert done.returncode == 2
    assert f"there is no opzo in {tmp_path}; give the src folder of a checkout" in done.stderr
