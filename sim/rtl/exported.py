"""The ``verilog`` device: the files that ``opzo verilog`` wrote, simulated cycle for cycle."""

import re
from pathlib import Path

from opzo.hw.export.memory_files import INFERENCE, READ
from opzo.sim.compile.verilated import find_toolchain
from opzo.sim.rtl.library import CHIP, build_library
from opzo.sim.rtl.transport import RtlTransport
from opzo.spec.errors import OpzoError
from opzo.spec.limits import Limits

_HEAD = re.compile(rf"// {CHIP} of opzo \S+: (.*)\n")
_SIZE = re.compile(r"(\d+) (\w+)")
_WORD = re.compile(r"[0-9a-f]+")


def open_exported(folder: str) -> RtlTransport:
    """Simulated chip of ``opzo_top.v`` in a folder, with the weights of the files next to it, as they are now.

    OpzoError where a file is missing or is not one of opzo, or a tool is missing.
    """
    path = Path(folder) / f"{CHIP}.v"
    text = _read(path)
    limits = _limits(text, path)
    find_toolchain()

    def locate(call: re.Match[str]) -> str:
        name, memory, last = call["file"], call["memory"], int(call["last"])
        file = path.with_name(name).resolve()
        # Verilator ends the process where it cannot read the file.
        words = _read(file).split()
        if len(words) != last + 1 or not all(_WORD.fullmatch(word) for word in words):
            raise OpzoError(f"{file} does not have {last + 1} hexadecimal words; write it again with: opzo verilog")
        quoted = str(file).replace("\\", "\\\\").replace('"', '\\"')
        return f'$readmemh("{quoted}", {memory}, 0, {last});'

    return RtlTransport(limits, library=build_library(READ.sub(locate, text)))


def _limits(text: str, path: Path) -> Limits:
    """Limits in the first line of the Verilog; OpzoError where there are none."""
    head = _HEAD.match(text)
    if head is not None:
        sizes = {name: int(size) for size, name in _SIZE.findall(head[1]) if name in Limits.__dataclass_fields__}
        try:
            return Limits(**sizes, learning=INFERENCE not in head[1])
        except (OpzoError, TypeError):
            pass
    raise OpzoError(f"the first line of {path} is not that of a chip; write it again with: opzo verilog")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise OpzoError(f"cannot read {path}: {reason}; write it with: opzo verilog --out {path.parent}") from None
