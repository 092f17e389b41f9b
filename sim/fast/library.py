"""Compilation of the model's C++ to a shared library, once for each number of lanes and weight width; cached."""

import ctypes
import logging
from enum import IntEnum, IntFlag
from functools import cache
from pathlib import Path

from opzo.sim.compile.cxx import TUNINGS, check_executable, find_cxx, load_library, run_tool
from opzo.sim.golden.error import RECIPROCAL_BITS
from opzo.spec import formats
from opzo.spec.commands import RunFlag
from opzo.spec.geometry import CELL_BITS
from opzo.spec.layers import BLOCKS, POOL
from opzo.spec.limits import MAX_CLASSES, MAX_HIDDEN
from opzo.spec.neurons import LEAK_BITS, Leak, Reset
from opzo.spec.registers import LAYER, LAYER_STRIDE, Counter, LayerReg, Reg
from opzo.spec.rules import INPUT_TRAITS, RULE_TRAITS, Input, Rule
from opzo.system.cache import cache_root, cached, content_hash

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
LIBRARY = "libopzofast.so"
FLAGS = ("-std=c++20", "-O3", "-fPIC", "-fvisibility=hidden", "-shared")
VECTORS_FIRST = "--param=max-completely-peel-times=3"
"""Keeps GCC from unrolling loops over 16 lanes or fewer before it vectorizes them."""


class State(ctypes.Structure):
    """Addresses of the arrays of a core."""

    _fields_ = tuple(
        (name, ctypes.c_void_p)
        for name in (
            *("memory", "lfsrs", "membrane", "negative", "trace", "history", "input_trace", "input_history"),
            *("last_outputs", "output_sums", "last_intermediate", "registers", "counters"),
            "gradients",
        )
    )


class Events(ctypes.Structure):
    """Input of a run: addresses and lengths of arrays."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("addresses", "values", "ends")),
        *((name, ctypes.c_int32) for name in ("count", "steps")),
    )


class Answer(ctypes.Structure):
    """Result of a run."""

    _fields_ = (
        ("prediction", ctypes.c_int32),
        ("loss", ctypes.c_int32),
        ("outputs", ctypes.c_int32 * MAX_CLASSES),
    )


@cache
def load(lanes: int, weight_bits: int) -> ctypes.CDLL:
    """Library for cores with ``lanes`` lanes; OpzoError if it cannot be built."""
    library = load_library(_build(lanes, weight_bits))
    library.opzo_fast_new.restype = ctypes.c_void_p
    library.opzo_fast_new.argtypes = []
    library.opzo_fast_delete.restype = None
    library.opzo_fast_delete.argtypes = [ctypes.c_void_p]
    library.opzo_fast_clear_traces.restype = None
    library.opzo_fast_clear_traces.argtypes = [ctypes.c_void_p]
    library.opzo_fast_run.restype = None
    library.opzo_fast_run.argtypes = [
        *(ctypes.c_void_p, ctypes.POINTER(State), ctypes.POINTER(Events)),
        *(ctypes.c_int, ctypes.c_int, ctypes.POINTER(Answer)),
    ]
    return library


def _build(lanes: int, weight_bits: int) -> Path:
    cxx = find_cxx()
    header = spec_header(lanes, weight_bits)
    sources = sorted(FOLDER.glob("*.cpp"))
    texts = [path.read_bytes() for path in (*sources, *sorted(FOLDER.glob("*.h")))]
    # Compilers that take the first tuning are GCC.
    flags = (*FLAGS, VECTORS_FIRST) if cxx.tuning == TUNINGS[0] else FLAGS
    key = content_hash(*texts, header, flags, cxx.key)

    def build(work: Path) -> None:
        logger.info("compiling the fast model for %d lanes; done once, takes a few seconds", lanes)
        check_executable(work)
        (work / "spec.h").write_text(header)
        run_tool([*cxx.command, *flags, *cxx.tuning, "-I.", f"-I{FOLDER}", "-o", LIBRARY, *map(str, sources)], work)
        load_library(work / LIBRARY)

    return cached(cache_root() / f"fast-{key}", build) / LIBRARY


def spec_header(lanes: int, weight_bits: int) -> str:
    """C++ header with the constants of `opzo.spec` and of the build."""
    values = {
        name: value for name, value in vars(formats).items() if isinstance(value, int) and not isinstance(value, bool)
    }
    for name, value in vars(formats).items():
        if isinstance(value, formats.Fixed):
            values |= {f"{name}_WIDTH": value.width, f"{name}_FRAC": value.frac_bits}
            values |= {f"{name}_MAX": value.max, f"{name}_ONE": value.one}
    values |= {f"LFSR_TAP_{n}": tap for n, tap in enumerate(formats.LFSR_TAPS)}
    enums: tuple[tuple[str, type[IntEnum] | type[IntFlag]], ...] = (
        ("FLAG", RunFlag),
        ("REG", Reg),
        ("LAYER", LayerReg),
        ("COUNT", Counter),
        ("LEAK", Leak),
        ("RESET", Reset),
    )
    values |= {f"{prefix}_{item.name}": item.value for prefix, enum in enums for item in enum}
    # Bit n: whether the rule, or the kind of input, whose register has content n has the trait.
    rules = {f"RULES_{trait.upper()}": [rule for rule in Rule if getattr(rule, trait)] for trait in RULE_TRAITS}
    kinds = {
        f"INPUTS_{trait.upper()}": [n for n in range(1 << Reg.INPUT.bits) if getattr(Input.of_register(n), trait)]
        for trait in INPUT_TRAITS
    }
    values |= {name: sum(1 << content for content in contents) for name, contents in (rules | kinds).items()}
    values |= {"LAYER_REGISTERS": LAYER, "LAYER_STRIDE": LAYER_STRIDE, "RECIPROCAL_BITS": RECIPROCAL_BITS}
    values |= {"CELL_SIDE": POOL, "CELL_BITS": CELL_BITS, "BLOCK_SHIFT_MAX": max(BLOCKS).bit_length() - 1}
    values |= {"MAX_HIDDEN": MAX_HIDDEN, "MAX_CLASSES": MAX_CLASSES, "LANES": lanes}
    values |= {"LEAK_BITS": LEAK_BITS, "WEIGHT_BITS": weight_bits, "LOW_BITS": formats.ROW_LOW_BITS[weight_bits]}
    lines = ["#pragma once", *(f"constexpr auto {name} = {value};" for name, value in values.items())]
    tables = {"EXP2": formats.EXP2, "LOG2": formats.LOG2, "LEAK_SHIFTS": tuple(leak.shift for leak in Leak)}
    for name, table in tables.items():
        lines.append(f"constexpr int {name}[{len(table)}] = {{{', '.join(map(str, table))}}};")
    return "\n".join(lines) + "\n"
