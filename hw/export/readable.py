"""Plain names, ordered ports and source lines in RTLIL, for people who read the Verilog or its waveforms."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

import amaranth

import opzo

_MODULE = re.compile(r"^module (\\\S+)\n(.*?)^end\n", re.MULTILINE | re.DOTALL)
_WIRE = re.compile(r"^  wire (.*?)(\\\S+)$", re.MULTILINE)
_PORT = re.compile(r"^(  wire width \d+ (?:input|output) )(\d+)( .*?(\\\S+))$", re.MULTILINE)
_MEMORY = re.compile(r"^  memory .*\\(\S+)$", re.MULTILINE)
_INSTANCE = re.compile(r"^  cell (\\\S+) (\\\S+)\n(.*?)^  end$", re.MULTILINE | re.DOTALL)
_PIN = re.compile(r"^    connect (\\\S+) (.*)$", re.MULTILINE)
_CONNECT = re.compile(r"^connect (\\\S+) (.*)$", re.MULTILINE)
_NAME = re.compile(r"(?<!\S)[\\$]\S+")
_PLAIN = re.compile(r"\\[A-Za-z_]\w*")
_UNNAMED_PORT = re.compile(r"\\port(?:\$\d+)+")
_FIELD = re.compile(r"(\\[^.\[]+)([.\[].*)")
_SOURCE = re.compile(r'^( *attribute \\src ")(.*)("\n)', re.MULTILINE)
_SOURCE_OF_LOGIC = re.compile(
    r'^ *attribute \\src ".*"\n(?=(?: *attribute .*\n)*(?: *(?:cell \$|process|switch|case)| *wire .* \$\d+$))',
    re.MULTILINE,
)
_ROOTS = tuple(Path(package.__path__[0]).parent for package in (opzo, amaranth))


def readable(rtlil: str, top: str, ports: Sequence[str]) -> str:
    """RTLIL of the same design with names that need no escapes, but for keywords.

    - Names are words: ``a.b[0]`` becomes ``a__b__0``, and names that occur twice in a module are numbered.
    - Amaranth leaves a port unnamed that carries part of a signal. It gets the name of the signal and ``_bits``.
    - Ports are in order: ``clk``, ``rst``, in module ``top`` those of ``ports``, then the others by name.
    - Wires, memories, instances and modules keep their ``src``, relative to the folder of the package.
    """
    text = _SOURCE.sub(_relative, _SOURCE_OF_LOGIC.sub("", rtlil))
    renaming = _Renaming(dict(_MODULE.findall(text)))
    renaming.module(f"\\{top}", top, {})
    return "".join(
        f"module \\{name}\n{_ordered(body, ports if name == top else ())}end\n" for name, body in renaming.done.items()
    )


class _Names:
    """Names in a module: what they become, each different."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._new: dict[str, str] = {}
        self._taken = set(taken)

    def __getitem__(self, old: str) -> str:
        return self._new.get(old, old[1:])

    def give(self, old: str, name: str) -> None:
        number, unique = 1, name
        while unique in self._taken:
            number += 1
            unique = f"{name}_{number}"
        self._taken.add(unique)
        self._new[old] = unique

    def apply(self, text: str) -> str:
        return _NAME.sub(lambda found: f"\\{self._new[found[0]]}" if found[0] in self._new else found[0], text)


