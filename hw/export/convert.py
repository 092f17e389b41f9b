"""Amaranth to Verilog that means the same to every simulator, and that Verilator runs fast."""

import re
from collections import Counter
from collections.abc import Iterable

import amaranth.back.rtlil
from amaranth.lib.wiring import Component

from opzo.hw.export.readable import readable
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

_OWN_NAME = re.compile(r"\\\$(?:auto\$)?(never|verilog_backend)\S* ")
"""Registers that only start a block: the one of `_run_constants`, and that of Yosys."""
_HEADER = re.compile(r"^module (\S+) ?\((.*?)\);$", re.MULTILINE | re.DOTALL)
_INTERNAL = ("generator", "top", "amaranth.hierarchy", "amaranth.decoding")


def _write(removed: Iterable[str], option: str) -> str:
    """Commands that write Verilog without the attributes ``removed``."""
    remove = " ".join(f"-remove {name}" for name in removed)
    return f"""
proc -nomux -norom
memory_collect
attrmap {remove}
attrmap -modattr {remove}
write_verilog {option}
"""


def convert(component: Component, name: str) -> str:
    """Verilog of ``component`` as module ``name`` for a simulator, with the assertions of `opzo.hw.lib.check`.

    They are calls of ``$fatal``, which is SystemVerilog.
    """
    return to_verilog(to_rtlil(component, name))


def convert_readable(component: Component, name: str, *, checks: bool) -> str:
    """Verilog for people, with plain names and source lines; the same text wherever the sources lie.

    ``checks`` as in `convert`.
    """
    ports = ["__".join(map(str, path)) for path, _, _ in component.signature.flatten(component)]
    rtlil = readable(to_rtlil(component, name, checks=checks, sources=True), name, ports)
    text = _to_verilog(rtlil, _write(_INTERNAL, ""))
    return _HEADER.sub(_one_port_a_line, _OWN_NAME.sub(r"_\1_", text))


def to_rtlil(component: Component, name: str, *, checks: bool = True, sources: bool = False) -> str:
    """RTLIL, the language of Yosys, of ``component`` as module ``name``; with ``sources`` it names files and lines."""
    platform = None if checks else Synthesis()
    text: str = amaranth.back.rtlil.convert(component, name=name, platform=platform, emit_src=sources)
    return text


def to_verilog(text: str) -> str:
    """Verilog of RTLIL."""
    return _to_verilog(text, _write((*_INTERNAL, "src"), "-norename"))


def _one_port_a_line(header: re.Match[str]) -> str:
    # A space ends a name that begins with a backslash, which keywords do.
    ports = ",\n".join(f"  {port}" for port in re.findall(r"\\\S+ |\w+", header[2]))
    return f"module {header[1]} (\n{ports}\n);"


def _to_verilog(text: str, write: str) -> str:
    text = run_yosys(read_rtlil(text) + write)
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
