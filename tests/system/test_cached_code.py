"""Everything that keeps code in the cache refuses a folder in which others can write."""

from collections.abc import Callable
from pathlib import Path

import pytest

from opzo.boards.build import Plan, build
from opzo.boards.registry import find_board
from opzo.sim.compile.verilated import precompiled_header, runtime_objects
from opzo.sim.fast import library
from opzo.sim.rtl.library import build_library, chip_library
from opzo.spec.errors import OpzoError
from opzo.spec.network import Network
from opzo.system.cache import MANIFEST, cache_root

NETWORK = Network("4-4-2")
LIMITS = NETWORK.limits(4)
LOADERS: dict[str, Callable[[], object]] = {
    "fast": lambda: library._build(4, 16),
    "rtl": lambda: build_library("module opzo_top; endmodule"),
    "verilog": lambda: chip_library(LIMITS),
    "header": lambda: precompiled_header(cache_root()),
    "bitstream": lambda: build(Plan.of(find_board("ulx3s-85f"), LIMITS), NETWORK, cache_root() / "out", print, print),
    "runtime": lambda: runtime_objects(cache_root(), ["verilated"]),
}


@pytest.mark.parametrize("name", LOADERS)
def test_nothing_is_loaded_from_a_folder_that_others_can_write(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o777)
    monkeypatch.setenv("OPZO_CACHE", str(tmp_path))
    with pytest.raises(OpzoError, match=rf"other users can write in {tmp_path}, .*chmod go-w {tmp_path}, or set"):
        LOADERS[name]()
    assert not list(tmp_path.rglob(MANIFEST))
