"""Amaranth to Verilog that every simulator understands alike."""

import re

from amaranth.back import verilog
from amaranth.lib.wiring import Component

_ALWAYS = re.compile(r"^  always @\*\n    ([^;]*?) = ([^;]*);$", re.MULTILINE)
_LITERAL = re.compile(r"\d+'s?[bdh][0-9a-fxz]+")
_NEVER = r"\$never "


def convert(component: Component, name: str) -> str:
    """Verilog of ``component`` as module ``name``; the same text for the same design, wherever its sources lie."""
    text: str = verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)
    modules = re.split(r"(?<=^endmodule\n)", text, flags=re.MULTILINE)
    return "".join(map(_run_constants, modules))


def _run_constants(module: str) -> str:
    """Make blocks that assign a constant to part of a signal run.

    ``always @*`` with nothing to wait for never does, and the part stays unknown. Yosys knows and mentions a register
    that never changes, but not in blocks of one statement.
    """

    def mention(block: re.Match[str]) -> str:
        target, value = block.groups()
        if re.search(r"[A-Za-z\\]", _LITERAL.sub("", value)):
            return block[0]
        return f"  always @* begin\n    if ({_NEVER}) begin end\n    {target} = {value};\n  end"

    changed = _ALWAYS.sub(mention, module)
    if changed == module:
        return module
    return re.sub(r"(^module [^;]*;\n)", rf"\g<1>  reg \{_NEVER} = 0;\n", changed, count=1, flags=re.MULTILINE)
