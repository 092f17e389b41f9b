"""Plain Verilog of a core that only infers, and the files with its weights."""

from opzo.hw.core import Core
from opzo.hw.export.memory_files import INFERENCE, file_name, moved_to_files
from opzo.hw.export.verilog import CORE, TOP, titled
from opzo.hw.lib.row_memory import BANK_ROWS
from opzo.hw.top import Top
from opzo.spec.fixed_network import FixedNetwork
from opzo.spec.limits import Limits


def file_names(limits: Limits) -> list[str]:
    """Names of the files of a device with ``limits``."""
    banks = range(-(-limits.rows // BANK_ROWS))
    return [f"{CORE}.v", f"{TOP}.v", *(file_name(group, bank) for group in range(limits.groups) for bank in banks)]


def write_inference(fixed: FixedNetwork, clock_khz: int = 0) -> dict[str, str]:
    """Texts by file name: ``opzo_core.v``, ``opzo_top.v``, and the hexadecimal files that both read with ``$readmemh``.

    The modules have the ports of `opzo.hw.export.verilog`.
    """
    limits = fixed.limits
    about = f", {INFERENCE}, network {fixed.network}" + (f", clock {clock_khz} kHz" if clock_khz else "")
    core, files = moved_to_files(titled(Core(limits, fixed), CORE, limits, about))
    top, same = moved_to_files(titled(Top(limits, clock_khz, fixed), TOP, limits, about))
    texts = {f"{CORE}.v": core, f"{TOP}.v": top, **files}
    if files != same or set(texts) != set(file_names(limits)):
        raise AssertionError("not all weights are in files")
    return texts
