"""Checks of this machine for ``opzo doctor``: each says what works, or what to do."""

import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version

import numpy as np
from packaging.requirements import Requirement

import opzo
from opzo.boards.families.tools import WHEELS, find_tool
from opzo.boards.loader import check_loader
from opzo.host.cli.serial_ports import find_ports
from opzo.host.data.images.frames import encode_frame
from opzo.host.driver.device import open_device
from opzo.host.driver.devices import KINDS
from opzo.host.driver.sample import Sample
from opzo.host.driver.serial_port import no_permission
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable
from opzo.spec.network import Network
from opzo.spec.rules import Rule
from opzo.system.cache import check_cache

PROJECT = "opzo"
DEVELOPMENT = "dev"
"""Extra for those who change opzo itself; it is not checked."""
TRIED = Network("4-4-2")
"""Network that a device runs to show that it works."""


@dataclass(frozen=True)
class Check:
    """Result of a check.

    Attributes
    ----------
    name : str
    ok : bool
    text : str
        What was found, or what to do.
    base : bool
        Whether opzo cannot be used at all without it.
    """

    name: str
    ok: bool
    text: str
    base: bool = False


def checks() -> Iterator[Check]:
    """All checks, each done when it is asked for."""
    yield Check("opzo", True, f"{opzo.__version__}, Python {platform.python_version()} on {platform.platform()}", True)
    extras = dict(_packages())
    yield Check("packages", *extras.pop(""), base=True)
    yield _check("device golden", lambda: _runs("golden"), base=True)
    yield _check("cache folder", _cache)
    yield _check("device fast", lambda: f"{KINDS['fast'].find_tools()}; {_runs('fast')}")
    # To build the simulated chip would take a minute.
    yield _check("device rtl", lambda: KINDS["rtl"].find_tools())
    for extra, found in extras.items():
        yield Check(f"extra {extra}", *found)
    yield from map(_tool, WHEELS)
    yield _check("tool openFPGALoader", check_loader)
    yield from _ports()


def _check(name: str, find: Callable[[], str], *, base: bool = False) -> Check:
    try:
        return Check(name, True, printable(find()), base)
    except OpzoError as error:
        return Check(name, False, str(error), base)


def _cache() -> str:
    root = check_cache()
    if root.stat().st_mode & 0o022:
        return f"{root} can be written by others too, but only you can change what is yours (sticky bit)"
    return f"{root} can be written, by you only"


def _runs(device: str) -> str:
    with open_device(device, TRIED, 4) as opened:
        opened.configure(TRIED, Rule.OPZO)
        list(opened.run([Sample((encode_frame(np.array([255, 0, 128, 0], np.uint8)),))]))
    return f"ran a sample of {TRIED}"


def _tool(name: str) -> Check:
    return _check(f"tool {name}", lambda: find_tool(name)[1])


def _packages() -> Iterator[tuple[str, tuple[bool, str]]]:
    """For the base ("") and each extra: whether its packages are there, and their versions or what to do."""
    try:
        found = distribution(PROJECT)
    except PackageNotFoundError:
        yield "", (False, f"{PROJECT} runs from its sources without being installed; install it with: pip install .")
        return
    requirements = [Requirement(text) for text in found.requires or ()]
    for extra in ("", *(found.metadata.get_all("Provides-Extra") or ())):
        if extra == DEVELOPMENT:
            continue
        # An extra that includes another one is checked for its own packages.
        needed = [one for one in requirements if one.name != PROJECT and _applies(one, extra)]
        yield extra, _installed(needed, f"'{PROJECT}[{extra}]'" if extra else PROJECT)


def _applies(requirement: Requirement, extra: str) -> bool:
    """Whether a requirement is that of an extra, or of the base (""), on this machine."""
    base, chosen = (requirement.marker is None or requirement.marker.evaluate({"extra": name}) for name in ("", extra))
    return chosen and (not base or not extra)


def _installed(needed: list[Requirement], source: str) -> tuple[bool, str]:
    present, missing = [], []
    for requirement in needed:
        try:
            number = version(requirement.name)
        except PackageNotFoundError:
            missing.append(requirement.name)
            continue
        if requirement.specifier.contains(number, prereleases=True):
            present.append(f"{requirement.name} {number}")
        else:
            missing.append(f"{requirement.name}{requirement.specifier} (installed: {number})")
    if missing:
        return False, f"{', '.join(missing)}; pip install {source}"
    return True, ", ".join(present)


def _ports() -> Iterator[Check]:
    ports = [port for port in find_ports() if not port.programming]
    if not ports:
        yield Check("serial ports", False, "none; plug in a board, if you have one, with a cable that carries data")
    for port in ports:
        if os.access(port.path, os.R_OK | os.W_OK):
            names = " or ".join(board.name for board in port.boards) or "unknown board"
            yield Check(f"port {port.path}", True, f"{names}; opzo ports --probe asks for the device")
        else:
            yield Check(f"port {port.path}", False, no_permission(port.path))
