from pathlib import Path

import pytest

from opzo.sim.benches.bench import bench_root
from opzo.sim.compile.cxx import BuildError
from opzo.sim.compile.verilated import build_verilated, precompiled_header

WIRE = "module top(input i, output o); assign o = i; endmodule\n"
REFUSED = ("-Winvalid-pch", "-Werror")
"""Options with which a header that cannot be used is an error; without them it is read again."""


def build(work: Path, flags: tuple[str, ...]) -> None:
    work.mkdir()
    header = precompiled_header(bench_root())
    build_verilated(WIRE, work, "lib", top="top", sources=(), objects=(), flags=flags, link=("-shared",), header=header)


def test_header_of_benches_is_used(tmp_path: Path) -> None:
    build(tmp_path / "usual", REFUSED)
    assert (tmp_path / "usual" / "lib").exists()
    with pytest.raises(BuildError):
        build(tmp_path / "other", (*REFUSED, "-UVM_TRACE", "-DVM_TRACE=1"))
