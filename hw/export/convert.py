"""Amaranth to Verilog that means the same to every simulator, and that Verilator runs fast."""

import re
from collections import Counter

import amaranth.back.rtlil
from amaranth.lib.wiring import Component

from opzo.hw.export.yosys import read_rtlil, run_yosys
from opzo.hw.lib.check import Synthesis

NAME = r"(\\\S+ |\w+)"
"""Pattern of a name, plain or with a backslash, as Yosys writes it."""

_ALWAYS = re.compile(r"^  always @\*\n    ([^;]*?) = ([^;]*);$", re.MULTILINE)
_LITERAL = re.compile(r"\d+'s?[bdh][0-9a-fxz]+")
_NEVER = r"\$never "
_NEXT = re.compile(
    rf"^  always @\* begin\n    if \(\S+ \) begin end\n    {NAME} = {NAME};\n(.*?)^  end\n", re.MULTILINE | re.DOTALL
)
_CLOCKED = re.compile(rf"^  always @\(posedge clk\)\n    {NAME} <= {NAME};\n", re.MULTILINE)
_DECLARED = re.compile(rf"^  reg (?:\[[^]]*\] )?{NAME}(?: = [^;]*)?;\n", re.MULTILINE)
_CHECK = re.compile(
    rf"^    if \(1'h1\) begin\n      if \(!{NAME}\)\n        \$write\((\".*\")\);\n      assert \(.*\);\n    end\n",
    re.MULTILINE,
)
_REPEATED = re.compile(r"(?<![\w\\$])((?:\\\S+ |\w+)\[\d+\])(?:, \1)+")

_INTERNAL = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")
_WRITE = f"""
proc -nomux -norom
memory_collect
attrmap {" ".join(f"-remove {name}" for name in _INTERNAL)}
attrmap -modattr {" ".join(f"-remove {name}" for name in _INTERNAL)}
write_verilog -norename
"""


def convert(component: Component, name: str, *, checks: bool = True) -> str:
    """Verilog of ``component`` as module ``name``; the same text for the same design, wherever its sources lie.

    With ``checks`` the assertions of `opzo.hw.lib.check` are in it, as calls of ``$fatal``, which is SystemVerilog.
    """
    return to_verilog(to_rtlil(component, name, checks=checks))


def to_rtlil(component: Component, name: str, *, checks: bool = True) -> str:
    """RTLIL, the language of Yosys, of ``component`` as module ``name``."""
    platform = None if checks else Synthesis()
    text: str = amaranth.back.rtlil.convert(component, name=name, platform=platform, emit_src=False)
    return text


def to_verilog(text: str) -> str:
    """Verilog of RTLIL."""
    text = run_yosys(read_rtlil(text) + _WRITE)
    text = _CHECK.sub(lambda found: f"    {failed_check(f'!{found[1]}', found[2])}\n", text)
    return _repeat("".join(_run_constants(_clock(module)) for module in split_modules(text)))


def failed_check(condition: str, text: str) -> str:
    """Statement that ends the simulation with ``text``, a quoted string, and its place in the hierarchy."""
    return f'if ({condition}) $fatal(1, "%m: {text[1:]});'


def split_modules(text: str) -> list[str]:
    """Split Verilog after each module."""
    return re.split(r"(?<=^endmodule\n)", text, flags=re.MULTILINE)


def _run_constants(module: str) -> str:
    """Make blocks run that assign a constant to part of a signal.

    ``always @*`` with an empty sensitivity list never runs, and the part stays unknown. So Yosys mentions a register
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


def _clock(module: str) -> str:
    """Move the next value of a register into the block that clocks it, without the assignment that keeps it.

    Yosys computes the next value in a separate block, from the present one, so a simulator copies registers back and
    forth in every cycle, enabled or not.
    """
    registers = {following.strip(): register for register, following in _CLOCKED.findall(module)}
    mentions = Counter(re.findall(r"\\\S+|\w+", module))
    merged = set()

    def merge(block: re.Match[str]) -> str:
        following, held, body = block.groups()
        register = registers.get(following.strip())
        target = re.compile(rf"^( *){re.escape(following)}(\[[^]]*\])? = ", re.MULTILINE)
        body, count = target.subn(lambda found: f"{found[1]}{held}{found[2] or ''} <= ", body)
        # The other mentions: its declaration, the assignment that keeps it, the one that clocks it.
        if register != held or mentions[following.strip()] != count + 3:
            return block[0]
        merged.add(following.strip())
        return f"  always @(posedge clk) begin\n{body}  end\n"

    module = _NEXT.sub(merge, module)
    module = _CLOCKED.sub(lambda block: "" if block[2].strip() in merged else block[0], module)
    return _DECLARED.sub(lambda line: "" if line[1].strip() in merged else line[0], module)


def _repeat(text: str) -> str:
    """Write a bit that a concatenation repeats as a replication: extended signs, mostly."""
    return _REPEATED.sub(lambda bits: f"{{{bits[0].count(bits[1])}{{{bits[1]}}}}}", text)