class _Renaming:
    """Renames modules, given their bodies by name, from the top down; ``done`` has the result."""

    def __init__(self, bodies: Mapping[str, str]) -> None:
        self._bodies = bodies
        self.done: dict[str, str] = {}

    def module(self, old: str, new: str, outside: Mapping[str, Sequence[str]]) -> _Names:
        """Rename a module and those in it; ``outside`` has the names that its ports are connected to, by port."""
        body = self._bodies[old]
        names = _names(body, outside)
        self.done[new] = ""
        before, *parts = _INSTANCE.split(body)
        renamed = [names.apply(before)]
        for kind, instance, pins, after in zip(*[iter(parts)] * 4, strict=True):
            wires = {
                port: [names[wire] for wire in _NAME.findall(spec) if wire.startswith("\\")]
                for port, spec in _PIN.findall(pins)
            }
            inner = self.module(kind, f"{new}__{names[instance]}", wires)
            lines = [f"    connect \\{inner[port]} {names.apply(spec)}\n" for port, spec in _PIN.findall(pins)]
            renamed += [f"  cell \\{new}__{names[instance]} \\{names[instance]}\n", *lines, "  end", names.apply(after)]
        self.done[new] = "".join(renamed)
        return names


def _names(body: str, outside: Mapping[str, Sequence[str]]) -> _Names:
    """Names in a module. Ports come first, then instances, then other wires: the first one has no number."""
    connects = _CONNECT.findall(body)
    wires = {name: "input" in kind or "output" in kind for kind, name in _WIRE.findall(body)}
    unnamed = [name for name in wires if _UNNAMED_PORT.fullmatch(name)]
    fields = {name: found.groups() for name in wires if (found := _FIELD.fullmatch(name))}
    others = [name for name in wires if name not in fields and name not in unnamed]
    others.sort(key=lambda name: not _PLAIN.fullmatch(name))
    names = _Names(_MEMORY.findall(body))
    instances = [instance for _, instance, _ in _INSTANCE.findall(body)]
    ports = [name for name in others if wires[name]]
    for name in [*ports, *instances, *(name for name in others if name not in ports)]:
        names.give(name, _word(name))
    for name, (base, field) in fields.items():
        names.give(name, _word(names[base] + field))
    for name in unnamed:
        names.give(name, _port_name(name, connects, outside.get(name, ())))
    return names


def _port_name(port: str, connects: Sequence[tuple[str, str]], outside: Sequence[str]) -> str:
    """Name of an unnamed port: that of the signals that it is part of, inside or else outside of the module."""
    nets = {port, *(net for target, spec in connects if target == port for net in _NAME.findall(spec))}
    inside = [
        _word(target)
        for target, spec in connects
        if target != port and not _FIELD.fullmatch(target) and nets & set(_NAME.findall(spec))
    ]
    for names in (sorted(set(inside)), sorted(set(outside))):
        if len(names) == 1:
            return f"{names[0].removesuffix('_bits')}_bits"
        # Members of one interface or fields of one signal.
        words = zip(*(name.split("__") for name in names), strict=False)
        if common := "__".join(each[0] for each in takewhile(lambda each: len(set(each)) == 1, words)):
            return f"{common}_bits"
    return "port"


def _word(name: str) -> str:
    """``name`` of letters, digits and underscores."""
    bare = re.sub(r"\$\d+", "", name.removeprefix("\\")).lstrip("$")
    return re.sub(r"\W+", "_", re.sub(r"\[(\d+)\]", r"__\1", bare).replace(".", "__"))


def _ordered(body: str, ports: Sequence[str]) -> str:
    """Number the ports of a module in their order."""
    first = ["clk", "rst", *ports]

    def key(name: str) -> tuple[int, list[str]]:
        parts = [part.zfill(6) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
        return (first.index(name) if name in first else len(first)), parts

    names = sorted((found[3][1:] for found in _PORT.findall(body)), key=key)
    # Yosys counts ports from 1.
    place = {name: number for number, name in enumerate(names, 1)}
    return _PORT.sub(lambda found: f"{found[1]}{place[found[4][1:]]}{found[3]}", body)


def _relative(found: re.Match[str]) -> str:
    """Attribute with a source ``file:line``, the file relative to the folder of its package; nothing for others."""
    path = Path(found[2])
    root = next((root for root in _ROOTS if path.is_relative_to(root)), None)
    return f"{found[1]}{path.relative_to(root).as_posix()}{found[3]}" if root else ""
