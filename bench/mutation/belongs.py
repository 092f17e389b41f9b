"""The tests that belong to a source file, the cheapest first."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

Step = tuple[str, ...]
"""Arguments of one run of pytest."""
FOLDERS = ("hw", "sim/golden", "sim/fast", "host/driver")
NEAREST = 3
"""Most test files of gateware for a file, those of the smallest designs that contain it."""
LANES = ("tests/hw/lanes/test_lanes.py",)
ENCODER = ("tests/hw/input/test_spike_encoder.py",)
ERRORS = ("tests/hw/error/test_error_unit.py",)
LINK = ("tests/hw/link/test_link.py",)
SCHEDULE = ("tests/hw/schedule/test_schedule.py",)
FILLER = ("tests/hw/schedule/test_filler.py",)
MISUSE = ("tests/hw/top/test_misuse.py", "tests/hw/lanes/test_checks.py", "tests/hw/schedule/test_assertions.py")
"""Assertions that fire, in Amaranth's simulator: nothing is compiled."""
INDICATORS = "tests/hw/top/test_indicators.py"
MAPS_CORE = "tests/hw/top/test_core_convolutions.py::test_core_of_the_smallest_chip_matches_golden"
OWN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("core", "interface", "run_control"), ()),
    **dict.fromkeys(("engine", "input/active_rows", "schedule/sequencer"), (MAPS_CORE,)),
    **dict.fromkeys(("lanes/lane", "lanes/lane_group", "lanes/lane_ports", "lanes/lanes", "lib/add_tree"), LANES),
    **dict.fromkeys(("input/scanner", "input/spike_lists"), ENCODER),
    "decode": (*LINK, *FILLER, *SCHEDULE),
    "error/ports": ERRORS,
    "lanes/lane_command": LANES,
    "lib/check": ("tests/hw/lib/test_check.py",),
    "top": (INDICATORS,),
    "schedule/passes": (*SCHEDULE, "tests/hw/schedule/test_runner.py"),
    "timing": (*LANES, *FILLER, "tests/hw/neurons/test_neurons.py"),
}
"""Test files of a file of gateware whose smallest design checks little of it; none: all of the core does."""
CORES = (
    "tests/hw/top/test_core.py",
    "tests/hw/top/test_core_convolutions.py",
    INDICATORS,
    MISUSE[0],
    "tests/hw/export/",
)
"""Test files of gateware that are no such: all of the core, and text."""
MOST = 4
"""Most test files of other folders that import a module."""
USERS: dict[str, tuple[str, ...]] = {
    "sim/golden": ("tests/hw/", "tests/sim/rtl/test_cycle_budget.py"),
    "sim/fast": ("tests/system/",),
    "host/driver": (
        *("tests/host/driver/", "tests/host/cli/test_serial_ports.py", "tests/host/exchange/", "tests/host/report/"),
        *("tests/host/selftest/test_selftest_parts.py", "tests/host/training/"),
    ),
}
"""Where tests that import a module are looked for."""
GOLDEN = "tests/sim/golden"
FAST = "tests/sim/fast/test_fast.py"
MANY = tuple(f"{FAST}::test_every_number_of_lanes[16-{rule}]" for rule in range(4))
"""Golden and compiled model with 16 lanes: two libraries."""
MAPS = "tests/sim/fast/test_fast_convolution.py"
SANITIZED = "tests/sim/fast/test_sanitizers.py"
DRIVER = "tests/host/driver"
LAST: dict[str, tuple[int, tuple[Step, ...]]] = {
    "hw": (
        3,
        (
            MISUSE,
            ("tests/hw/top/test_core.py", "-k", "sizes2"),
            (MAPS_CORE,),
            ("tests/sim/rtl/test_cycle_budget.py",),
            ("tests/hw/top/test_core_convolutions.py",),
            ("tests/hw/top/test_core.py", "tests/sim/test_sequences.py"),
        ),
    ),
    "hw/export": (1, (("tests/hw/export",),)),
    "sim/golden": (2, (MANY, (MAPS, GOLDEN, "-k", "not link"), (FAST,))),
    "sim/golden/link.py": (1, ((GOLDEN, "-k", "link"), ("tests/host/driver/test_host_link.py",))),
    "sim/golden/gradient.py": (1, ((MAPS, GOLDEN, "-k", "not link"), (FAST,))),
    "sim/golden/windows.py": (1, ((MAPS, GOLDEN, "-k", "not link"), (FAST,))),
    "sim/golden/recorder.py": (1, (("tests/host/api/test_recording.py",),)),
    "sim/fast": (2, (MANY, (MAPS,), (FAST,), (SANITIZED,))),
    "sim/fast/convolution.cpp": (1, ((MAPS,), (FAST,), (SANITIZED,))),
    "sim/fast/geometry.h": (1, ((MAPS,), (FAST,), (SANITIZED,))),
    "host/driver": (
        1,
        (
            (DRIVER, "-k", "not shortened_repeats and not new_simulated_device"),
            ("tests/host/training/test_trainer.py", "tests/host/training/test_checkpoint.py"),
            ("tests/host/selftest/test_selftest.py", "tests/host/stream/test_stream.py"),
        ),
    ),
}
"""Number of quick steps, and all steps, of a file or a folder; the longest path counts. The tests that import a module
come before or after; of gateware the nearest one before, which is a quick step more."""


