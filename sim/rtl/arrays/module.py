"""Verilog for many copies of a module: signals that differ between the copies become arrays, processed in loops."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from opzo.hw.export.convert import failed_check
from opzo.sim.rtl.arrays.expressions import expression, self_determined
from opzo.sim.rtl.arrays.netlist import EACH, MEMORY_READ, REGISTER, Bit, Bits, Cell, Memory, Netlist, Signal

CLOCK = "clk"
_INDEX = "i"


class ArrayModule:
    """Verilog module ``name``, equivalent to ``count`` copies of ``netlist``.

    What follows from inputs that all copies share is computed once. Of what the parts of a copy have, all copies and
    their parts are one array: the first parts of all copies, the second ones, and so on. Memories are kept apart:
    Verilator writes to arrays of them slowly.

    Parameters
    ----------
    name : str
    netlist : Netlist
    count : int
    own : set of str
        Input ports of which each copy has its own.
    """

    def __init__(self, name: str, netlist: Netlist, count: int, own: set[str]) -> None:
        self._name, self._netlist, self._count = name, netlist, count
        self._each = {signal.name: tuple(cell.inputs) for signal, cell in netlist.driven if cell.kind == EACH}
        self._varying = self._find_varying(own)
        self._inlined = self._find_inlined()

    def _size(self, item: Signal | Memory) -> int:
        """Array length of a signal; 0 if it is equal in all copies."""
        return self._count * item.parts if item.name in self._varying else 0

    def _stored(self, signal: Signal) -> int:
        """Stored width of a signal: at least 32 in arrays, because vector instructions do not mix widths well."""
        inside = signal.name in self._varying and signal not in self._netlist.inputs.values()
        return max(signal.width, 32) if inside else signal.width

    def own(self, port: str) -> bool:
        """Whether each copy has its own port, so that the module's port is an array."""
        if port in self._netlist.inputs:
            return self._netlist.inputs[port].name in self._varying
        return self._varies(self._netlist.outputs[port])

    def port(self, port: str) -> tuple[str, int]:
        """Name and width of a port of the module."""
        if port in self._netlist.inputs:
            signal = self._netlist.inputs[port]
            return signal.name, signal.width
        return f"o{list(self._netlist.outputs).index(port)}", len(self._netlist.outputs[port])

    def verilog(self) -> str:
        """Verilog text of the module."""
        ports = [f"input {CLOCK}"]
        for direction, names in (("input", self._netlist.inputs), ("output", self._netlist.outputs)):
            ports += [f"{direction} {self._port(name)}" for name in names]
        return "\n".join([f"module {self._name}({', '.join(ports)});", *self._body(), "endmodule", ""])

    def _port(self, port: str) -> str:
        return _declaration(*self.port(port), self._count if self.own(port) else 0)

    def _body(self) -> Iterator[str]:
        for memory in self._netlist.memories.values():
            yield from self._memory(memory)
        kept = [(signal, cell) for signal, cell in self._netlist.driven if signal.name not in self._inlined]
        for signal, _ in kept:
            yield f"  {_declaration(signal.name, self._stored(signal), self._size(signal))};"
        for signal, cell in kept:
            yield from self._driver(signal, cell)
        for cell in self._netlist.writes:
            yield from self._write(cell)
        for signal, cell in self._netlist.checks:
            yield self._check(signal, cell)
        for name, bits in self._netlist.outputs.items():
            size = self._count if self._varies(bits) else 0
            yield from _assign(self.port(name)[0], size, partial(self._operand, bits))

    def _driver(self, signal: Signal, cell: Cell) -> Iterator[str]:
        """Statements that drive a signal."""
        size = self._size(signal)
        if cell.kind == REGISTER:
            yield from self._register(signal, cell)
        elif cell.kind == MEMORY_READ and cell.parameters["CLK_ENABLE"]:
            yield from self._clocked_read(signal, cell)
        elif cell.kind == MEMORY_READ:
            for copy in _copies(size):
                yield f"  assign {signal.name}{_at(copy)} = {self._element(cell, copy)};"
        elif cell.kind == EACH and size:
            yield from self._each_part(signal)
        elif cell.kind == EACH:
            yield from _assign(signal.name, 0, partial(self._operand, self._each[signal.name][0]))
        else:
            yield from _assign(signal.name, size, partial(self._logic, cell))

    def _each_part(self, signal: Signal) -> Iterator[str]:
        yield "  always_comb begin"
        for part, bits in enumerate(self._each[signal.name]):
            element = f"{signal.name}[{self._in_part(part, _INDEX)}]"
            yield f"    {_loop(self._count)}{element} = {self._operand(bits, _INDEX)};"
        yield "  end"

    def _register(self, signal: Signal, cell: Cell) -> Iterator[str]:
        name, following = signal.name, f"{signal.name}_next"
        bits = cell.output
        first = "".join(self._netlist.initial.get(bit, "0") for bit in reversed(bits) if isinstance(bit, int))
        size = self._size(signal)
        yield f"  {_declaration(following, self._stored(signal), size)};"
        yield from _assign(following, size, partial(self._operand, cell.connections["D"]))
        value = f"{signal.width}'b{first.replace('x', '0')}"
        yield f"  initial {_loop(size) if size else ''}{name}{_at(_INDEX) if size else ''} = {value};"
        yield f"  always @(posedge {CLOCK}) {name} <= {following};"

    def _clocked_read(self, signal: Signal, cell: Cell) -> Iterator[str]:
        if cell.parameters["TRANSPARENCY_MASK"] or not {*cell.connections["ARST"], *cell.connections["SRST"]} <= {"0"}:
            raise ValueError(f"memory {cell.memory} has a reset, or is transparent")
        for copy in _copies(self._size(signal)):
            register = f"{signal.name}_{copy}"
            yield f"  {_declaration(register, signal.width, 0)};"
            enable = self._operand(cell.connections["EN"], copy)
            yield f"  always @(posedge {CLOCK}) if ({enable}) {register} <= {self._element(cell, copy)};"
            yield f"  assign {signal.name}{_at(copy)} = {register};"

    def _memory(self, memory: Memory) -> Iterator[str]:
        for copy in _copies(self._size(memory)):
            name = f"{memory.name}_{copy}"
            yield f"  logic [{memory.width - 1}:0] {name} [0:{memory.words - 1}];"
            yield f"  initial {_loop(memory.words)}{name}[{_INDEX}] = 0;"

    def _write(self, cell: Cell) -> Iterator[str]:
        enable = set(cell.connections["EN"])
        if len(enable) != 1:
            raise ValueError(f"memory {cell.memory} is written in parts")
        for copy in _copies(self._size(self._netlist.memories[cell.memory])):
            data = self._operand(cell.connections["DATA"], copy)
            condition = self._operand(tuple(enable), copy)
            yield f"  always @(posedge {CLOCK}) if ({condition}) {self._element(cell, copy)} <= {data};"

    def _check(self, signal: Signal, cell: Cell) -> str:
        size = self._size(signal)
        enable, condition = (self._operand(cell.connections[port], _INDEX if size else "") for port in ("EN", "A"))
        statement = failed_check(f"{enable} && !{condition}", f'"{cell.text}"')
        return f"  always @(posedge {CLOCK}) {_loop(size) if size else ''}{statement}"

    def _element(self, cell: Cell, copy: str) -> str:
        """Expression for the memory word addressed by a port."""
        memory = self._netlist.memories[cell.memory].name
        own = copy if memory in self._varying else ""
        return f"{memory}_{own}[{self._operand(cell.connections['ADDR'], copy)}]"

    def _logic(self, cell: Cell, copy: str) -> str:
        """Expression of a cell in one copy."""
        return expression(cell, lambda bits: self._operand(bits, copy))

    def _operand(self, bits: Bits, copy: str) -> str:
        """Expression for bits in copy ``copy``; for bits inside parts, ``copy`` counts all parts."""
        parts = [self._run(run, copy) for run in self._runs(bits)]
        if not parts:
            return "1'h0"
        return parts[0] if len(parts) == 1 else f"{{{', '.join(reversed(parts))}}}"

    def _runs(self, bits: Bits) -> list[Bits]:
        """Split bits into runs that are adjacent in one signal, all constant, or all the same bit."""
        runs: list[list[Bit]] = []
        for bit in bits:
            if runs and self._follows(runs[-1], bit):
                runs[-1].append(bit)
            else:
                runs.append([bit])
        return [tuple(run) for run in runs]

    def _follows(self, run: list[Bit], bit: Bit) -> bool:
        if isinstance(bit, str) or isinstance(run[-1], str):
            return isinstance(bit, str) and isinstance(run[-1], str)
        if bit == run[-1] and (len(run) == 1 or run[-2] == bit):
            return True
        if len(run) > 1 and run[-1] == run[-2]:
            return False
        place, before = self._netlist.where[bit], self._netlist.where[run[-1]]
        return place == replace(before, bit=before.bit + 1)

    def _run(self, run: Bits, copy: str) -> str:
        first = run[0]
        if isinstance(first, str):
            return f"{len(run)}'b{''.join(map(str, reversed(run))).replace('x', '0')}"
        if _repeated(run):
            return f"{{{len(run)}{{{self._run(run[:1], copy)}}}}}"
        place = self._netlist.where[first]
        signal = place.signal
        if signal.name in self._inlined:
            return f"{{{self._logic(self._inlined[signal.name], copy)}}}"
        if signal.name in self._each and copy.isdigit() and place.part is None:
            # The signal may be equal in all copies.
            part, number = divmod(int(copy), self._count)
            bits = self._each[signal.name][part][place.bit : place.bit + len(run)]
            return f"{{{self._operand(bits, str(number))}}}"
        name = signal.name
        if name in self._varying:
            name += _at(copy if place.part is None else self._in_part(place.part, copy))
        if len(run) == self._stored(signal):
            return name
        return f"{name}[{place.bit + len(run) - 1}:{place.bit}]"

    def _in_part(self, part: int, copy: str) -> str:
        """Index of a part of a copy among all parts."""
        return f"{part * self._count} + {copy}"

    def _varies(self, bits: Bits) -> bool:
        return any(isinstance(bit, int) and self._netlist.where[bit].signal.name in self._varying for bit in bits)

    def _find_varying(self, own: set[str]) -> set[str]:
        """Names of the signals and memories that differ between copies."""
        netlist = self._netlist
        varying = {netlist.inputs[port].name for port in own}
        varying |= {name for name, parts in self._each.items() if len(set(parts)) > 1}
        # (signal or memory, what it depends on)
        follows = [
            (
                signal.name,
                {source.name for source in netlist.sources(cell)}
                | ({netlist.memories[cell.memory].name} if cell.memory else set()),
            )
            for signal, cell in netlist.driven
        ]
        follows += [(signal.name, {source.name for source in netlist.sources(cell)}) for signal, cell in netlist.checks]
        follows += [
            (netlist.memories[cell.memory].name, {source.name for source in netlist.sources(cell)})
            for cell in netlist.writes
        ]
        before = -1
        while before != len(varying):
            before = len(varying)
            varying |= {name for name, sources in follows if sources & varying}
        return varying

    def _find_inlined(self) -> dict[str, Cell]:
        """Arrays that are read exactly once and completely, with their drivers; these are inlined."""
        netlist = self._netlist
        looked: Counter[str] = Counter()
        whole: Counter[str] = Counter()
        cells = [cell for _, cell in (*netlist.driven, *netlist.checks)] + netlist.writes
        for bits in [*netlist.outputs.values(), *(bits for cell in cells for bits in cell.inputs)]:
            for run in self._runs(bits):
                if isinstance(run[0], int):
                    signal = netlist.where[run[0]].signal
                    looked[signal.name] += 1
                    whole[signal.name] += len(run) == signal.width and not _repeated(run)
        return {
            signal.name: cell
            for signal, cell in netlist.driven
            if signal.name in self._varying
            and looked[signal.name] == whole[signal.name] == 1
            and cell.kind not in (REGISTER, MEMORY_READ, EACH)
            and self_determined(cell)
        }


def _repeated(run: Bits) -> bool:
    """Whether a run repeats one bit."""
    return len(run) > 1 and run[0] == run[1]


def _declaration(name: str, width: int, size: int) -> str:
    return f"logic [{width - 1}:0] {name}" + (f" [0:{size - 1}]" if size else "")


def _assign(name: str, size: int, text: Callable[[str], str]) -> Iterator[str]:
    """Continuous assignment of the ``text`` of a copy, to an array of ``size`` in a loop."""
    if size:
        yield f"  always_comb {_loop(size)}{name}[{_INDEX}] = {text(_INDEX)};"
    else:
        yield f"  assign {name} = {text('')};"


def _copies(size: int) -> list[str]:
    return [str(copy) for copy in range(size)] or [""]


def _loop(count: int) -> str:
    # Unsigned, so that g++ vectorizes the loop.
    return f"for (int unsigned {_INDEX} = 0; {_INDEX} < {count}; {_INDEX}++) "


def _at(copy: str) -> str:
    return f"[{copy}]" if copy else ""
