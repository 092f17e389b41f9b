"""The complete chip with its lane groups as arrays."""

import json
import re
from collections import Counter, defaultdict

from opzo.hw.export.convert import NAME, split_modules, to_verilog
from opzo.hw.export.yosys import read_rtlil, run_yosys
from opzo.sim.rtl.arrays.module import CLOCK, ArrayModule
from opzo.sim.rtl.arrays.netlist import Netlist

_ARRAY = "lane_groups"
_GROUP = re.compile(r"\.group_(\d+)[ .]")
_LANE = re.compile(r"\.group_0\.lane_(\d+)[ .]")
_NUMBERS = re.compile(r"(?<=\.group)_\d+|(?<=\.lane)_\d+|(?<=\$)\d+|:\d+:")
_HEADER = re.compile(r"^module .*?;$", re.MULTILINE | re.DOTALL)
_MODULE = re.compile(rf"^module {NAME}", re.MULTILINE)
_INSTANCE = re.compile(r"^  \\\S+\.group_(\d+)  group_\d+ \(\n(.*?)\n  \);\n", re.MULTILINE | re.DOTALL)
_CONNECTION = re.compile(rf"^    \.{NAME}\((.*?)\),?$", re.MULTILINE)
_ALIAS = re.compile(rf"^  assign {NAME} = {NAME};$", re.MULTILINE)
_KEPT = re.compile(r"^module \S+\.group_0\.lane_\d+$", re.MULTILINE)
_FLATTEN = """
proc -norom *.group_0*
flatten *.group_0*
select *.group_0 *.group_0.lane_0
opt_expr
opt_merge -share_all
opt_clean
write_json -selected
"""


def array_verilog(rtlil: str) -> str:
    """Verilog of a chip, from its RTLIL, whose groups of lanes are one module of arrays.

    It does the same in every cycle; a simulator runs it faster, and compiles it in less time, for what it has to do for
    each group, or each lane, is a loop. Where there is but one group its Verilog stays as it is.
    """
    verilog = to_verilog(rtlil)
    modules = {found[1]: module for module in split_modules(verilog) if (found := _MODULE.search(module))}
    around = next(name for name, module in modules.items() if _INSTANCE.search(module))
    instances = _INSTANCE.findall(modules[around])
    if len(instances) == 1:
        return verilog
    _check_alike(modules, "group", _GROUP)
    _check_alike(modules, "lane", _LANE)
    kept = _KEPT.sub(r"attribute \\keep_hierarchy 1\n\g<0>", rtlil)
    flat = json.loads(run_yosys(read_rtlil(kept) + _FLATTEN))["modules"]
    group, lane = (flat[name] for name in sorted(flat))
    ports = {int(number): dict(_CONNECTION.findall(body)) for number, body in instances}
    modules[around] = _replace(modules[around], Netlist.read(group, CLOCK, lane), ports)
    return "".join(module for name, module in modules.items() if not _GROUP.search(name))


def _check_alike(modules: dict[str, str], kind: str, numbered: re.Pattern[str]) -> None:
    """Raise ValueError if an instance differs from the first one of its kind, except for numbers in names."""
    statements: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for name, module in modules.items():
        if one := numbered.search(name):
            statements[int(one[1])].update(_NUMBERS.sub("", _HEADER.sub("", module)).splitlines())
    for number, found in statements.items():
        # The first one may have more: unused outputs of others are optimized away.
        if other := found - statements[0]:
            raise ValueError(f"{kind} {number} differs from {kind} 0: {min(other).strip()}")


def _replace(module: str, netlist: Netlist, ports: dict[int, dict[str, str]]) -> str:
    """The module around the groups, with an instance of the array module instead of them, followed by that module."""
    by_name = {_plain(port): {number: each.get(port) for number, each in ports.items()} for port in ports[0]}
    aliases = dict(_ALIAS.findall(module))
    different = {port for port in netlist.inputs if len({_source(net, aliases) for net in by_name[port].values()}) > 1}
    array = ArrayModule(_ARRAY, netlist, len(ports), different)
    lines, connections = [], [f".{CLOCK}({CLOCK})"]
    for port, nets in ((port, by_name[port]) for port in (*netlist.inputs, *netlist.outputs)):
        name, width = array.port(port)
        wire, own = f"{_ARRAY}_{name}", array.own(port)
        lines.append(f"  wire [{width - 1}:0] {wire}{f' [0:{len(ports) - 1}]' if own else ''};")
        for number, net in nets.items():
            part = f"{wire}[{number}]" if own else wire
            if port in netlist.outputs and net is not None:
                lines.append(f"  assign {net} = {part};")
            elif port in netlist.inputs and (own or number == 0):
                lines.append(f"  assign {part} = {net};")
        connections.append(f".{name}({wire})")
    lines.append(f"  {_ARRAY} {_ARRAY}({', '.join(connections)});")
    return _INSTANCE.sub("", module).replace("endmodule\n", "\n".join([*lines, "endmodule", ""])) + array.verilog()


def _plain(name: str) -> str:
    """A Verilog name as in Yosys' JSON."""
    return name.removeprefix("\\").rstrip()


def _source(net: str | None, aliases: dict[str, str]) -> str | None:
    while net in aliases:
        net = aliases[net]
    return net