def folder_of(file: str) -> str:
    """Folder of the campaign that contains ``file``; ValueError if none does."""
    for folder in FOLDERS:
        if file.startswith(f"{folder}/"):
            return folder
    raise ValueError(f"{file} is in none of {', '.join(FOLDERS)}")


def steps(root: Path, file: str) -> tuple[list[Step], list[Step]]:
    """Runs of pytest for a mutant of ``file`` of the repository at ``root``: quick ones that find most, and others."""
    folder = folder_of(file)
    quick, last = LAST[max((path for path in LAST if f"{file}/".startswith(f"{path}/")), key=len)]
    if folder == "hw":
        nearest = _nearest(root, file)
        own = OWN.get(file.removeprefix("hw/").removesuffix(".py"), nearest[:1])
        first: list[Step] = [(test,) for test in own]
        first += [step for step in last[:quick] if step not in first]
        return first, [*((test,) for test in nearest if test not in own), *last[quick:]]
    users = sorted(test for test in _users(root, file) if test.startswith(USERS[folder]))
    own = [test for test in users if test.startswith(DRIVER)]
    others = [test for test in users if test not in own]
    every = [(*own, *last[0]), *last[1:quick], *((test,) for test in others[:MOST]), *last[quick:]]
    return every[:quick], every[quick:]


def module_of(file: str) -> str:
    """Name of the module of a Python file: ``opzo.hw.top`` of ``hw/top.py``."""
    return "opzo." + file.removesuffix(".py").replace("/", ".")


def _users(root: Path, file: str) -> set[str]:
    """Test files that import the module of ``file`` themselves."""
    name = module_of(file)
    return {test for test, names in _tests(root).items() if name in names}


def _nearest(root: Path, file: str) -> list[str]:
    """Test files of gateware that contain the module of ``file``, the smallest designs first."""
    name = module_of(file)
    sizes = {}
    for test, names in _tests(root).items():
        if test.startswith("tests/hw/") and not test.startswith(CORES):
            reached = _reached(root, frozenset(names))
            if name in reached:
                sizes[test] = len(reached)
    return sorted(sizes, key=lambda test: (sizes[test], test))[:NEAREST]


@cache
def _tests(root: Path) -> dict[str, frozenset[str]]:
    """Modules that each test file imports."""
    paths = sorted((root / "tests").rglob("test_*.py"))
    return {str(path.relative_to(root)): frozenset(_imports(path)) for path in paths}


@cache
def _reached(root: Path, names: frozenset[str]) -> frozenset[str]:
    """Modules of the gateware among ``names``, and all that these import."""
    reached: set[str] = set()
    waiting = _gateware(root, names)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += _gateware(root, _imports(_path(root, name)))
    return frozenset(reached)


def _gateware(root: Path, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith("opzo.hw.") and _path(root, name).is_file()]


def _path(root: Path, name: str) -> Path:
    return root / (name.removeprefix("opzo.").replace(".", "/") + ".py")


@cache
def _imports(path: Path) -> tuple[str, ...]:
    return tuple(_names(ast.parse(path.read_bytes())))


def _names(tree: ast.AST) -> Iterator[str]:
    """Dotted names of all modules that a file imports; for ``from a import b`` both ``a`` and ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
